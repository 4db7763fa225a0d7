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
    """Calls of which another number of packets was stored than was acknowledged."""
    _shown: int = field(default=0, init=False)

    @property
    def clean(self) -> bool:
        return not (self.refused or self.refused_requests or self.mismatches)

    def acknowledge(self, *, duplicate: bool) -> None:
        self.duplicates += duplicate
        self.new += not duplicate

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
        return "\n".join(f"{name:<28}{number:>10,}" for name, number in rows)
