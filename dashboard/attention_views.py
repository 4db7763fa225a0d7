"""The page of all alerts, and their acknowledgement."""

import time

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from calls.records.alerts import acknowledge as mark
from dashboard import rights
from dashboard.attention import AlertFilterForm, AlertFilters
from dashboard.gallery import painting
from dashboard.rights import Rights
from dashboard.screens import AlertScreen
from dashboard.views import for_those_with

AT_ONCE = 200  # alerts


@require_safe
@for_those_with(rights.SEE)
def alerts(request: HttpRequest) -> HttpResponse:
    now, since = timezone.now(), time.monotonic()
    filters = AlertFilters.read(request.GET)
    screen = AlertScreen(filters, Rights.of(request.user).acknowledge)
    context = {
        "now": now,
        "socket": f"/ws/board?alerts=1&{filters.address.removeprefix('?')}",
        "painting": painting(screen, now=now, since=since),
        "form": AlertFilterForm(request.GET, auto_id="filter-%s"),
        "filters": filters,
    }
    return render(request, "dashboard/alerts.html", context)


@require_POST
@for_those_with(rights.ACKNOWLEDGE)
def acknowledge(request: HttpRequest) -> HttpResponse:
    """Back to the page that asked; 204 for its script, which hears of the change by its socket."""
    chosen = [int(pk) for pk in request.POST.getlist("alert")[:AT_ONCE] if _is_number(pk)]
    count = mark(chosen, now=timezone.now(), actor=f"user {request.user}")
    if "X-Live" in request.headers:
        return HttpResponse(status=204 if chosen else 400)
    if count:
        words = "The alert is acknowledged." if count == 1 else f"{count} alerts are acknowledged."
        messages.success(request, words)
    else:
        messages.info(request, "Somebody else was quicker, or nothing was chosen.")
    return redirect(_back(request))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _back(request: HttpRequest) -> str:
    wanted = request.POST.get("next", "")
    known = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if known else "alerts"
