"""Calls, their journal, their results, their recordings, and what is left of deleted ones."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from calls.admin.actions import ACTIONS, permitted, tools
from calls.admin.audit import LeavesTrace
from calls.admin.filters import Attempts, Completeness, LastPacket, Queue
from calls.admin.live import IN_LIST, SHOW, buttons, newest, story
from calls.admin.readonly import OfCalls, ReadOnlyPages, ReadOnlyRows, link_to_list
from calls.models import Attempt, Call, Deletion, Move, Result, Utterance


@admin.register(Call)
class CallAdmin(LeavesTrace):
    list_display = ["call_id", "created_at", *(SHOW[name] for name in IN_LIST)]
    list_filter = [
        "state",
        "ai_outcome",
        "end_reason",
        LastPacket,
        Completeness,
        Attempts,
        Queue,
        "held",
    ]
    search_fields = ["call_id", "agent", "caller"]
    search_help_text = "A call id, an agent or a caller, or a part of them."
    date_hierarchy = "created_at"
    ordering = ["-pk"]
    actions = [*ACTIONS.values()]
    fieldsets = [
        (None, {"fields": [
            "call_id", SHOW["state"], SHOW["end_reason"], SHOW["ai_outcome"], SHOW["ai_words"],
            SHOW["result"], SHOW["held"],
        ]}),
        ("Said by the PBX", {"fields": [
            SHOW["agent"], SHOW["queue"], SHOW["caller"], SHOW["callee"], SHOW["direction"],
            SHOW["encoding"], SHOW["sample_rate"], "metadata",
        ]}),
        ("Packets", {"fields": [
            SHOW["packet_count"], SHOW["last_sequence"], SHOW["missing"], SHOW["duplicates"],
            SHOW["late"], SHOW["unread_late"], SHOW["out_of_order"],
        ]}),
        ("AI work", {"fields": [
            SHOW["run"], SHOW["attempts"], "all_attempts", SHOW["next_attempt_at"],
            SHOW["last_error"],
        ]}),
        ("Times", {"fields": [
            "created_at", SHOW["last_packet_at"], SHOW["ended_at"], SHOW["processed_at"],
            SHOW["updated_at"], SHOW["version"],
        ]}),
    ]  # fmt: skip
    readonly_fields = [*SHOW.values(), "all_attempts"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Call]:
        calls: QuerySet[Call] = super().get_queryset(request)
        return calls.select_related("result").defer("result__transcript")

    def view_on_site(self, call: Call) -> str:
        """The page of the call, whose address the contract names."""
        return f"/calls/{call.call_id}/"

    @admin.display(description="ledger")
    def all_attempts(self, call: Call) -> SafeString:
        return link_to_list(Attempt, "attempts of all runs", job__call=call.pk)

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("calls.end_call")

    def has_reprocess_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("calls.reprocess_call")

    def has_archive_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("calls.archive_call")

    def has_hold_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("calls.hold_call")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("calls.export_call")

    def call_chosen(self, request: HttpRequest) -> str:
        chosen = [pk for pk in request.POST.getlist("_selected_action") if pk.isdecimal()]
        if len(chosen) != 1:
            return ""
        found = Call.objects.filter(pk=chosen[0]).values_list("call_id", flat=True)
        return found.first() or ""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # Read before the list: a call that begins in between is told of, not overlooked.
        context = _with_time(extra_context) | {"newest": newest()}
        return super().changelist_view(request, context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        call = context["original"]
        possible = tools(call, permitted(request.user))
        context = _with_time(context) | {"tools": buttons(possible), "story": story(call)}
        return super().render_change_form(request, context, *args, **kwargs)

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Call], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """The buttons of a call's page lead back to it."""
        answer: HttpResponse | None = super().response_action(request, queryset, *args, **kwargs)
        if isinstance(answer, HttpResponseRedirect) and "from_page" in request.POST:
            return HttpResponseRedirect(
                reverse("admin:calls_call_change", args=[request.POST["_selected_action"]])
            )
        return answer


def _with_time(context: dict[str, Any] | None) -> dict[str, Any]:
    return {**(context or {}), "now": timezone.now()}


@admin.register(Move)
class MoveAdmin(OfCalls):
    list_display = ["at", "call_link", "from_state", "to_state", "actor", "reason"]
    list_filter = ["to_state", "from_state"]
    search_fields = ["call__call_id", "actor"]
    ordering = ["-pk"]
    list_select_related = ["call"]


class UtteranceRows(ReadOnlyRows):
    model = Utterance
    fields = ["track", "start", "end", "text", "sentiment", "score", "confidence"]
    show_change_link = False


@admin.register(Result)
class ResultAdmin(LeavesTrace):
    list_display = ["call", "sentiment", "score", "run", "created_at"]
    list_filter = ["sentiment"]
    search_fields = ["call__call_id"]
    ordering = ["-pk"]
    inlines = [UtteranceRows]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Result]:
        results: QuerySet[Result] = super().get_queryset(request)
        return results.select_related("call")


@admin.register(Deletion)
class DeletionAdmin(ReadOnlyPages):
    list_display = ["call_id", "at", "actor", "reason", "created_at", "packets", "sha256"]
    search_fields = ["call_id", "actor"]
    date_hierarchy = "at"
    ordering = ["-pk"]
