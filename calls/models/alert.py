"""What needs a person's attention, and the phrases that staff listen for."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from calls.models.call import Call
from calls.states import Track


class AlertKind(models.TextChoices):
    OUTAGE = "outage", "AI outage"
    FAILED = "failed", "Call failed"
    SILENT = "silent", "Gone silent"
    NEGATIVE = "negative", "Strongly negative"
    PHRASE = "phrase", "Phrase"


class AlertQuerySet(models.QuerySet["Alert"]):
    def ongoing(self) -> Self:
        """Not over by itself."""
        return self.filter(resolved_at=None)

    def open(self) -> Self:
        """Neither over nor acknowledged."""
        return self.ongoing().filter(acknowledged_at=None)

    def newest_first(self) -> Self:
        return self.order_by("-pk")


class Alert(models.Model):
    """Raised once per cause, for the cause is unique; what goes with its call when that goes."""

    kind = models.CharField(max_length=16, choices=AlertKind)
    cause = models.CharField(max_length=255, unique=True)
    call = models.ForeignKey(Call, models.CASCADE, null=True, related_name="alerts")
    track = models.CharField(max_length=8, choices=Track, blank=True)
    start = models.FloatField(null=True, help_text="Where in the recording, in seconds.")
    words = models.CharField(max_length=500)
    raised_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, help_text="When it was over by itself.")
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        permissions = [("acknowledge_alert", "Can acknowledge an alert")]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=AlertKind.values), name="alert_kind"),
            models.CheckConstraint(
                condition=Q(kind=AlertKind.OUTAGE, call=None)
                | (~Q(kind=AlertKind.OUTAGE) & Q(call__isnull=False)),
                name="alert_call_unless_outage",
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at=None, acknowledged_by="")
                | (Q(acknowledged_at__isnull=False) & ~Q(acknowledged_by="")),
                name="alert_acknowledged_by_somebody",
            ),
            models.UniqueConstraint(
                fields=["kind"],
                condition=Q(kind=AlertKind.OUTAGE, resolved_at=None),
                name="alert_one_outage_at_a_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                name="alert_open",
                condition=Q(resolved_at=None, acknowledged_at=None),
            ),
            models.Index(
                fields=["kind", "id"], name="alert_ongoing", condition=Q(resolved_at=None)
            ),
            models.Index(fields=["kind", "-id"], name="alert_by_kind"),
        ]

    def __str__(self) -> str:
        return self.words

    @property
    def over_at(self) -> datetime | None:
        """When nobody had to look at it any more."""
        ends = [at for at in (self.resolved_at, self.acknowledged_at) if at]
        return min(ends, default=None)


class Phrase(models.Model):
    """Calls in which it is said raise an alert."""

    text = models.CharField(max_length=100, help_text="Whole words; case does not matter.")
    words = models.CharField(
        max_length=200, unique=True, editable=False, help_text="The text as it is compared."
    )
    added_at = models.DateTimeField()
    added_by = models.CharField(max_length=200)

    class Meta:
        default_permissions = ("add", "delete", "view")

    def __str__(self) -> str:
        return self.text
