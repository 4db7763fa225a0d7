"""The one door into the audit: who saw and did what.

Call `record` at the edge, where the person or the program is known, once the thing is done: in a
view, an endpoint, an admin action, a command. The actor is named as in the journal (`user anna`,
`key pbx (abc12345)`, `command archive_calls`). Looking at the same thing again within
`REPEATED_WITHIN` (a page that is reloaded or polls, the Range requests of one playing) adds
nothing; whatever changes something is a row each time.
"""

from datetime import datetime, timedelta

from django.db import connection, transaction

from calls.models import Audit
from calls.models.audit import Verb

REPEATED_WITHIN = timedelta(minutes=10)
LOOKS = frozenset({Verb.OPENED, Verb.PLAYED, Verb.EXPORTED})


def record(
    *, actor: str, verb: Verb, now: datetime, call_id: str = "", detail: str = ""
) -> Audit | None:
    """Adds a row; None where it would only repeat one. What is too long is cut."""
    row = Audit(
        at=now,
        actor=_kept(actor, 200),
        verb=verb,
        call_id=_kept(call_id, 128),
        detail=_kept(detail, 500),
    )
    if verb not in LOOKS:
        return _add(row)
    with transaction.atomic():
        _lock(row)
        return None if _repeats(row) else _add(row)


def _add(row: Audit) -> Audit:
    Audit.objects.bulk_create([row])
    return row


def _repeats(row: Audit) -> bool:
    alike = Audit.objects.filter(
        actor=row.actor, verb=row.verb, call_id=row.call_id, detail=row.detail
    )
    return alike.filter(at__gt=row.at - REPEATED_WITHIN, at__lte=row.at).exists()


def _lock(row: Audit) -> None:
    """Until the end of the transaction, against the same look at the same instant."""
    alike = "\n".join(("audit", row.actor, row.verb, row.call_id, row.detail))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [alike])


def _kept(text: str, length: int) -> str:
    return text.replace("\0", "")[:length]
