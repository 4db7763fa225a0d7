"""What one socket of a PBX brings of one track of a call."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from calls.models.call import Call
from calls.states import Track

BEATS = 3  # that may fail before the process of a stream counts as dead


def beat_every() -> float:
    """Seconds; a process that died is noticed before its calls end by silence."""
    return min(5.0, settings.CALL_IDLE_TIMEOUT / (BEATS + 1))


class StreamQuerySet(models.QuerySet["Stream"]):
    def alive(self, *, now: datetime) -> Self:
        """Those whose socket is open, in a process that lives."""
        return self.filter(
            closed_at=None, seen_at__gt=now - timedelta(seconds=BEATS * beat_every())
        )

    def cut_off(self, calls: Iterable[Call], *, now: datetime) -> set[int]:
        """The keys of those calls that came by sockets of which none is left."""
        theirs = self.filter(call__in=list(calls))
        alive = set(theirs.alive(now=now).values_list("call_id", flat=True))
        return set(theirs.values_list("call_id", flat=True)) - alive


class Stream(models.Model):
    """`stored` counts its packets in their order, so that none is stored twice; `heard_until` is
    the end of their audio, in seconds since the epoch.
    """

    uid = models.UUIDField(primary_key=True)
    call = models.ForeignKey(Call, models.CASCADE, related_name="streams")
    track = models.CharField(max_length=8, choices=Track, default=Track.INBOUND)
    dialect = models.CharField(max_length=16)
    channel = models.CharField(max_length=200, help_text="What the PBX calls it.")
    stored = models.PositiveIntegerField(default=0, db_default=0)
    heard_until = models.FloatField(null=True)
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    lost = models.BooleanField(default=False, help_text="The connection broke; nobody hung up.")

    objects = StreamQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(track__in=Track.values), name="stream_track"),
            models.CheckConstraint(
                condition=Q(lost=False) | Q(closed_at__isnull=False), name="stream_lost_when_closed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dialect} {self.channel}"
