"""Who may see the pages, and who may act on them."""

from dataclasses import dataclass
from typing import Self

from django.contrib.auth.models import AnonymousUser, PermissionsMixin

SEE = "calls.view_call"
REPROCESS = "calls.reprocess_call"
ARCHIVE = "calls.archive_call"
ACKNOWLEDGE = "calls.acknowledge_alert"
SEE_AUDIT = "calls.view_audit"


@dataclass(frozen=True, slots=True)
class Rights:
    reprocess: bool = False
    archive: bool = False
    acknowledge: bool = False

    @classmethod
    def of(cls, user: PermissionsMixin | AnonymousUser) -> Self:
        return cls(
            reprocess=user.has_perm(REPROCESS),
            archive=user.has_perm(ARCHIVE),
            acknowledge=user.has_perm(ACKNOWLEDGE),
        )
