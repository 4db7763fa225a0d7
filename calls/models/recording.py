"""What the storage keeps of archived calls, and what is left of deleted ones."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from calls.models.call import Call
from calls.states import Track


class Kind(models.TextChoices):
    AUDIO = "audio", "Audio of a track"
    PACKETS = "packets", "Packets as they came"


class RecordingQuerySet(models.QuerySet["Recording"]):
    def audio(self) -> Self:
        return self.filter(kind=Kind.AUDIO).order_by("track")


class Recording(models.Model):
    """A file in the storage that an archived call stands on."""

    call = models.ForeignKey(Call, models.CASCADE, related_name="recordings")
    kind = models.CharField(max_length=8, choices=Kind)
    track = models.CharField(max_length=8, choices=Track, blank=True)
    name = models.CharField(max_length=100, unique=True, help_text="In the storage; random.")
    bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    seconds = models.FloatField(default=0, help_text="Of audio.")
    sample_rate = models.PositiveIntegerField(default=0, help_text="hertz")
    packets = models.PositiveIntegerField(help_text="From how many packets it was made.")
    dropping = models.BooleanField(
        default=False, help_text="Packets of a long call still have to leave the table."
    )
    picture = models.JSONField(
        null=True, help_text="Of the packets: where some were missing, late or double."
    )
    created_at = models.DateTimeField()

    objects = RecordingQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["id"], name="recording_dropping", condition=Q(dropping=True))
        ]
        constraints = [
            models.UniqueConstraint(fields=["call", "kind", "track"], name="recording_one_a_track"),
            models.CheckConstraint(
                condition=Q(kind=Kind.AUDIO, track__in=Track.values)
                | Q(kind=Kind.PACKETS, track=""),
                name="recording_track_iff_audio",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.track or self.kind} of {self.call}"


class StrayFileQuerySet(models.QuerySet["StrayFile"]):
    def adoptable(self) -> Self:
        return self.filter(doomed=False)

    def due(self, *, now: datetime) -> Self:
        return self.filter(due_at__lte=now).order_by("due_at")


class StrayFile(models.Model):
    """A file that no recording stands on, or not yet: removed from the storage once due.

    The row is committed before the file is written, so that no file is ever forgotten.
    """

    name = models.CharField(max_length=100, unique=True)
    due_at = models.DateTimeField(db_index=True)
    doomed = models.BooleanField(default=False, help_text="Being removed; too late to adopt.")

    objects = StrayFileQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Deletion(models.Model):
    """The receipt of a deleted call: who, when, what."""

    call_id = models.CharField(max_length=128, db_index=True, db_collation="C")
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(help_text="When the call began.")
    packets = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64, help_text="Of the file of its packets.")

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"deletion of {self.call_id}"
