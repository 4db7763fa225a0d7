"""Calls, their journal and their results."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from calls.admin.audit import LeavesTrace
from calls.admin.readonly import ReadOnlyPages, ReadOnlyRows, link, link_to_list
from calls.models import Attempt, Call, Job, Move, Result, Utterance


class MoveRows(ReadOnlyRows):
    model = Move
    verbose_name_plural = "Journal"
    fields = ["at", "from_state", "to_state", "actor", "reason"]
    show_change_link = False


class JobRows(ReadOnlyRows):
    model = Job
    verbose_name_plural = "AI runs"
    fields = ["run", "origin", "actor", "created_at", "due_at", "finished_at", "outcome"]
    ordering = ["run"]


@admin.register(Call)
class CallAdmin(LeavesTrace):
    list_display = [
        "call_id",
        "state",
        "ai_outcome",
        "agent",
        "queue",
        "packet_count",
        "missing",
        "late",
        "attempts",
        "created_at",
        "ended_at",
    ]
    list_filter = ["state", "ai_outcome", "end_reason", "queue"]
    search_fields = ["call_id", "agent", "caller"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]
    inlines = [MoveRows, JobRows]
    fieldsets = [
        (None, {"fields": ["call_id", "state", "end_reason", "ai_outcome", "ai_words", "outcome"]}),
        ("Said by the PBX", {"fields": [
            "agent", "queue", "caller", "callee", "direction", "encoding", "sample_rate",
            "metadata",
        ]}),
        ("Packets", {"fields": [
            "packet_count", "last_sequence", "missing", "duplicates", "late", "unread_late",
            "out_of_order",
        ]}),
        ("AI work", {"fields": [
            "run", "attempts", "all_attempts", "next_attempt_at", "last_error",
        ]}),
        ("Times", {"fields": [
            "created_at", "last_packet_at", "ended_at", "processed_at", "updated_at", "version",
        ]}),
    ]  # fmt: skip
    readonly_fields = ["missing", "outcome", "all_attempts"]

    def view_on_site(self, call: Call) -> str:
        """The page of the call, whose address the contract names."""
        return f"/calls/{call.call_id}/"

    @admin.display(description="missing")
    def missing(self, call: Call) -> int:
        return call.missing

    @admin.display(description="result")
    def outcome(self, call: Call) -> str:
        return link(call.result, "transcript and sentiment") if call.has_ai_result else "none yet"

    @admin.display(description="ledger")
    def all_attempts(self, call: Call) -> SafeString:
        return link_to_list(Attempt, "attempts of all runs", job__call=call.pk)


@admin.register(Move)
class MoveAdmin(ReadOnlyPages):
    list_display = ["at", "call", "from_state", "to_state", "actor", "reason"]
    list_filter = ["to_state", "from_state"]
    search_fields = ["call__call_id", "actor"]
    date_hierarchy = "at"
    ordering = ["-pk"]


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
