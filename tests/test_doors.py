"""Whoever moves a call, by whichever door, leaves the same row in the journal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from calls.models import Call, Job, Move
from tests.dashboard.outcomes import begin_run, transcribed_call
from tests.factories import api_key, call_in_progress

pytestmark = pytest.mark.django_db(transaction=True)

Door = Callable[[Call], object]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, settings: Any) -> Path:
    """The folder of the recordings."""
    backend = {"BACKEND": "calls.records.storage.Folder", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = settings.STORAGES | {"recordings": backend}
    return tmp_path


def by_api(verb: str) -> Door:
    def go(call: Call) -> None:
        key = {"Authorization": f"Bearer {api_key()}"}
        answer = Client().post(
            f"/v1/call/{call.call_id}/{verb}", {}, "application/json", headers=key
        )
        assert answer.status_code == 202, answer.content

    return go


def staff() -> Client:
    client = Client()
    user, _ = User.objects.get_or_create(username="root", is_staff=True, is_superuser=True)
    client.force_login(user)
    return client


def by_admin(action: str) -> Door:
    def go(call: Call) -> None:
        chosen = {"action": action, "_selected_action": call.pk}
        assert staff().post("/admin/calls/call/", chosen).status_code == 302

    return go


def by_page(verb: str) -> Door:
    def go(call: Call) -> None:
        assert staff().post(f"/calls/{call.call_id}/{verb}").status_code == 302

    return go


def by_command(command: str) -> Door:
    def go(call: Call) -> None:
        call_command(command, call.call_id)

    return go


def last_move(call: Call) -> tuple[str, str, str, str]:
    """From, to, why, and the kind of who."""
    move = Move.objects.filter(call=call).last()
    assert move is not None
    assert move.at == Call.objects.get(pk=call.pk).updated_at
    return move.from_state, move.to_state, move.reason, move.actor.split()[0]


ARCHIVING = {
    "key": by_api("archive"),
    "user": by_admin("archive_selected"),
    "user ": by_page("archive"),
    "command": by_command("archive_calls"),
}
REPROCESSING = {
    "key": by_api("reprocess"),
    "user": by_admin("reprocess"),
    "user ": by_page("reprocess"),
    "command": by_command("reprocess_calls"),
}


@pytest.mark.parametrize("who", ARCHIVING)
def test_every_door_archives_with_the_same_row(who: str) -> None:
    call = transcribed_call()
    ARCHIVING[who](call)
    row = ("COMPLETED", "ARCHIVED", "archived by request", who.strip())
    assert last_move(call) == row
    assert Move.objects.filter(call=call).count() == 4


@pytest.mark.parametrize("who", REPROCESSING)
def test_every_door_reprocesses_with_the_same_rows(who: str) -> None:
    call = transcribed_call()
    REPROCESSING[who](call)
    job = Job.objects.open().get(call=call)
    assert (job.origin, job.run, job.actor.split()[0]) == ("reprocess", 2, who.strip())
    begin_run(call, now=timezone.now())
    move = Move.objects.filter(call=call).last()
    assert move is not None
    assert (move.from_state, move.to_state) == ("COMPLETED", "PROCESSING_AI")
    assert move.reason == "run 2: reprocess"


@pytest.mark.parametrize(
    ("who", "door", "why"),
    [("key", by_api("end"), "hangup"), ("user", by_admin("end"), "ended by staff")],
)
def test_every_door_ends_with_the_same_row(who: str, door: Door, why: str) -> None:
    call = call_in_progress()
    door(call)
    assert last_move(call) == ("IN_PROGRESS", "COMPLETED", why, who)
    assert Job.objects.open().get(call=call).origin == "end"
