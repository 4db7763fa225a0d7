"""The life of calls as a state machine: every door in any order, on the real database.

A step goes through a real door with a `now` of its own. What must come of it is known beside it, as
far as the contract says; what must hold of all calls at any time stands in `tests/fuzz/truths.py`.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from calls.ai import breaker, claims, jobs, recording, runs
from calls.ai.attempts import Progress
from calls.ai.claims import Claim, LostClaim
from calls.ai.runs import Answered, Request, Standing
from calls.ai.transcription import RequestFailed
from calls.ai.work import seconds_to_wait
from calls.ingest import ending, metadata
from calls.ingest.store import Receipt, store
from calls.models import Alert, Attempt, Call, Deletion, Job
from calls.models.job import Verdict
from calls.records import alerts, archive, deletion, holding
from calls.records.archive import ArchiveRefused
from calls.records.deletion import DeletionRefused
from calls.states import RUNNABLE, EndReason, Outcome, State
from tests.factories import SPEECHLESS, arrival
from tests.fuzz.truths import Known, Truths

START = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
WORKERS = ("first", "second")
WAITS = (0.1, 2.0, 3.1, 5.0, 8.1, 31.0, 65.0, 301.0)
SEGMENT = {"start": 0.5, "end": 1.5, "text": "thank you for calling", "confidence": 0.9}
FAILURES = {
    "transient": RequestFailed(Verdict.TRANSIENT, "answered 503", status=503),
    "throttled": RequestFailed(Verdict.THROTTLED, "answered 429", status=429, retry_after=7.0),
    "configuration": RequestFailed(Verdict.CONFIGURATION, "answered 401", status=401),
    "call_fault": RequestFailed(Verdict.CALL_FAULT, "answered 422", status=422),
}
DATA = (SPEECHLESS, SPEECHLESS, "just words")

TRACKS = ("inbound", "outbound")

call_ids = st.sampled_from(["a", "b", "b", "c"])
CLAIMED = (st.integers(1, 3), st.integers(0, 1))  # so many, of which for others
packets = st.tuples(call_ids, st.integers(0, 7), st.sampled_from(TRACKS), st.sampled_from(DATA))
answers = st.sampled_from(["speech"] * 4 + ["silence"] + ["transient"] * 5 + [*FAILURES])


@dataclass(slots=True, eq=False)
class Work:
    """What a worker holds in its memory of a claimed call, true or not by now."""

    claim: Claim
    worker: str
    packets: Mapping[str, int]
    tracks: Mapping[str, Progress]
    asking: dict[str, Attempt] = field(default_factory=dict)

    @property
    def standing(self) -> Standing:
        return Standing(self.claim, self.packets, self.tracks)

    def to_ask(self, now: datetime) -> list[str]:
        return [
            name
            for name, track in self.tracks.items()
            if name not in self.asking
            and not track.is_finished
            and (track.next_try_at is None or track.next_try_at <= now)
        ]


class LifeOfCalls(RuleBasedStateMachine):
    reached: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.all_or_nothing = transaction.atomic()
        self.all_or_nothing.__enter__()
        self.now = START
        self.known = Known(reached=self.reached)
        self.truths = Truths(self.known)
        self.works: list[Work] = []

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.come_to_rest()
                connection.check_constraints()
        finally:
            transaction.set_rollback(True)
            self.all_or_nothing.__exit__(None, None, None)

    @initialize()
    def calls_of_each_kind(self) -> None:
        """One that goes on, one that ended; the third is created by what happens to it."""
        self.send([("a", n, "inbound", SPEECHLESS) for n in range(3)])
        self.send([("b", n, track, SPEECHLESS) for n, track in enumerate(TRACKS)])
        self.end("b", EndReason.HANGUP)

    # Time ------------------------------------------------------------------------------------

    def tick(self, seconds: float = 0.01) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now

    @rule(seconds=st.sampled_from(WAITS))
    def wait(self, seconds: float) -> None:
        self.tick(seconds)

    @rule()
    def sweep(self) -> None:
        """What `calls.tasks.sweep` does."""
        now = self.tick()
        idle = now - timedelta(seconds=settings.CALL_IDLE_TIMEOUT)
        silent = set(Call.objects.silent_since(idle).values_list("pk", flat=True))
        assert ending.end_silent_calls(now=now) == len(silent)
        ending.queue_runs_for_late_packets(now=now)
        runs.rescue_dead(now=now)
        alerts.raise_due(now=now)
        alerts.acknowledge(Alert.objects.values_list("pk", flat=True)[:1], now=now, actor="test")
        assert not Call.objects.silent_since(idle).exists()
        assert not Job.objects.dead(now=now).exists()

    # Packets ---------------------------------------------------------------------------------

    @rule(packet=packets)
    def packet(self, packet: tuple[str, int, str, str]) -> None:
        self.send([packet])

    @rule(some=st.lists(packets, min_size=2, max_size=8))
    def bulk(self, some: list[tuple[str, int, str, str]]) -> None:
        self.send(some)

    def send(self, some: list[tuple[str, int, str, str]]) -> None:
        arrivals = [arrival(c, n, track=track, data=data) for c, n, track, data in some]
        states = dict(Call.objects.values_list("call_id", "state"))
        receipts = store(arrivals, now=self.tick())
        for (call_id, sequence, track, data), receipt in zip(some, receipts, strict=True):
            state = states.get(call_id, State.IN_PROGRESS)
            self.acknowledged(
                receipt, state, self.known.note(call_id, sequence, track, data, state)
            )

    def acknowledged(self, receipt: Receipt, state: str, new: bool) -> None:
        if state == State.ARCHIVED:
            assert receipt.refused
            self.reached["packet refused"] += 1
            return
        self.reached["packet late"] += receipt.late
        self.reached["packet double"] += receipt.duplicate
        assert not receipt.refused
        assert receipt.duplicate == (not new)
        assert receipt.late == (state != State.IN_PROGRESS)
        assert (receipt.next_sequence, receipt.missing) == self.known.told(receipt.call_id)

    @rule(call_id=call_ids, agent=st.sampled_from(["ann", "bob"]))
    def describe(self, call_id: str, agent: str) -> None:
        self.known.calls.setdefault(call_id, {})
        call = metadata.describe(call_id, {"agent": agent}, now=self.tick())
        assert call.agent == agent

    # The end ---------------------------------------------------------------------------------

    @rule(call_id=call_ids, reason=st.sampled_from([EndReason.HANGUP, EndReason.OPERATOR]))
    def end(self, call_id: str, reason: EndReason) -> None:
        before = Call.objects.filter(call_id=call_id).first()
        if before is None:
            return
        now = self.tick()
        call = ending.end(call_id, reason=reason, words="bye", now=now, actor="test")
        if before.state == State.IN_PROGRESS:
            expected = State.COMPLETED if before.packet_count else State.FAILED
            assert (call.state, call.end_reason, call.ended_at) == (expected, reason, now)
        else:
            assert (call.state, call.version) == (before.state, before.version)

    # Work ------------------------------------------------------------------------------------

    def step_of_a_worker(self, data: st.DataObject) -> None:
        """Mostly on with what is held, sometimes another claim."""
        if not self.works or data.draw(st.integers(0, 4)) == 0:
            self.claim(*data.draw(st.tuples(st.sampled_from(WORKERS), *CLAIMED)))
            return
        work = data.draw(st.sampled_from(self.works))
        if work.asking and data.draw(st.integers(0, 3)) > 0:
            self.answer(work, data.draw(st.sampled_from(sorted(work.asking))), data.draw(answers))
        else:
            self.ask(work, data)

    # Hypothesis draws each rule as often as another.
    go_on = rule(data=st.data())(step_of_a_worker)
    go_on_again = rule(data=st.data())(step_of_a_worker)
    go_on_still = rule(data=st.data())(step_of_a_worker)
    go_on_further = rule(data=st.data())(step_of_a_worker)

    def claim(self, worker: str, limit: int, kept: int) -> None:
        now = self.tick()
        if breaker.state().is_open:
            return
        due = Job.objects.due(now=now).count()
        taken = claims.claim_due(limit, worker=worker, now=now, kept_for_others=kept)
        assert len(taken) == min(limit, due)
        found = recording.read(taken, now=now)
        for claim, read in zip(taken, found, strict=True):
            self.works.append(Work(claim, worker, read.packets, read.tracks))

    def ask(self, work: Work, data: st.DataObject) -> None:
        """Opens a request of one track; a call with nothing left to ask is concluded."""
        now = self.tick()
        tracks = work.to_ask(now)
        if not tracks and not work.asking:
            self.conclude(work)
            return
        if tracks and not breaker.state().is_open:
            track = data.draw(st.sampled_from(tracks))
            number = work.tracks[track].number + 1
            request = Request(work.claim, track, number, work.packets[track])
            with self.nothing_happens_if_lost(work) as lost:
                [attempt] = runs.start([request], now=now)
                lost.check(attempt)
            if isinstance(attempt, Attempt):
                work.asking[track] = attempt

    def answer(self, work: Work, track: str, answer: str) -> None:
        attempt = work.asking.pop(track)
        last = not work.asking
        segments = [SEGMENT] if answer == "speech" else [] if answer == "silence" else None
        failure = FAILURES.get(answer)
        failures = work.tracks[attempt.track].failures + 1
        wait = seconds_to_wait(failure, failures) if failure else None
        standing = work.standing
        with self.nothing_happens_if_lost(work) as lost:
            answered = Answered(standing, attempt, segments, failure, wait, last=last)
            [result] = runs.close([answered], now=self.tick())
            lost.check(result)
        if last and work in self.works:
            self.works.remove(work)

    def conclude(self, work: Work) -> None:
        with self.nothing_happens_if_lost(work) as lost:
            if not work.tracks:
                [begun] = runs.begin([work.claim], now=self.tick())
                lost.check(begun)
            [result] = runs.conclude([work.standing], now=self.tick())
            lost.check(result)
        if work in self.works:
            self.works.remove(work)

    def nothing_happens_if_lost(self, work: Work) -> "NothingHappensIfLost":
        return NothingHappensIfLost(self, work)

    @precondition(lambda self: self.works)
    @rule(data=st.data(), what=st.sampled_from(["renew", "hand back", "die", "die noticed"]))
    def trouble(self, data: st.DataObject, what: str) -> None:
        work = data.draw(st.sampled_from(self.works))
        if what == "renew":
            claims.renew([work.claim], now=self.tick())
        elif what == "hand back":
            self.hand_back(work)
        else:
            self.die(work.worker, noticed=what == "die noticed")

    def hand_back(self, work: Work) -> None:
        self.works.remove(work)
        with self.nothing_happens_if_lost(work) as lost:
            [result] = runs.hand_back([work.claim], now=self.tick())
            lost.check(result)

    def die(self, worker: str, *, noticed: bool) -> None:
        """Its memory is gone; the watch may know at once, else the lease runs out."""
        self.works = [work for work in self.works if work.worker != worker]
        if noticed:
            runs.rescue_from(worker, now=self.tick())
            assert not Job.objects.held_by(worker).exists()

    @precondition(lambda self: breaker.state().is_open)
    @rule(answered=st.booleans())
    def probe(self, answered: bool) -> None:
        began = self.tick()
        if breaker.take_probe(now=began):
            self.probed(began, answered)

    def probed(self, began: datetime, answered: bool) -> None:
        if answered:
            breaker.note_answer(now=self.tick())
            assert not breaker.state().is_open
        else:
            breaker.note_silence("nobody answers", began=began, now=self.tick())
            self.reached["outage"] += 1

    # What people do --------------------------------------------------------------------------

    @rule(call_id=call_ids)
    def reprocess(self, call_id: str) -> None:
        call = Call.objects.filter(call_id=call_id).first()
        if call is None:
            return
        was_open = Job.objects.open().filter(call=call).count()
        try:
            jobs.reprocess(call_id, now=self.tick(), actor="test")
        except jobs.RunRefused:
            assert call.state not in RUNNABLE
            self.reached["reprocess refused"] += 1
        else:
            assert call.state in RUNNABLE
            call.refresh_from_db()
            assert (call.ai_outcome, was_open <= 1) == (Outcome.PENDING, True)
            assert Job.objects.open().filter(call=call).count() == 1

    @precondition(lambda self: self.known.calls)
    @rule(data=st.data(), what=st.sampled_from(["hold", "release", "archive", "delete"]))
    def put_away(self, data: st.DataObject, what: str) -> None:
        """Mostly calls that can be."""
        settled = Call.objects.exclude(ai_outcome=Outcome.PENDING).order_by("call_id")
        others = sorted(self.known.calls)
        some = list(settled.values_list("call_id", flat=True)) or others
        call_id = data.draw(st.sampled_from(some if data.draw(st.integers(0, 3)) else others))
        if what == "archive":
            self.archive(call_id)
        elif what == "delete":
            self.delete(call_id)
        else:
            self.hold(call_id, held=what == "hold")

    def hold(self, call_id: str, *, held: bool) -> None:
        if Call.objects.filter(call_id=call_id).exists():
            act = holding.hold if held else holding.release
            assert act(call_id, now=self.tick()).held == held

    def archive(self, call_id: str) -> None:
        call = Call.objects.filter(call_id=call_id).first()
        if call is None:
            return
        free = not call.held and call.ai_outcome != Outcome.PENDING and call.state in RUNNABLE
        try:
            archive.archive(call_id, now=self.tick(), actor="test")
        except ArchiveRefused:
            assert not free
            self.reached["archive refused"] += 1
        else:
            assert free
            self.known.kept[call_id] = self.known.calls[call_id]

    def delete(self, call_id: str) -> None:
        call = Call.objects.filter(call_id=call_id).first()
        if call is None:
            return
        settled = call.state != State.IN_PROGRESS and call.ai_outcome != Outcome.PENDING
        try:
            receipt = deletion.delete(call_id, now=self.tick(), actor="test", reason="test")
        except DeletionRefused:
            assert call.held or not settled
            self.reached["deletion refused"] += 1
        else:
            assert settled
            assert not call.held
            assert receipt.packets == call.packet_count
            assert Deletion.objects.filter(call_id=call_id).exists()
            self.truths.forget(call)
            self.reached["deleted"] += 1

    # What must hold --------------------------------------------------------------------------

    @invariant()
    def truths_hold(self) -> None:
        self.truths.check()

    def come_to_rest(self) -> None:
        """No call is ever stuck: with an AI service that answers, all come out by themselves."""
        self.works.clear()
        for _ in range(8):
            self.tick(400)
            self.sweep()
            if breaker.state().is_open:
                self.probe(answered=True)
            while True:
                now = self.tick()
                taken = claims.claim_due(10, worker="last", now=now)
                if not taken:
                    break
                for claim in taken:
                    self.take_through(claim)
            self.truths.check()
            if not Job.objects.open().exists() and self.all_ended():
                break
        assert not Job.objects.open().exists(), list(Job.objects.open().values())
        assert self.all_ended()
        assert not Call.objects.waiting_for_outcome().exists()

    def all_ended(self) -> bool:
        return not Call.objects.filter(state=State.IN_PROGRESS).exists()

    def take_through(self, claim: Claim) -> None:
        """Every request of a call answered."""
        [found] = recording.read([claim], now=self.now)
        work = Work(claim, "last", found.packets, found.tracks)
        for track, progress in work.tracks.items():
            if not progress.is_finished:
                request = Request(claim, track, progress.number + 1, work.packets[track])
                [attempt] = runs.start([request], now=self.tick())
                assert isinstance(attempt, Attempt)
                answered = Answered(work.standing, attempt, [SEGMENT])
                runs.close([answered], now=self.tick())
        if not work.tracks:
            runs.begin([claim], now=self.tick())
        runs.conclude([work.standing], now=self.tick())


class NothingHappensIfLost:
    """A worker whose lease was taken away changes nothing, and learns that it was."""

    def __init__(self, machine: LifeOfCalls, work: Work) -> None:
        self._machine, self._work = machine, work
        self._ours = False
        self._before: list[Any] = []

    def __enter__(self) -> "NothingHappensIfLost":
        claim = self._work.claim
        self._ours = Job.objects.filter(pk=claim.job, token=claim.token).exists()
        self._before = self._seen()
        return self

    def check(self, result: object) -> None:
        assert isinstance(result, LostClaim) == (not self._ours)

    def __exit__(self, *exc: object) -> None:
        if exc[0] is None and not self._ours:
            self._machine.reached["claim lost"] += 1
            assert self._seen() == self._before
            if self._work in self._machine.works:
                self._machine.works.remove(self._work)

    def _seen(self) -> list[Any]:
        call = self._work.claim.call
        return [
            *Call.objects.filter(pk=call).values(),
            *Job.objects.filter(call=call).order_by("pk").values(),
            *Attempt.objects.filter(job__call=call).order_by("pk").values(),
        ]
