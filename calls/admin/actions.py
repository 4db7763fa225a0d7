"""What staff may do to calls: each through the door that the API and the commands take."""

from collections.abc import Callable, Set
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, PermissionsMixin
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from calls.admin.export import export
from calls.ai import jobs
from calls.ingest import ending
from calls.models import Call
from calls.models.audit import Verb
from calls.records import archive, audit, holding, many
from calls.records.many import Act, Already, Refused, Tally
from calls.records.storage import StorageFailed
from calls.states import RUNNABLE, EndReason, Outcome, State

AT_ONCE = 200  # calls

Action = Callable[[Any, HttpRequest, QuerySet[Call]], Any]


def actor(request: HttpRequest) -> str:
    """Who the journal says it was."""
    return f"user {request.user}"


@admin.action(description="End the selected calls", permissions=["end"])
def end(model_admin: Any, request: HttpRequest, calls: QuerySet[Call]) -> None:
    def act(call_id: str) -> None:
        now = timezone.now()
        call = ending.end(
            call_id,
            reason=EndReason.OPERATOR,
            words="ended by staff",
            now=now,
            actor=actor(request),
        )
        if call.ended_at != now:
            raise Refused("has ended already")
        _note(request, Verb.ENDED, call_id)

    _on_each(request, calls, act, done="ended")


@admin.action(description="Reprocess the selected calls", permissions=["reprocess"])
def reprocess(model_admin: Any, request: HttpRequest, calls: QuerySet[Call]) -> None:
    def act(call_id: str) -> None:
        now = timezone.now()
        if jobs.reprocess(call_id, now=now, actor=actor(request)).updated_at != now:
            raise Already("is queued already")
        _note(request, Verb.REPROCESSED, call_id)

    _on_each(request, calls, act, done="queued")


@admin.action(description="Archive the selected calls", permissions=["archive"])
def archive_selected(model_admin: Any, request: HttpRequest, calls: QuerySet[Call]) -> None:
    def act(call_id: str) -> None:
        archive.archive(call_id, now=timezone.now(), actor=actor(request))
        _note(request, Verb.ARCHIVED, call_id)

    _on_each(request, calls, act, done="archived")


@admin.action(description="Hold: neither archive nor delete", permissions=["hold"])
def hold(model_admin: Any, request: HttpRequest, calls: QuerySet[Call]) -> None:
    def act(call_id: str) -> None:
        holding.hold(call_id, now=timezone.now())
        _note(request, Verb.HELD, call_id)

    _on_each(request, calls, act, done="held")


@admin.action(description="Release what is held", permissions=["hold"])
def release(model_admin: Any, request: HttpRequest, calls: QuerySet[Call]) -> None:
    def act(call_id: str) -> None:
        holding.release(call_id, now=timezone.now())
        _note(request, Verb.RELEASED, call_id)

    _on_each(request, calls, act, done="released")


@admin.action(description="Export as CSV", permissions=["export"])
def export_csv(
    model_admin: Any, request: HttpRequest, calls: QuerySet[Call]
) -> StreamingHttpResponse:
    asked = "selected calls" if request.POST.get("select_across") != "1" else "all calls found"
    _note(request, Verb.EXPORTED, detail=f"CSV of {asked}: {request.get_full_path()}")
    return export(calls, now=timezone.now())


ACTIONS: dict[str, Action] = {
    "end": end,
    "reprocess": reprocess,
    "archive_selected": archive_selected,
    "hold": hold,
    "release": release,
    "export_csv": export_csv,
}


def tools(call: Call, permitted: Set[str]) -> dict[str, str]:
    """Of these actions what may be done to this call as it is, by name, in one word."""
    settled = call.ai_outcome != Outcome.PENDING
    possible = {
        "end": (call.state == State.IN_PROGRESS, "End"),
        "reprocess": (call.state in RUNNABLE, "Reprocess"),
        "archive_selected": (call.state in RUNNABLE and settled and not call.held, "Archive"),
        "hold": (not call.held, "Hold"),
        "release": (call.held, "Release"),
    }
    return {name: word for name, (legal, word) in possible.items() if legal and name in permitted}


def permitted(user: PermissionsMixin | AnonymousUser) -> frozenset[str]:
    """The actions that this user may take, whatever the call."""
    wanted: dict[str, str] = {
        name: action.allowed_permissions[0]  # type: ignore[attr-defined]
        for name, action in ACTIONS.items()
    }
    return frozenset(name for name, may in wanted.items() if user.has_perm(f"calls.{may}_call"))


def _note(request: HttpRequest, verb: Verb, call_id: str = "", *, detail: str = "") -> None:
    audit.record(
        actor=actor(request), verb=verb, call_id=call_id, detail=detail, now=timezone.now()
    )


def _on_each(request: HttpRequest, calls: QuerySet[Call], act: Act, *, done: str) -> None:
    chosen = list(calls.order_by("pk").values_list("call_id", flat=True)[: AT_ONCE + 1])
    if len(chosen) > AT_ONCE:
        words = f"More than {AT_ONCE} calls are selected: take fewer, or use the commands."
        messages.error(request, words)
        return
    tally, stopped = Tally(), ""
    try:
        for _ in many.each(chosen, act, tally):
            pass
    except StorageFailed as error:
        stopped = f" Stopped: {error}."
    level = messages.WARNING if tally.refused or stopped else messages.SUCCESS
    messages.add_message(request, level, f"{tally.words(done)}.{stopped}")
