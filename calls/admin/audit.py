"""The audit as it is, and the trace that looking at calls in the admin leaves in it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from calls.admin.readonly import ReadOnlyPages
from calls.models import Audit, Call, Result
from calls.models.audit import Verb
from calls.records import audit


@admin.register(Audit)
class AuditAdmin(ReadOnlyPages):
    list_display = ["at", "actor", "verb", "call_id", "detail"]
    list_filter = ["verb"]
    search_fields = ["call_id__exact"]
    search_help_text = "A call id as a whole; the page of the audit finds people too."
    ordering = ["-at", "-pk"]


class LeavesTrace(ReadOnlyPages):
    """Pages on which a call is read: to open one is to open the call."""

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Call | Result | None = None,
    ) -> HttpResponse:
        if obj is not None:
            self._note(request, obj if isinstance(obj, Call) else obj.call)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _note(self, request: HttpRequest, call: Call) -> None:
        audit.record(
            actor=f"user {request.user}",
            verb=Verb.OPENED,
            call_id=call.call_id,
            detail=f"in the admin: {self.opts.verbose_name}",
            now=timezone.now(),
        )
