"""Who talks how much and in what mood: the figures and the geometry of the charts of a call."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from calls.models import Utterance
from calls.records.transcript import SPEAKERS
from dashboard.templatetags.clocks import clock
from dashboard.templatetags.numbers import signed

WIDTH, HEIGHT = 1000, 100  # of the mood's chart, in units of its own
NOTABLE = 0.005  # of the time
COLUMNS = 200  # points a speaker at most; more utterances share one

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the time: of one speaker alone, of several at once, or of nobody."""

    kind: str
    name: str
    seconds: float
    begin: float  # percent
    percent: float


@dataclass(frozen=True, slots=True)
class MoodLine:
    """The mood of one speaker over the call, as an SVG path and in words."""

    track: str
    name: str
    path: str
    points: Sequence[tuple[float, float]]
    words: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """From the start of the recording to its end, or to the last word where that is not known."""

    seconds: float
    shares: Sequence[Share]
    moods: Sequence[MoodLine]

    @property
    def words(self) -> str:
        return " ".join(mood.words for mood in self.moods)


def conversation(utterances: Sequence[Utterance], *, length: float = 0.0) -> Conversation | None:
    """`length` is that of the recording, as far as it is known; None where nobody is heard, or
    where nobody knows when.
    """
    last_word = max((u.end for u in utterances), default=0.0)
    if not last_word:
        return None
    seconds = max(last_word, length)
    spoken: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        spoken[utterance.track].append(utterance)
    said = {track: spoken[track] for track in SPEAKERS if track in spoken}
    moods = [_mood_line(track, said[track], seconds) for track in said]
    return Conversation(seconds, _shares(said, seconds), moods)


def _shares(said: dict[str, list[Utterance]], seconds: float) -> list[Share]:
    """Together all of the time: what both say at once is nobody's own."""
    spans = {track: _merged((u.start, u.end) for u in spoken) for track, spoken in said.items()}
    talked = {track: _length(found) for track, found in spans.items()}
    heard = _length(_merged(span for found in spans.values() for span in found))
    both = max(sum(talked.values()) - heard, 0.0)
    parts = [(track, SPEAKERS[track], talked[track] - both) for track in talked]
    parts += [("both", "Both at once", both), ("silence", "Silence", seconds - heard)]
    seen = [part for part in parts if part[0] != "both" or both / seconds >= NOTABLE]
    return _in_a_row(seen, seconds)


def _in_a_row(parts: Iterable[tuple[str, str, float]], seconds: float) -> list[Share]:
    shares: list[Share] = []
    begin = 0.0
    for kind, name, length in parts:
        percent = round(100 * max(length, 0.0) / seconds, 1)
        shares.append(Share(kind, name, max(length, 0.0), round(begin, 1), percent))
        begin += percent
    return shares


def _merged(spans: Iterable[Span]) -> list[Span]:
    """The same time without overlaps."""
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _length(spans: Iterable[Span]) -> float:
    return sum(end - begin for begin, end in spans)


def _mood_line(track: str, spoken: Sequence[Utterance], seconds: float) -> MoodLine:
    points = _points(spoken, seconds)
    path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
    return MoodLine(track, SPEAKERS[track], path, points, _in_words(SPEAKERS[track], spoken))


def _points(spoken: Sequence[Utterance], seconds: float) -> list[tuple[float, float]]:
    columns: dict[int, list[Utterance]] = defaultdict(list)
    for utterance in spoken:
        columns[int(_middle(utterance) / seconds * COLUMNS)].append(utterance)
    return [_point(columns[column], seconds) for column in sorted(columns)]


def _point(column: Sequence[Utterance], seconds: float) -> tuple[float, float]:
    at = sum(_middle(u) for u in column) / len(column)
    score = sum(u.score for u in column) / len(column)
    return round(at / seconds * WIDTH, 1), round((1 - score) / 2 * HEIGHT, 1)


def _middle(utterance: Utterance) -> float:
    return (utterance.start + utterance.end) / 2


def _in_words(name: str, spoken: Sequence[Utterance]) -> str:
    lowest = min(spoken, key=lambda u: u.score)
    return (
        f"{name}: from {signed(spoken[0].score)} to {signed(spoken[-1].score)},"
        f" lowest {signed(lowest.score)} at {clock(lowest.start)}."
    )
