"""What staff do to calls in the admin, and who may not."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from calls.admin import actions
from calls.admin.actions import ACTIONS
from calls.api.auth import create_key
from calls.models import ApiKey, Audit, Call, Job, Move, Phrase
from calls.records import deletion, holding, phrases
from tests.calls.test_admin import staff_with, story, text
from tests.dashboard.outcomes import transcribed_call
from tests.dashboard.sockets import here
from tests.factories import NOW, call_in_progress, ended_call

pytestmark = pytest.mark.django_db

LIST = "/admin/calls/call/"
BASE_DIR = Path(__file__).resolve().parents[2]
PERMISSION = {
    "end": "end_call",
    "reprocess": "reprocess_call",
    "archive_selected": "archive_call",
    "hold": "hold_call",
    "release": "hold_call",
    "export_csv": "export_call",
}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, settings: Any) -> Path:
    """The folder of the recordings."""
    backend = {"BACKEND": "calls.records.storage.Folder", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = settings.STORAGES | {"recordings": backend}
    return tmp_path


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def do(client: Client, action: str, *calls: Call) -> str:
    """What the list says after the action."""
    chosen = {"action": action, "_selected_action": [call.pk for call in calls]}
    answer = client.post(LIST, chosen, follow=True)
    return " ".join(str(message) for message in answer.context["messages"])


def now(call: Call) -> Call:
    return Call.objects.get(pk=call.pk)


def test_calls_are_ended_and_the_others_told_with_why(client: Client) -> None:
    talking, over = call_in_progress(), ended_call()
    assert do(client, "end", talking, over) == "1 ended, 1 refused: has ended already (1)."
    assert (now(talking).state, now(talking).end_reason) == ("COMPLETED", "operator")


def test_calls_are_run_again_and_the_others_told_with_why(client: Client) -> None:
    fine, talking = transcribed_call(), call_in_progress()
    said = do(client, "reprocess", fine, talking)
    assert said == "1 queued, 1 refused: cannot be run again: it has not ended yet (1)."
    assert Job.objects.open().get().actor == "user root"
    assert do(client, "reprocess", fine) == "0 queued, 1 already so, 0 refused."
    assert Audit.objects.filter(verb="reprocessed").count() == 1


def test_calls_are_archived_and_the_others_told_with_why(client: Client) -> None:
    fine, waiting = transcribed_call(), ended_call()
    said = do(client, "archive_selected", fine, waiting)
    assert said == (
        "1 archived, 1 refused: cannot be archived: it still waits for its AI outcome (1)."
    )
    assert now(fine).state == "ARCHIVED"
    last = Move.objects.filter(call=fine).last()
    assert last is not None
    assert last.actor == "user root"


def test_a_call_is_held_and_released_and_both_are_recorded(client: Client) -> None:
    call = transcribed_call()
    assert do(client, "hold", call) == "1 held, 0 refused."
    assert now(call).held
    assert "it is held" in do(client, "archive_selected", call)
    do(client, "release", call)
    assert not now(call).held
    told = Audit.objects.order_by("pk").values_list("verb", "actor", "call_id")
    assert list(told) == [(verb, "user root", call.call_id) for verb in ("held", "released")]


def test_too_many_at_once_are_refused_as_a_whole(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "AT_ONCE", 1)
    calls = [call_in_progress() for _ in range(2)]
    assert "More than 1 calls are selected" in do(client, "end", *calls)
    assert {now(call).state for call in calls} == {"IN_PROGRESS"}


def test_a_storage_that_is_away_is_told(client: Client, settings: Any) -> None:
    nowhere = {"BACKEND": "calls.records.storage.Nowhere"}
    settings.STORAGES = settings.STORAGES | {"recordings": nowhere}
    assert "Stopped: the recordings' storage failed" in do(
        client, "archive_selected", transcribed_call()
    )


@pytest.mark.parametrize("action", ACTIONS)
def test_without_the_permission_an_action_is_neither_offered_nor_done_and_recorded(
    action: str,
) -> None:
    others = {permission for name, permission in PERMISSION.items() if name != action}
    client = staff_with("view_call", *(others - {PERMISSION[action]}))
    calls = [call_in_progress(), transcribed_call()]
    holding.hold(calls[1].call_id, now=NOW)
    before = list(Call.objects.order_by("pk").values())
    assert f'value="{action}"' not in text(client, "call/")
    for call in calls:
        assert f'value="{action}"' not in text(client, f"call/{call.pk}/change/")
    chosen = {"action": action, "_selected_action": [call.pk for call in calls]}
    assert client.post(LIST, chosen).status_code == 403
    assert list(Call.objects.order_by("pk").values()) == before
    refusal = Audit.objects.get(verb="refused")
    assert refusal.detail == f"{action} in the admin"


def test_the_refusal_of_a_button_posted_by_hand_names_its_call() -> None:
    call = call_in_progress()
    chosen = {"action": "end", "_selected_action": [call.pk], "from_page": "1"}
    assert staff_with("view_call").post(LIST, chosen).status_code == 403
    assert Audit.objects.get().call_id == call.call_id


@pytest.mark.parametrize(
    ("path", "form", "detail"),
    [
        ("apikey/", {"action": "revoke_selected"}, "revoke_selected in the admin"),
        ("apikey/add/", {"name": "mine", "scopes": "manage"}, "POST /admin/calls/apikey/add/"),
        ("apikey/{key}/revoke/", {}, "POST /admin/calls/apikey/{key}/revoke/"),
        ("phrase/add/", {"text": "refund"}, "POST /admin/calls/phrase/add/"),
        ("phrase/{phrase}/delete/", {"post": "yes"}, "POST /admin/calls/phrase/{phrase}/delete/"),
        ("phrase/", {"action": "delete_selected"}, "delete_selected in the admin"),
        ("call/{call}/change/", {"state": "ARCHIVED"}, "POST /admin/calls/call/{call}/change/"),
    ],
)
def test_what_staff_post_by_hand_without_the_permission_is_recorded(
    path: str, form: dict[str, str], detail: str
) -> None:
    call, phrase = call_in_progress(), phrases.add("cancel", now=NOW, actor="test")
    key, _ = create_key(name="pbx", scopes=["read"], now=NOW)
    names = {"call": call.pk, "phrase": phrase.pk, "key": key.pk}
    client = staff_with("view_call", "view_apikey", "view_phrase")
    chosen = form | {"_selected_action": [key.pk if "key" in path else phrase.pk]}
    address = f"/admin/calls/{path.format_map(names)}"
    assert client.post(address, chosen).status_code == 403
    refusal = Audit.objects.get(verb="refused")
    assert refusal.detail == detail.format_map(names)
    assert refusal.actor.startswith("user ")
    assert ApiKey.objects.live(now=NOW).count() == Phrase.objects.count() == 1


@pytest.mark.parametrize("action", ACTIONS)
def test_with_the_permission_an_action_is_offered(action: str) -> None:
    client = staff_with("view_call", PERMISSION[action])
    call_in_progress()
    assert f'value="{action}"' in text(client, "call/")


def test_the_readme_names_the_permission_of_every_action() -> None:
    readme = (BASE_DIR / "README.md").read_text()
    missing = {word for word in PERMISSION.values() if f"`calls.{word}`" not in readme}
    assert PERMISSION.keys() == ACTIONS.keys()
    assert not missing


@pytest.mark.parametrize(
    ("make", "offered"),
    [
        (call_in_progress, {"end", "hold"}),
        (ended_call, {"reprocess", "hold"}),
        (transcribed_call, {"reprocess", "archive_selected", "hold"}),
        (lambda: holding.hold(transcribed_call().call_id, now=NOW), {"reprocess", "release"}),
    ],
)
def test_the_page_of_a_call_offers_what_is_legal(
    client: Client, make: Any, offered: set[str]
) -> None:
    page = text(client, f"call/{make().pk}/change/")
    assert {action for action in ACTIONS if f'value="{action}"' in page} == offered


def test_a_button_leads_back_to_the_page_of_its_call(client: Client) -> None:
    call = call_in_progress()
    chosen = {"action": "end", "_selected_action": call.pk, "from_page": "1"}
    answer = client.post(LIST, chosen)
    assert answer["Location"] == f"{LIST}{call.pk}/change/"


async def exported(*calls: Call, across: bool = False) -> list[dict[str, str]]:
    client = AsyncClient()
    await client.aforce_login(await here(User.objects.create_superuser, "exporter"))
    chosen = {
        "action": "export_csv",
        "_selected_action": [call.pk for call in calls],
        "select_across": "1" if across else "0",
    }
    answer: Any = await client.post(LIST, chosen)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith("attachment")
    content = b"".join([chunk async for chunk in answer.streaming_content])
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.mark.django_db(transaction=True)
async def test_calls_are_exported_page_after_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calls.admin.export.PAGE", 2)
    calls = [await here(call_in_progress) for _ in range(5)]
    rows = await exported(calls[0], across=True)
    assert [row["call_id"] for row in rows] == [call.call_id for call in calls]
    assert rows[0]["state"] == "IN_PROGRESS"


@pytest.mark.django_db(transaction=True)
async def test_no_exported_cell_is_a_formula() -> None:
    call = await here(call_in_progress)
    evil = {"agent": '=HYPERLINK("http://evil")', "queue": "@SUM(A1)", "caller": "+4477"}
    await here(Call.objects.filter(pk=call.pk).update, **evil, callee="-1+2")
    [row] = await exported(call)
    for column in ("agent", "queue", "caller", "callee"):
        assert row[column].startswith("'")
    assert row["packet_count"] == "3"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("packets=complete", ["complete", "from one"]),
        ("packets=gaps", ["few"]),
        ("packets=many", ["many"]),
        ("packets=none", ["none"]),
        ("last_packet=never", ["none"]),
        ("last_packet=older", ["complete", "from one", "few", "many"]),
        ("last_packet=minute", []),
        ("tried=none", ["complete", "from one", "few", "many"]),
        ("tried=few", ["none"]),
        ("queue=Sales", ["few"]),
        ("queue=nonsense", []),
        ("packets=nonsense", ["complete", "from one", "few", "many", "none"]),
    ],
)
def test_calls_are_found_by_what_people_ask(client: Client, query: str, found: list[str]) -> None:
    facts: dict[str, dict[str, Any]] = {
        "complete": {"packet_count": 100, "last_sequence": 99, "has_packet_zero": True},
        "from one": {"packet_count": 100, "last_sequence": 100},
        "few": {"packet_count": 98, "last_sequence": 99, "has_packet_zero": True, "queue": "Sales"},
        "many": {"packet_count": 10, "last_sequence": 99, "has_packet_zero": True},
        "none": {"packet_count": 0, "last_sequence": None, "last_packet_at": None, "attempts": 4},
    }
    for name, fields in facts.items():
        call = call_in_progress(packets=1)
        fields = {"has_packet_zero": False, "last_packet_at": NOW} | fields
        Call.objects.filter(pk=call.pk).update(agent=name, **fields)
    calls = client.get(f"{LIST}?{query}").context["cl"].queryset
    assert [call.agent for call in calls.order_by("pk")] == found


def test_long_lists_are_counted_only_so_far(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.admin.pages.COUNTED", 4)
    for _ in range(4):
        call_in_progress(packets=1)
    assert "more than" not in text(client, "call/")
    call_in_progress(packets=1)
    assert "more than 4 calls" in text(client, "call/")


def test_a_receipt_can_be_looked_up_and_not_changed(client: Client) -> None:
    call = story()
    receipt = deletion.delete(call.call_id, now=NOW, actor="user root", reason="asked for")
    assert call.call_id in text(client, f"deletion/?q={call.call_id}")
    assert receipt.sha256 in text(client, f"deletion/{receipt.pk}/change/")
    assert client.post(f"/admin/calls/deletion/{receipt.pk}/delete/").status_code == 403
