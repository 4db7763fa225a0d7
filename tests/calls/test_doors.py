"""Every door through which a call is moved on request: the same rows behind each of them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command, get_commands
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from calls.admin.actions import ACTIONS
from calls.models import Audit, Call, Job, Move
from tests.dashboard.outcomes import begin_run, transcribed_call
from tests.factories import api_key, call_in_progress

pytestmark = pytest.mark.django_db

Door = Callable[[Call], object]


def api(verb: str) -> Door:
    def knock(call: Call) -> None:
        headers = {"Authorization": f"Bearer {api_key()}"}
        path = f"/v1/call/{call.call_id}/{verb}"
        answer = Client().generic("POST", path, headers=headers)
        assert answer.status_code == 202, answer.content

    return knock


def page(verb: str) -> Door:
    return lambda call: browser().post(f"/calls/{call.call_id}/{verb}")


def staff(action: str) -> Door:
    def knock(call: Call) -> None:
        chosen = {"action": action, "_selected_action": [call.pk]}
        browser().post("/admin/calls/call/", chosen)

    return knock


def command(name: str) -> Door:
    return lambda call: call_command(name, call.call_id)


def browser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("anna"))
    return client


END = [(api("end"), "key test ("), (staff("end"), "user anna")]
REPROCESS = [
    (api("reprocess"), "key test ("),
    (page("reprocess"), "user anna"),
    (staff("reprocess"), "user anna"),
    (command("reprocess_calls"), "command reprocess_calls ("),
]
ARCHIVE = [
    (api("archive"), "key test ("),
    (page("archive"), "user anna"),
    (staff("archive_selected"), "user anna"),
    (command("archive_calls"), "command archive_calls ("),
]
MOVE_NOTHING = {
    *("hold", "release", "export_csv"),
    *("create_api_key", "revoke_api_key"),
    "delete_calls",  # which leaves a receipt instead of a journal
}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, settings: Any) -> None:
    backend = {"BACKEND": "calls.records.storage.Folder", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = settings.STORAGES | {"recordings": backend}


def test_there_is_no_other_door() -> None:
    assert set(ACTIONS) - MOVE_NOTHING == {"end", "reprocess", "archive_selected"}
    commands = {name for name, app in get_commands().items() if app == "calls"}
    assert commands - MOVE_NOTHING == {"reprocess_calls", "archive_calls"}
    paths = Client().get("/v1/openapi.json").json()["paths"]
    assert {path for path, methods in paths.items() if "post" in methods} == {
        *(f"/v1/call/{{call_id}}/{verb}" for verb in ("end", "reprocess", "archive")),
        *("/v1/call/stream/{call_id}", "/v1/packets"),  # which create calls
    }
    routes = str([*get_resolver().reverse_dict.values()])
    assert set(re.findall(r"calls/%\(call_id\)s/(\w+)'", routes)) == {
        *("reprocess", "archive"),
        *("recording", "waveform", "transcript"),  # which are read
    }


def new_rows(call: Call, door: Door) -> tuple[Move, list[tuple[str, str]]]:
    """The one journal row that came of it, and of the audit who did what."""
    before = set(call.moves.values_list("pk", flat=True))
    door(call)
    [move] = call.moves.exclude(pk__in=before)
    return move, [*Audit.objects.filter(call_id=call.call_id).values_list("actor", "verb")]


@pytest.mark.parametrize(("door", "actor"), END)
def test_every_end_is_journaled_alike(door: Door, actor: str) -> None:
    call = call_in_progress()
    move, _ = new_rows(call, door)
    assert (move.from_state, move.to_state) == ("IN_PROGRESS", "COMPLETED")
    assert move.actor.startswith(actor)
    call.refresh_from_db()
    assert move.at == call.ended_at
    assert Job.objects.get().actor == move.actor


@pytest.mark.parametrize(("door", "actor"), ARCHIVE)
def test_every_archiving_is_journaled_alike(door: Door, actor: str) -> None:
    move, noted = new_rows(transcribed_call(), door)
    assert (move.from_state, move.to_state) == ("COMPLETED", "ARCHIVED")
    assert move.reason == "archived by request"
    assert move.actor.startswith(actor)
    assert noted == [(move.actor, "archived")]


@pytest.mark.parametrize(("door", "actor"), REPROCESS)
def test_every_reprocessing_is_journaled_alike(door: Door, actor: str) -> None:
    """The move is the worker's, once it begins; who asked stands at the run."""

    def ask_and_begin(call: Call) -> None:
        door(call)
        begin_run(call, now=timezone.now())

    call = transcribed_call()
    move, noted = new_rows(call, ask_and_begin)
    assert (move.from_state, move.to_state) == ("COMPLETED", "PROCESSING_AI")
    assert (move.actor, move.reason) == ("worker", "run 2: reprocess")
    asked = call.jobs.get(run=2).actor
    assert asked.startswith(actor)
    assert noted == [(asked, "reprocessed")]
