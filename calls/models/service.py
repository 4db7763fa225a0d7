"""What the workers together know of the AI service as a whole: one row."""

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Q

DOUBT = timedelta(seconds=10)
"""A service that is doubted for longer, with no probe answered, counts as away."""


class AiServiceQuerySet(models.QuerySet["AiService"]):
    def closed(self) -> Self:
        return self.filter(opened_at=None)

    def probe_due(self, *, before: datetime) -> Self:
        """The breaker is open and the last probe went out before then."""
        return self.exclude(opened_at=None).filter(Q(probed_at=None) | Q(probed_at__lte=before))


class AiService(models.Model):
    """The breaker: open while the service is doubted or known to be away."""

    ONLY = 1

    opened_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(
        null=True, help_text="Since when a probe, too, has found the service away."
    )
    words = models.CharField(max_length=500, blank=True, help_text="What is wrong with it.")
    probed_at = models.DateTimeField(null=True, help_text="When the last probe went out.")
    answered_at = models.DateTimeField(null=True, help_text="When a probe was last answered.")

    objects = AiServiceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="ai_service_only_one"),
            models.CheckConstraint(
                condition=Q(confirmed_at=None) | Q(opened_at__isnull=False),
                name="ai_service_confirmed_only_when_open",
            ),
        ]

    def __str__(self) -> str:
        return "the AI service"

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None

    @property
    def is_away(self) -> bool:
        return self.confirmed_at is not None

    def is_available(self, *, now: datetime) -> bool:
        """A short doubt is no outage yet."""
        return not self.is_away and (self.opened_at is None or self.opened_at > now - DOUBT)
