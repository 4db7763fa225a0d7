"""The page of the audit."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboard import audit_trail, rights
from dashboard.audit_trail import AuditFilterForm, AuditFilters
from dashboard.views import for_those_with


@require_safe
@for_those_with(rights.SEE_AUDIT)
def audit(request: HttpRequest) -> HttpResponse:
    filters = AuditFilters.read(request.GET)
    context = {
        "form": AuditFilterForm(request.GET),
        "page": audit_trail.page(filters, request.GET.get("cursor", "")),
        "people": audit_trail.known_people(),
    }
    return render(request, "dashboard/audit.html", context)
