"""What was sent and what became of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

MAX_SHOWN = 20

Say = Callable[[str], None]


@dataclass(slots=True)
class Tally:
    """Every packet sent is acknowledged as new or as a duplicate, or it is refused."""

    say: Say
    calls: int = 0
    sent: int = 0
    new: int = 0
    duplicates: int = 0
    refused: int = 0
    refused_requests: int = 0
    lost: int = 0
    retried: int = 0
    mismatches: int = 0
    """Calls of which another number of packets was stored than was acknowledged or must be."""
    unheard: int = 0
    """Frames spoken while a socket was away."""
    redialled: int = 0
    stored: int = 0
    """Packets that the system has of the calls that came over sockets."""
    _shown: int = field(default=0, init=False)

    @property
    def clean(self) -> bool:
        return not (self.refused or self.refused_requests or self.mismatches)

    def acknowledge(self, *, duplicate: bool) -> None:
        self.duplicates += duplicate
        self.new += not duplicate

    def refuse_request(self, words: str) -> None:
        self.refused_requests += 1
        self.complain(words)

    def complain(self, words: str) -> None:
        """Show a refusal, unless there were many."""
        self._shown += 1
        if self._shown <= MAX_SHOWN:
            self.say(words)
        elif self._shown == MAX_SHOWN + 1:
            self.say("more refusals follow and are only counted")

    def table(self) -> str:
        rows = [
            ("calls", self.calls),
            ("packets sent", self.sent),
            ("  acknowledged as new", self.new),
            ("  acknowledged as duplicate", self.duplicates),
            ("  refused", self.refused),
            ("lost on purpose", self.lost),
            ("other requests refused", self.refused_requests),
            ("requests tried again", self.retried),
        ]
        return _table(rows)

    def socket_table(self) -> str:
        """Of calls over sockets, where nothing is acknowledged: what the API says is stored."""
        rows = [
            ("calls", self.calls),
            ("frames sent", self.sent),
            ("  arrived as packets", self.stored),
            ("lost on purpose", self.lost),
            ("spoken while redialling", self.unheard),
            ("redialled", self.redialled),
            ("calls not stored whole", self.mismatches),
            ("other requests refused", self.refused_requests),
        ]
        return _table(rows)


def _table(rows: list[tuple[str, int]]) -> str:
    return "\n".join(f"{name:<28}{number:>10,}" for name, number in rows)
