"""Keys of the programs that talk to the API."""

from datetime import datetime
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class Scope(models.TextChoices):
    INGEST = "ingest", "Send packets"
    READ = "read", "Read calls"
    MANAGE = "manage", "Reprocess and archive"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def live(self, *, now: datetime) -> Self:
        """Neither revoked nor past their time."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


class ApiKey(models.Model):
    """Only a digest of the secret is kept; the prefix names the key in logs and pages."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, unique=True)
    digest = models.CharField(max_length=64)
    scopes = ArrayField(models.CharField(max_length=16, choices=Scope))
    rate = models.PositiveIntegerField(
        null=True, blank=True, help_text="Packets a second; empty for no limit."
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    def allows(self, scope: str) -> bool:
        return self.revoked_at is None and scope in self.scopes

    def revoke(self, *, now: datetime) -> None:
        self.revoked_at = self.revoked_at or now
        self.save(update_fields=["revoked_at"])
