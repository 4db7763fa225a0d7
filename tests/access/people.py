"""Who knocks at the doors, what there is behind them, and whether anything in it was moved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.utils import timezone

from calls.api.auth import create_key, find_key, revoke_key
from calls.models import ApiKey, Audit, Call, SavedView
from calls.models.access import Scope
from calls.models.audit import Verb
from calls.records import alerts, audit, deletion, holding, phrases
from tests.dashboard.outcomes import OVERLOADED, REFUSED, finish_run, said, transcribed_call
from tests.dashboard.people import user_with
from tests.factories import NOW, call_in_progress, ended_call


class Who(StrEnum):
    NOBODY = "nobody"
    WRONG_KEY = "a wrong key"
    REVOKED_KEY = "a revoked key"
    EXPIRED_KEY = "a key past its time"
    INGEST_KEY = "an ingest key"
    READ_KEY = "a read key"
    MANAGE_KEY = "a manage key"
    DISABLED = "a disabled user"
    STRANGER = "a user without rights"
    SUPERVISOR = "a supervisor"
    TRUSTED = "a supervisor who may act"
    STAFF = "staff"
    ADMIN = "an admin"


SEES = ("view_call", "acknowledge_alert")
PERMISSIONS: Mapping[Who, tuple[str, ...]] = {
    Who.DISABLED: (*SEES, "reprocess_call", "archive_call"),
    Who.STRANGER: (),
    Who.SUPERVISOR: SEES,
    Who.TRUSTED: (*SEES, "reprocess_call", "archive_call", "view_audit"),
    Who.STAFF: SEES,
    Who.ADMIN: (),
}
WRONG = "cc_abcdefgh_" + "x" * 43


@dataclass(slots=True)
class World:
    """What everybody's doors lead to: a row in every table that has pages, and everybody's papers.

    `headers` are those of a request, by who makes it: a key or the cookie of a session.
    """

    call: Call
    view: SavedView
    headers: dict[Who, dict[str, str]] = field(default_factory=dict)

    def a_row_of(self, label: str) -> Any:
        row = apps.get_model(label).objects.order_by("pk").first()
        assert row is not None, f"nothing of {label} is in the world: make one in make_world()"
        return row


def make_world() -> World:
    call = finish_run(ended_call(), OVERLOADED, said("thank you"))
    finish_run(ended_call(), REFUSED)
    call_in_progress()
    holding.hold(transcribed_call().call_id, now=NOW)
    gone = transcribed_call()
    deletion.delete(gone.call_id, now=NOW, actor="test", reason="test")
    phrases.add("cancel my contract", now=NOW, actor="test")
    alerts.raise_due(now=NOW)
    audit.record(actor="test", verb=Verb.OPENED, now=NOW)
    Group.objects.create(name="Watchers")
    headers: dict[Who, dict[str, str]] = {Who.NOBODY: {}}
    headers |= _keys() | {who: _session(who) for who in PERMISSIONS}
    owner = User.objects.get(username=Who.SUPERVISOR)
    view = SavedView.objects.create(user=owner, name="mine", query="")
    return World(Call.objects.get(pk=call.pk), view, headers)


def _keys() -> dict[Who, dict[str, str]]:
    scopes = {Who.INGEST_KEY: "ingest", Who.READ_KEY: "read", Who.MANAGE_KEY: "manage"}
    secrets = {who: _key(scope) for who, scope in scopes.items()}
    secrets |= {Who.REVOKED_KEY: _key("ingest", "read", "manage"), Who.WRONG_KEY: WRONG}
    revoked = ApiKey.objects.latest("pk")
    revoke_key(revoked, now=NOW, actor="test")
    _, secrets[Who.EXPIRED_KEY] = create_key(
        name="test", scopes=Scope.values, now=NOW, expires_at=NOW + timedelta(days=1)
    )
    return {who: {"Authorization": f"Bearer {secret}"} for who, secret in secrets.items()}


def _key(*scopes: str) -> str:
    _, secret = create_key(name="test", scopes=scopes, now=NOW)
    find_key(secret, now=timezone.now())  # its use is noted once a minute, not by the test
    return secret


def _session(who: Who) -> dict[str, str]:
    user = user_with(*PERMISSIONS[who])
    user.username, user.is_staff = who, who in (Who.STAFF, Who.ADMIN)
    user.is_superuser = who == Who.ADMIN
    user.save(update_fields=["username", "is_staff", "is_superuser"])
    client = Client()
    client.force_login(user)
    if who == Who.DISABLED:
        User.objects.filter(pk=user.pk).update(is_active=False)
    return {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}


def fingerprint() -> list[tuple[Any, ...]]:
    """Of all that nobody may change unasked. The audit tells of refusals too: it is left out."""
    models = [m for app in ("auth", "calls") for m in apps.get_app_config(app).get_models()]
    tables = sorted(model._meta.db_table for model in models if model is not Audit)
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{table}', count(*), sum(hashtext(rows::text)) FROM {table} AS rows"
                for table in tables
            )
        )
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
