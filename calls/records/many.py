"""The same thing done to many calls: each for itself, so that any of them may be refused, and
whoever is stopped leaves every call whole.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from calls.ai.jobs import RunRefused
from calls.models import Call
from calls.models.call import CallQuerySet
from calls.records.archive import ArchiveRefused
from calls.records.deletion import DeletionRefused
from calls.states import IllegalMove

PAGE = 500  # calls read at once
REASONS_SHOWN = 5

Act = Callable[[str], object]


class Refused(Exception):
    """What an act itself finds against a call."""


class Already(Exception):
    """Nothing was left to do: the call is as it was to become; says how, in words."""


REFUSALS = (Refused, RunRefused, ArchiveRefused, DeletionRefused, IllegalMove)


@dataclass(slots=True)
class Tally:
    """How many were done, were so already, and were refused for which reason."""

    done: int = 0
    already: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def words(self, done: str, refused: str = "refused") -> str:
        """`3 archived, 2 refused: it is held (2)`."""
        already = f"{self.already:,} already so, " if self.already else ""
        text = f"{self.done:,} {done}, {already}{self.refused.total():,} {refused}"
        reasons = [f"{why} ({n:,})" for why, n in self.refused.most_common(REASONS_SHOWN)]
        if len(self.refused) > REASONS_SHOWN:
            reasons.append("others")
        return f"{text}: {'; '.join(reasons)}" if reasons else text


def each(call_ids: Iterable[str], act: Act, tally: Tally) -> Iterator[tuple[str, str]]:
    """Acts on one call after the other; yields each id with why it was refused, or nothing."""
    for call_id in call_ids:
        why = ""
        try:
            act(call_id)
            tally.done += 1
        except Already:
            tally.already += 1
        except (Call.DoesNotExist, *REFUSALS) as refusal:
            why = _words(refusal, call_id)
            tally.refused[why] += 1
        yield call_id, why


def ids(calls: CallQuerySet, *, limit: int | None = None) -> Iterator[str]:
    """The ids of calls, a page of keys at a time; each once, whatever is done to it meanwhile."""
    last, left = 0, limit
    while left is None or left > 0:
        page = calls.filter(pk__gt=last).order_by("pk").values_list("pk", "call_id")
        found = list(page[: PAGE if left is None else min(PAGE, left)])
        if not found:
            return
        yield from (call_id for _, call_id in found)
        last = found[-1][0]
        left = None if left is None else left - len(found)


def _words(refusal: Exception, call_id: str) -> str:
    if isinstance(refusal, Call.DoesNotExist):
        return "there is no call with this id"
    return str(refusal).removeprefix(f"call {call_id} ")
