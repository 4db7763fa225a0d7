"""The faults that the system exists to withstand, dealt out by chance."""

import random
from dataclasses import dataclass

from callcenter.speech.config import SpeechConfig


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a request: does it fail, and how many seconds does it take at least?"""

    fails: bool
    seconds: float


class Unreliability:
    def __init__(self, config: SpeechConfig) -> None:
        self._failure_rate, self._latency = config.failure_rate, config.latency
        self._random = random.Random(config.seed)

    def fate(self) -> Fate:
        fails = self._random.random() < self._failure_rate
        low, high = self._latency
        # An overloaded service refuses sooner than it answers.
        span = (0.0, low) if fails else (low, high)
        return Fate(fails, self._random.uniform(*span))
