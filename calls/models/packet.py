"""A packet exactly as it came; one index, the key itself."""

from collections.abc import Iterator
from typing import Any

from django.db import models
from django.db.models import Q

from calls.models.call import Call
from calls.states import Track

PAGE = 2000  # packets read at once


class PacketQuerySet(models.QuerySet["Packet"]):
    def pages(self, *columns: str, size: int = PAGE) -> Iterator[list[tuple[Any, ...]]]:
        """Call, sequence and these columns of all packets in the order of their keys.

        Each page is a statement of its own, for a cursor keeps a transaction open.
        """
        rows = self.order_by("pk").values_list("call_id", "sequence", *columns)
        page = list(rows[:size])
        while page:
            yield page
            page = list(rows.filter(pk__gt=page[-1][:2])[:size]) if len(page) == size else []


class Packet(models.Model):
    pk = models.CompositePrimaryKey("call", "sequence")
    call = models.ForeignKey(Call, models.CASCADE, related_name="packets", db_index=False)
    sequence = models.PositiveIntegerField()
    late = models.BooleanField(default=False, help_text="Came after the end of the call.")
    timestamp = models.FloatField(help_text="The sender's clock, seconds since the epoch.")
    received_at = models.DateTimeField()
    track = models.CharField(max_length=8, choices=Track, default=Track.INBOUND)
    data = models.TextField()

    objects = PacketQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(track__in=Track.values), name="packet_track"),
        ]

    def __str__(self) -> str:
        return f"{self.call_id}/{self.sequence}"


class Duplicate(models.Model):
    """How often a packet came again after it was stored."""

    pk = models.CompositePrimaryKey("call", "sequence")
    call = models.ForeignKey(Call, models.CASCADE, related_name="duplicate_packets", db_index=False)
    sequence = models.PositiveIntegerField()
    times = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.call_id}/{self.sequence}, {self.times} times"
