"""AI runs and their requests."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from calls.admin.filters import Answer
from calls.admin.readonly import OfCalls, ReadOnlyPages, ReadOnlyRows, link
from calls.models import Attempt, Job


class AttemptRows(ReadOnlyRows):
    model = Attempt
    fields = [
        "track",
        "number",
        "started_at",
        "ended_at",
        "kind",
        "status",
        "words",
        "next_try_at",
        "packets_read",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        attempts: QuerySet[Attempt] = super().get_queryset(request)
        return attempts.select_related("job__call").defer("answer")


@admin.register(Job)
class JobAdmin(OfCalls):
    list_display = [
        "created_at",
        "call_link",
        "run",
        "outcome",
        "origin",
        "actor",
        "due_at",
        "leased_until",
    ]
    list_filter = ["outcome", "origin"]
    search_fields = ["call__call_id"]
    ordering = ["-pk"]
    inlines = [AttemptRows]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        jobs: QuerySet[Job] = super().get_queryset(request)
        return jobs.select_related("call")


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyPages):
    list_display = [
        "started_at",
        "call_link",
        "run_link",
        "track",
        "number",
        "kind",
        "status",
        "took",
        "words",
    ]
    list_filter = ["kind", Answer, "track"]
    search_fields = ["job__call__call_id"]
    ordering = ["-pk"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        attempts: QuerySet[Attempt] = super().get_queryset(request)
        return attempts.select_related("job__call").defer("answer")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Calls link to their attempts."""
        return lookup == "job__call" or super().lookup_allowed(lookup, value, request)

    @admin.display(description="call", ordering="job__call")
    def call_link(self, attempt: Attempt) -> SafeString:
        return link(attempt.job.call, attempt.job.call.call_id)

    @admin.display(description="run", ordering="job__run")
    def run_link(self, attempt: Attempt) -> SafeString:
        return link(attempt.job, str(attempt.job.run))

    @admin.display(description="took")
    def took(self, attempt: Attempt) -> str | None:
        return None if attempt.took_s is None else f"{attempt.took_s:.1f} s"
