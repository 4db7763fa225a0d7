"""What a worker reads of claimed calls: their audio, and how far the ledger says they are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from calls.ai import attempts
from calls.ai.attempts import Progress
from calls.ai.audio import Audio, Piece, assemble_tracks
from calls.ai.claims import Claim
from calls.models import Call, Job, Packet
from calls.states import Track

READ_TOGETHER = 5000  # packets; more than that of one call are read alone


@dataclass(frozen=True, slots=True)
class Recording:
    """The audio of each track that has any, the packets of all, and the tracks' progress."""

    call_id: str
    audio: Mapping[str, Audio]
    packets: Mapping[str, int]
    tracks: Mapping[str, Progress]

    @property
    def seconds(self) -> float:
        """Of the longest track."""
        return max((audio.seconds for audio in self.audio.values()), default=0.0)


def read(claims: Sequence[Claim], *, now: datetime) -> list[Recording]:
    """Reads and assembles the calls' packets, as they are now; outside any transaction."""
    calls = Call.objects.in_bulk([claim.call for claim in claims])
    pieces = {pk: found for some in _together(calls.values()) for pk, found in _pieces(some)}
    counts = {
        claim.job: {track: len(rows) for track, rows in pieces[claim.call].items()}
        for claim in claims
    }
    ledgers = attempts.ledgers(list(Job.objects.filter(pk__in=counts)), counts)
    return [
        _recording(calls[claim.call], pieces.pop(claim.call), ledgers[claim.job])
        for claim in claims
    ]


def _recording(
    call: Call, pieces: Mapping[str, Sequence[Piece]], ledger: Mapping[str, Progress]
) -> Recording:
    audio = assemble_tracks(pieces, encoding=call.encoding, rate=call.sample_rate)
    return Recording(
        call_id=call.call_id,
        audio=audio,
        packets={track: len(rows) for track, rows in pieces.items()},
        tracks={track: ledger[track] for track in audio},
    )


def _together(calls: Iterable[Call]) -> Iterator[list[Call]]:
    some: list[Call] = []
    for call in calls:
        if some and sum(one.packet_count for one in some) + call.packet_count > READ_TOGETHER:
            yield some
            some = []
        some.append(call)
    if some:
        yield some


def _pieces(calls: Sequence[Call]) -> Iterator[tuple[int, dict[str, list[Piece]]]]:
    found: dict[int, dict[str, list[Piece]]] = {
        call.pk: {track: [] for track in Track.values} for call in calls
    }
    pages = Packet.objects.filter(call__in=calls).pages("track", "data", "timestamp")
    for call, _, track, data, timestamp in chain.from_iterable(pages):
        found[call][track].append(Piece(data, timestamp))
    yield from found.items()
