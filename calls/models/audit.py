"""Who saw and did what. Rows are added and never changed or deleted; the database sees to it."""

import pgtrigger
from django.db import models
from django.db.models import Q


class Verb(models.TextChoices):
    OPENED = "opened", "Opened"
    PLAYED = "played", "Played"
    EXPORTED = "exported", "Exported"
    REPROCESSED = "reprocessed", "Reprocessed"
    ENDED = "ended", "Ended"
    ARCHIVED = "archived", "Archived"
    HELD = "held", "Held"
    RELEASED = "released", "Released"
    DELETED = "deleted", "Deleted"
    KEY_CREATED = "key_created", "Key created"
    KEY_REVOKED = "key_revoked", "Key revoked"
    REFUSED = "refused", "Was refused"


class Audit(models.Model):
    """Actor and call by name, so that a row outlives both."""

    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    verb = models.CharField(max_length=16, choices=Verb)
    call_id = models.CharField(max_length=128, blank=True, db_collation="C")
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name_plural = "audit"
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(condition=Q(verb__in=Verb.values), name="audit_verb"),
        ]
        # Newest first, as the audit page pages through them; dashboard/audit_trail.py.
        indexes = [
            models.Index(fields=["-at", "-id"], name="audit_by_time"),
            models.Index(fields=["actor", "-at", "-id"], name="audit_by_actor"),
            models.Index(fields=["verb", "-at", "-id"], name="audit_by_verb"),
            models.Index(
                fields=["call_id", "-at", "-id"], name="audit_by_call", condition=~Q(call_id="")
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="append_only",
                when=pgtrigger.Before,
                operation=pgtrigger.Update | pgtrigger.Delete,
                func="RAISE EXCEPTION 'audit rows are never changed or deleted'"
                " USING ERRCODE = 'check_violation';",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.get_verb_display().lower()} {self.call_id or self.detail}"
