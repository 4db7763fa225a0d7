"""A call, the vocabulary of its queries, and the journal of its moves."""

from datetime import datetime, timedelta
from typing import Any, Self

import pgtrigger
from django.contrib.postgres.indexes import GinIndex
from django.db import connection, models
from django.db.models import F, FloatField, Q
from django.db.models.functions import Cast, Coalesce, Extract

from calls.models.text import Trigrams
from calls.states import (
    CALL_ID_CHARACTERS,
    ENDED_BY_SILENCE,
    MOVES,
    RUNNABLE,
    SETTLED_WELL,
    WITH_RESULT,
    Direction,
    Encoding,
    EndReason,
    Outcome,
    State,
)

MISSING_RANGES = """
SELECT before + 1, sequence - 1
FROM (
    SELECT sequence, lag(sequence, 1, %s) OVER (ORDER BY sequence) AS before
    FROM calls_packet WHERE call_id = %s
) AS neighbours
WHERE sequence > before + 1
ORDER BY sequence
LIMIT %s
"""


# Seconds from its creation to its end; one in progress lasts longer than all that ended.
STILL_ON = 1e10
LASTED = Coalesce(Cast(Extract(F("ended_at") - F("created_at"), "epoch"), FloatField()), STILL_ON)
DONE = Q(ai_outcome__in=[Outcome.TRANSCRIBED, Outcome.NO_SPEECH, Outcome.NO_AUDIO])


def count_missing(packet_count: int, last_sequence: int | None, has_packet_zero: bool) -> int:
    """Sequences number the packets from 0 if a packet 0 came, else from 1."""
    if last_sequence is None:
        return 0
    return last_sequence + (1 if has_packet_zero else 0) - packet_count


class CallQuerySet(models.QuerySet["Call"]):
    def locked(self) -> Self:
        """The rows locked against each other in one order, without blocking packets' key checks."""
        return self.select_for_update(no_key=True, of=("self",)).order_by("pk")

    def lockable(self) -> Self:
        """Like `locked`, passing over the rows that somebody else holds."""
        return self.select_for_update(no_key=True, of=("self",), skip_locked=True).order_by("pk")

    def silent_since(self, moment: datetime) -> Self:
        """Calls in progress without a packet since then, before the first counted from creation."""
        return self.filter(state=State.IN_PROGRESS).filter(
            Q(last_packet_at__lt=moment) | Q(last_packet_at=None, created_at__lt=moment)
        )

    def with_unread_packets(self, *, quiet_since: datetime) -> Self:
        """Calls ended by silence whose late packets no run has read, and that went quiet again."""
        return self.filter(
            unread_late=True,
            end_reason__in=ENDED_BY_SILENCE,
            state__in=RUNNABLE,
            last_packet_at__lt=quiet_since,
        ).exclude(ai_outcome=Outcome.PENDING)

    def waiting_for_outcome(self) -> Self:
        """The backlog: ended, outcome pending."""
        return self.filter(ai_outcome=Outcome.PENDING).exclude(state=State.IN_PROGRESS)

    def started(self, *, after: datetime | None, before: datetime | None) -> Self:
        """At `after` or later, earlier than `before`."""
        bounds = {"created_at__gte": after, "created_at__lt": before}
        return self.filter(**{name: bound for name, bound in bounds.items() if bound})

    def lasting(self, seconds: float, *, now: datetime) -> Self:
        """At least so long; those in progress until now."""
        too_young = Q(ended_at=None, created_at__gt=now - timedelta(seconds=seconds))
        return self.with_length().filter(~too_young, lasted__gte=seconds)

    def with_length(self) -> Self:
        return self.annotate(lasted=LASTED)

    def to_archive(self, *, ended_before: datetime) -> Self:
        """Ended before then, with an outcome other than failed, and not held."""
        return self.filter(
            ai_outcome__in=SETTLED_WELL, held=False, ended_at__lte=ended_before
        ).exclude(state=State.ARCHIVED)

    def to_delete(self, *, ended_before: datetime) -> Self:
        """Ended before then, with an outcome, and not held."""
        return self.filter(held=False, ended_at__lte=ended_before).exclude(
            ai_outcome=Outcome.PENDING
        )

    def newest_first(self) -> Self:
        return self.order_by("-pk")


def _choices(field: str, choices: type[models.TextChoices], *, blank: bool = False) -> Q:
    return Q(**{f"{field}__in": [*choices.values, *([""] if blank else [])]})


class Call(models.Model):
    call_id = models.CharField(max_length=128, unique=True, db_collation="C")
    state = models.CharField(max_length=16, choices=State, default=State.IN_PROGRESS)
    ai_outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.PENDING)
    ai_words = models.CharField(max_length=500, blank=True, help_text="Why this outcome, in words.")
    end_reason = models.CharField(max_length=16, choices=EndReason, blank=True)

    agent = models.CharField(max_length=200, blank=True)
    queue = models.CharField(max_length=200, blank=True)
    caller = models.CharField(max_length=200, blank=True)
    callee = models.CharField(max_length=200, blank=True)
    direction = models.CharField(max_length=16, choices=Direction, blank=True)
    encoding = models.CharField(max_length=16, choices=Encoding, default=Encoding.MULAW)
    sample_rate = models.PositiveIntegerField(default=8000, help_text="hertz")
    metadata = models.JSONField(default=dict, blank=True)

    packet_count = models.PositiveIntegerField(default=0)
    last_sequence = models.PositiveIntegerField(null=True)
    has_packet_zero = models.BooleanField(default=False)
    duplicates = models.PositiveIntegerField(default=0)
    late = models.PositiveIntegerField(default=0)
    out_of_order = models.PositiveIntegerField(default=0)
    unread_late = models.BooleanField(
        default=False, help_text="Late packets came that no finished run has read."
    )

    has_ai_result = models.BooleanField(default=False)
    run = models.PositiveIntegerField(default=0, help_text="Number of the newest AI run.")
    attempts = models.PositiveIntegerField(default=0, help_text="Requests made in this run.")
    next_attempt_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)
    held = models.BooleanField(
        default=False, help_text="Neither archived nor deleted until it is released."
    )
    version = models.PositiveBigIntegerField(default=1)

    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    last_packet_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    processed_at = models.DateTimeField(null=True)

    objects = CallQuerySet.as_manager()

    class Meta:
        # Nothing that every packet changes is indexed: such updates stay within their page.
        indexes = [
            models.Index(
                fields=["id"], name="call_in_progress", condition=Q(state=State.IN_PROGRESS)
            ),
            models.Index(
                fields=["id"],
                name="call_backlog",
                condition=Q(ai_outcome=Outcome.PENDING) & ~Q(state=State.IN_PROGRESS),
            ),
            models.Index(fields=["id"], name="call_unread_late", condition=Q(unread_late=True)),
            models.Index(
                fields=["ended_at"],
                name="call_to_archive",
                condition=Q(ai_outcome__in=SETTLED_WELL, held=False) & ~Q(state=State.ARCHIVED),
            ),
            models.Index(
                fields=["ended_at"],
                name="call_to_delete",
                condition=Q(held=False) & ~Q(ai_outcome=Outcome.PENDING),
            ),
            models.Index(fields=["state", "-id"], name="call_by_state"),
            models.Index(fields=["agent", "-id"], name="call_by_agent"),
            models.Index(fields=["queue", "-id"], name="call_by_queue"),
            models.Index(fields=["ai_outcome", "-id"], name="call_by_outcome"),
            models.Index(
                fields=["-id"], name="call_not_archived", condition=~Q(state=State.ARCHIVED)
            ),
            models.Index(fields=["created_at"], name="call_created_at"),
            models.Index(fields=["processed_at"], name="call_done_at", condition=DONE),
            models.Index(LASTED.desc(), F("id").desc(), name="call_by_length"),
            GinIndex(Trigrams("call_id"), name="call_id_trigrams"),
        ]
        constraints = [
            models.CheckConstraint(
                # The column bounds the length; a bounded pattern costs every packet 17 µs.
                condition=Q(call_id__regex=CALL_ID_CHARACTERS) & ~Q(call_id="stream"),
                name="call_id_shape",
            ),
            models.CheckConstraint(condition=_choices("state", State), name="call_state"),
            models.CheckConstraint(condition=_choices("ai_outcome", Outcome), name="call_outcome"),
            models.CheckConstraint(
                condition=_choices("end_reason", EndReason, blank=True), name="call_end_reason"
            ),
            models.CheckConstraint(
                condition=Q(state=State.IN_PROGRESS, ended_at=None, end_reason="")
                | (~Q(state=State.IN_PROGRESS) & Q(ended_at__isnull=False) & ~Q(end_reason="")),
                name="call_ended_iff_not_in_progress",
            ),
            models.CheckConstraint(
                condition=~Q(state=State.PROCESSING_AI) | Q(ai_outcome=Outcome.PENDING),
                name="call_pending_while_processing",
            ),
            models.CheckConstraint(
                condition=Q(ai_outcome=Outcome.PENDING) | Q(processed_at__isnull=False),
                name="call_processed_at_with_outcome",
            ),
            models.CheckConstraint(
                condition=~Q(ai_outcome__in=WITH_RESULT) | Q(has_ai_result=True),
                name="call_result_with_outcome",
            ),
            models.CheckConstraint(
                condition=Q(packet_count=0, last_sequence=None)
                | Q(packet_count__gt=0, last_sequence__isnull=False),
                name="call_sequence_iff_packets",
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="starts_in_progress",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                condition=~pgtrigger.Q(new__state=State.IN_PROGRESS),
                func="RAISE EXCEPTION 'call % cannot start as %', NEW.call_id, NEW.state"
                " USING ERRCODE = 'check_violation';",
            ),
            pgtrigger.Trigger(
                name="legal_move",
                when=pgtrigger.Before,
                operation=pgtrigger.UpdateOf("state"),  # type: ignore[no-untyped-call]
                condition=pgtrigger.Q(old__state__df=pgtrigger.F("new__state")),
                func="IF (OLD.state, NEW.state) IN ({}) THEN RETURN NEW; END IF;"
                " RAISE EXCEPTION 'call % cannot move from % to %',"
                " NEW.call_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';".format(
                    ", ".join(f"('{a}', '{b}')" for a in MOVES for b in sorted(MOVES[a]))
                ),
            ),
        ]
        permissions = [
            ("reprocess_call", "Can run the AI work of a call again"),
            ("archive_call", "Can archive a call"),
            ("end_call", "Can end a call"),
            ("hold_call", "Can protect a call from archiving and deletion"),
            ("export_call", "Can export calls"),
        ]

    def __str__(self) -> str:
        return self.call_id

    @property
    def missing(self) -> int:
        return count_missing(self.packet_count, self.last_sequence, self.has_packet_zero)

    def missing_ranges(self, *, limit: int = 1000) -> list[tuple[int, int]]:
        """The first `limit` runs of sequences that did not come, as (from, to), both included."""
        if not self.missing:
            return []
        if self.state == State.ARCHIVED:
            return self._kept_ranges()[:limit]
        with connection.cursor() as cursor:
            cursor.execute(MISSING_RANGES, [-1 if self.has_packet_zero else 0, self.pk, limit])
            return [(first, last) for first, last in cursor.fetchall()]

    def _kept_ranges(self) -> list[tuple[int, int]]:
        """As they were when the packets were put away."""
        pictures = self.recordings.filter(picture__isnull=False)
        kept = pictures.values_list("picture__missing", flat=True).first() or []
        return [(first, last) for first, last in kept]

    @property
    def duration(self) -> timedelta | None:
        """From its creation to its end; None while it is in progress."""
        return self.ended_at - self.created_at if self.ended_at else None

    @property
    def media(self) -> dict[str, Any]:
        return {"encoding": self.encoding, "sample_rate": self.sample_rate}


class Move(models.Model):
    """One row of the journal: written in the transaction of the move itself."""

    call = models.ForeignKey(Call, models.CASCADE, related_name="moves")
    from_state = models.CharField(max_length=16, choices=State)
    to_state = models.CharField(max_length=16, choices=State)
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    reason = models.CharField(max_length=500)

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["-at", "-id"], name="move_by_time"),
            models.Index(fields=["actor", "-at", "-id"], name="move_by_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.from_state} → {self.to_state}"
