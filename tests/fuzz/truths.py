"""What holds of every call at any time, read from the rows themselves."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from calls.models import Attempt, Call, Duplicate, Job, Move, Packet, Recording, Result
from calls.models.job import Verdict
from calls.models.recording import Kind
from calls.states import MOVES, WITH_RESULT, Outcome, State
from tests.factories import SPEECHLESS

Packets = dict[int, tuple[str, str]]


@dataclass(slots=True)
class Known:
    """What the senders were told was stored: track and data, by call and sequence."""

    calls: dict[str, Packets] = field(default_factory=dict)
    kept: dict[str, Packets] = field(default_factory=dict)
    doubles: dict[str, int] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)
    reached: Counter[str] = field(default_factory=Counter)

    def note(self, call_id: str, sequence: int, track: str, data: str, state: str) -> bool:
        """Whether a packet that was not refused is new."""
        mine = self.calls.setdefault(call_id, {})
        if state == State.ARCHIVED:
            return False
        if sequence in mine:
            self.doubles[call_id] = self.doubles.get(call_id, 0) + 1
            return False
        mine[sequence] = (track, data)
        if state != State.IN_PROGRESS:
            self.late[call_id] = self.late.get(call_id, 0) + 1
        return True

    def told(self, call_id: str) -> tuple[int, int]:
        """The next sequence, and how many are missing."""
        mine = self.calls[call_id]
        first = 0 if 0 in mine else 1
        return max(mine) + 1, max(mine) + 1 - first - len(mine)

    def forget(self, call_id: str) -> None:
        for known in (self.calls, self.kept, self.doubles, self.late):
            known.pop(call_id, None)


class Truths:
    def __init__(self, known: Known) -> None:
        self._known = known
        self._rows: dict[int, dict[str, Any]] = {}

    def forget(self, call: Call) -> None:
        """A call that was deleted."""
        del self._rows[call.pk]
        self._known.forget(call.call_id)

    def check(self) -> None:
        calls = list(Call.objects.order_by("pk"))
        assert {call.call_id for call in calls} == set(self._known.calls), "calls lost or invented"
        jobs = _by_call(Job.objects.order_by("run"))
        attempts = _by_call(Attempt.objects.select_related("job").order_by("pk"))
        moves = _by_call(Move.objects.order_by("pk"))
        packets = _by_call(Packet.objects.order_by("sequence"))
        self._known.reached.update(f"run {j.origin}" for some in jobs.values() for j in some)
        self._known.reached.update(f"attempt {a.kind}" for some in attempts.values() for a in some)
        results = {result.pk: result for result in Result.objects.all()}
        for call in calls:
            self._known.reached.update([f"state {call.state}", f"outcome {call.ai_outcome}"])
            self._check_version(call)
            self._check_packets(call, packets.get(call.pk, []))
            _check_journal(call, moves.get(call.pk, []))
            _check_outcome(call, results.get(call.pk))
            _check_jobs(call, jobs.get(call.pk, []), attempts.get(call.pk, []))
            _check_ledger(attempts.get(call.pk, []))
            _check_all_is_read(call, packets.get(call.pk, []), attempts.get(call.pk, []))

    def _check_version(self, call: Call) -> None:
        """It rises with every change, and with nothing else; time does not go back."""
        row = {f.attname: getattr(call, f.attname) for f in Call._meta.concrete_fields}
        before = self._rows.get(call.pk)
        self._rows[call.pk] = row
        if before is None:
            return
        changed = {name for name in row if row[name] != before[name]}
        assert bool(changed - {"version"}) == (row["version"] > before["version"]), changed
        assert row["version"] >= before["version"]
        assert row["updated_at"] >= before["updated_at"]

    def _check_packets(self, call: Call, rows: list[Packet]) -> None:
        """Nothing that was acknowledged is lost, and the counters are what SQL counts."""
        told = self._known.calls[call.call_id]
        if call.state == State.ARCHIVED:
            assert not rows
            kept = Recording.objects.get(call=call, kind=Kind.PACKETS)
            assert kept.packets == len(self._known.kept[call.call_id]) == call.packet_count
            return
        assert {row.sequence: (row.track, row.data) for row in rows} == told
        assert (call.packet_count, call.last_sequence) == (len(told), max(told, default=None))
        assert call.has_packet_zero == (0 in told)
        assert call.duplicates == self._known.doubles.get(call.call_id, 0)
        again = Duplicate.objects.filter(call=call).values_list("times", flat=True)
        assert call.duplicates == sum(again)
        late = sum(row.late for row in rows)
        assert call.late == late == self._known.late.get(call.call_id, 0)
        assert call.missing == sum(last - first + 1 for first, last in call.missing_ranges())


def _by_call(rows: Any) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in rows:
        call = row.job.call_id if isinstance(row, Attempt) else row.call_id
        found.setdefault(call, []).append(row)
    return found


def _check_journal(call: Call, moves: list[Move]) -> None:
    """One legal move after the other, from the beginning to where the call is now."""
    state = State.IN_PROGRESS
    for before, move in zip([None, *moves], moves, strict=False):
        assert move.from_state == state
        assert move.to_state in MOVES[state]
        assert before is None or move.at >= before.at
        assert move.actor
        assert move.reason
        state = State(move.to_state)
    assert call.state == state


def _check_outcome(call: Call, result: Result | None) -> None:
    pending = call.ai_outcome == Outcome.PENDING
    if call.state in (State.IN_PROGRESS, State.PROCESSING_AI):
        assert pending
    if call.state == State.ARCHIVED:
        assert not pending
    if call.state == State.COMPLETED:
        assert call.ai_outcome != Outcome.FAILED
    if call.ai_outcome == Outcome.FAILED:
        assert call.ai_words
    assert (call.processed_at is not None) or pending
    assert call.has_ai_result == (result is not None)
    assert call.ai_outcome not in WITH_RESULT or result is not None
    if result and call.ai_outcome in WITH_RESULT:
        assert bool(result.transcript) == (call.ai_outcome == Outcome.TRANSCRIBED)


def _check_jobs(call: Call, jobs: list[Job], attempts: list[Attempt]) -> None:
    """Who waits for an outcome has a job, and who has an open job waits for something."""
    assert [job.run for job in jobs] == list(range(1, len(jobs) + 1))
    waiting = [job for job in jobs if job.finished_at is None]
    assert waiting in ([], jobs[-1:])
    ended = call.state not in (State.IN_PROGRESS, State.ARCHIVED)
    if ended and call.ai_outcome == Outcome.PENDING:
        assert waiting, "an ended call waits for an outcome that nobody works on"
    if call.state in (State.IN_PROGRESS, State.ARCHIVED):
        assert not waiting
    for job in waiting:
        assert call.ai_outcome == Outcome.PENDING or (
            call.ai_outcome == Outcome.FAILED and job.further_runs
        )
        assert job.token or call.next_attempt_at == job.due_at
    if call.state == State.PROCESSING_AI:
        assert call.run == waiting[0].run
        assert call.attempts == sum(attempt.job_id == waiting[0].pk for attempt in attempts)


def _check_all_is_read(call: Call, packets: list[Packet], attempts: list[Attempt]) -> None:
    """A result was made of every packet, unless it is known that some came after it."""
    if call.ai_outcome not in WITH_RESULT or call.unread_late or call.state == State.ARCHIVED:
        return
    for track in {packet.track for packet in packets if packet.data == SPEECHLESS}:
        came = sum(packet.track == track for packet in packets)
        read = [a.packets_read for a in attempts if (a.track, a.kind) == (track, Verdict.SUCCESS)]
        assert read[-1] == came, f"{read} of {came} packets were read"


def _check_ledger(attempts: list[Attempt]) -> None:
    """Requests are numbered from one, and who is asking holds the job."""
    numbers: dict[tuple[int, str], list[int]] = {}
    for attempt in attempts:
        numbers.setdefault((attempt.job_id, attempt.track), []).append(attempt.number)
        if attempt.kind == Verdict.RUNNING:
            assert attempt.job.token
    assert all(some == list(range(1, len(some) + 1)) for some in numbers.values())
