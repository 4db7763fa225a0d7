"""A packet exactly as it came; one index, the key itself."""

from django.db import models
from django.db.models import Q

from calls.models.call import Call
from calls.states import Track


class Packet(models.Model):
    pk = models.CompositePrimaryKey("call", "sequence")
    call = models.ForeignKey(Call, models.CASCADE, related_name="packets", db_index=False)
    sequence = models.PositiveIntegerField()
    late = models.BooleanField(default=False, help_text="Came after the end of the call.")
    timestamp = models.FloatField(help_text="The sender's clock, seconds since the epoch.")
    received_at = models.DateTimeField()
    track = models.CharField(max_length=8, choices=Track, default=Track.INBOUND)
    data = models.TextField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(track__in=Track.values), name="packet_track"),
        ]

    def __str__(self) -> str:
        return f"{self.call_id}/{self.sequence}"
