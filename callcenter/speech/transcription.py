"""What was heard, as the recogniser tells it, and the OpenAI shapes it is answered in."""

import math
import zlib
from dataclasses import asdict, dataclass
from typing import Any

LEAST_PROBABILITY = 1e-4


@dataclass(frozen=True, slots=True)
class Word:
    """`start` and `end` in seconds; `probability` that it was said, given what was heard."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of speech between two pauses, in seconds, with at least one word."""

    start: float
    end: float
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Transcription:
    """`duration` of the audio in seconds."""

    duration: float
    utterances: tuple[Utterance, ...]

    @property
    def text(self) -> str:
        return " ".join(utterance.text for utterance in self.utterances)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Transcription":
        utterances = (
            Utterance(u["start"], u["end"], tuple(Word(**word) for word in u["words"]))
            for u in raw["utterances"]
        )
        return cls(raw["duration"], tuple(utterances))


def verbose(heard: Transcription, *, with_words: bool) -> dict[str, Any]:
    """The `verbose_json` of the OpenAI transcription API."""
    answer = {
        "task": "transcribe",
        "language": "english",
        "duration": round(heard.duration, 3),
        "text": heard.text,
        "segments": [_segment(number, u) for number, u in enumerate(heard.utterances)],
    }
    if with_words:
        words = (word for utterance in heard.utterances for word in utterance.words)
        answer["words"] = [{"word": w.text, "start": w.start, "end": w.end} for w in words]
    return answer


def _segment(number: int, utterance: Utterance) -> dict[str, Any]:
    """The decoder knows no tokens: its words' probabilities stand in for theirs.

    `avg_logprob` is the logarithm of their mean, so that its exponent is an honest confidence;
    `no_speech_prob` is the share of the segment in which no word was heard.
    """
    words = utterance.words
    sure = sum(word.probability for word in words) / len(words)
    spoken = sum(word.end - word.start for word in words) / (utterance.end - utterance.start)
    text = utterance.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": utterance.start,
        "end": utterance.end,
        "text": utterance.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(math.log(max(sure, LEAST_PROBABILITY)), 4),
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 4),
        "no_speech_prob": round(max(1 - spoken, 0.0), 4),
    }
