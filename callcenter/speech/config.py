"""What the service is told when it starts; it reads no environment and no Django settings."""

import os
from dataclasses import dataclass, field

MIB = 1024 * 1024


def _recognisers() -> int:
    """One core stays free for the rest of the machine."""
    return max(1, (os.cpu_count() or 1) - 1)


@dataclass(frozen=True, slots=True)
class SpeechConfig:
    """`latency` and `quiet_upload` in seconds, `max_upload` in bytes."""

    failure_rate: float = 0.25
    """The share of requests that is answered 503."""
    latency: tuple[float, float] = (1.0, 3.0)
    """What the others take at least."""
    engine: str = "pocketsphinx"
    """`pocketsphinx` or `canned`."""
    recognisers: int = field(default_factory=_recognisers)
    queue: int = 16
    """Requests taken in at once, waiting or worked on. About sixteen demo tracks keep one core
    busy for as long as a caller waits (30 s plus twice the audio)."""
    retry_after: int = 5
    """Seconds that a caller is asked to wait when the queue is full."""
    max_upload: int = 256 * MIB
    """Four hours at 8 kHz and 16 bit are 230 MB."""
    quiet_upload: float = 30.0
    """How long an upload may stand still."""
    seed: int | None = None
    """Makes failures and latencies repeatable."""

    @property
    def admitted(self) -> int:
        """Canned answers cost no core: load tests may queue more of them."""
        return self.queue * 64 if self.engine == "canned" else self.queue
