"""Text to sentiment. Pure; the lexicon comes with the package (Hutto and Gilbert 2014, VADER)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from calls.states import Sentiment

THRESHOLD = 0.05  # of the compound score, as its authors recommend


@dataclass(frozen=True, slots=True)
class Judgement:
    sentiment: Sentiment
    score: float  # -1 … 1


def judge(text: str) -> Judgement:
    """The sentiment of one utterance; nothing said is neutral."""
    return _label(_analyzer().polarity_scores(text)["compound"] if text.strip() else 0.0)


def overall(utterances: Iterable[tuple[str, float]]) -> Judgement:
    """The sentiment of a call from (text, score) pairs.

    Weighted by length, and by strength: a call is remembered for what was said with feeling,
    and the many neutral turns of any call would hide it.
    """
    weighted = [(len(text) * abs(score), score) for text, score in utterances]
    weight = sum(share for share, _ in weighted)
    return _label(sum(share * score for share, score in weighted) / weight if weight else 0.0)


def _label(score: float) -> Judgement:
    if score >= THRESHOLD:
        sentiment = Sentiment.POSITIVE
    elif score <= -THRESHOLD:
        sentiment = Sentiment.NEGATIVE
    else:
        sentiment = Sentiment.NEUTRAL
    return Judgement(sentiment, round(max(-1.0, min(1.0, score)), 4))


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()
