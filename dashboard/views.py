"""The pages, and the two things that can be done on them."""

import time
from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from calls.ai import jobs
from calls.ai.jobs import RunRefused
from calls.models import Call
from calls.records.archive import ArchiveRefused, archive
from dashboard import board as read_model
from dashboard import rights
from dashboard.filters import FilterForm, Filters
from dashboard.rights import Rights
from dashboard.screens import BoardScreen, CallScreen
from dashboard.zones import zone_of

View = Callable[..., HttpResponse]


def for_those_with(permission: str) -> Callable[[View], View]:
    """Asks for a login, then answers 403 without the permission."""

    def wrap(view: View) -> View:
        permitted = permission_required(permission, raise_exception=True)(view)
        return never_cache(login_required(permitted))

    return wrap


@require_safe
@for_those_with(rights.SEE)
def board(request: HttpRequest) -> HttpResponse:
    now, since = timezone.now(), time.monotonic()
    filters = Filters.read(request.GET)
    painting = BoardScreen(filters, zone_of(request.COOKIES)).paint(now=now, since=since)
    context = {
        "now": now,
        "socket": f"/ws/board?{request.GET.urlencode()}",
        "painting": painting,
        "form": FilterForm(request.GET),
        "filters": filters,
        "agents": read_model.known("agent"),
        "queues": read_model.known("queue"),
        "address": request.build_absolute_uri("/"),
    }
    return render(request, "dashboard/board.html", context)


@require_safe
@for_those_with(rights.SEE)
def call(request: HttpRequest, call_id: str) -> HttpResponse:
    now, since = timezone.now(), time.monotonic()
    screen = CallScreen(call_id, Rights.of(request.user))
    try:
        painting = screen.paint(now=now, since=since)
    except Call.DoesNotExist:
        raise _unknown(call_id) from None
    context = {
        "now": now,
        "socket": f"/ws/board?{urlencode({'call': call_id})}",
        "painting": painting,
        "call_id": call_id,
    }
    return render(request, "dashboard/call.html", context)


@require_POST
@for_those_with(rights.REPROCESS)
def reprocess_call(request: HttpRequest, call_id: str) -> HttpResponse:
    return _act(request, call_id, jobs.reprocess, done="A new AI run is queued.")


@require_POST
@for_those_with(rights.ARCHIVE)
def archive_call(request: HttpRequest, call_id: str) -> HttpResponse:
    return _act(request, call_id, archive, done="The call is archived.")


def _act(
    request: HttpRequest, call_id: str, act: Callable[..., Call], *, done: str
) -> HttpResponse:
    """Back to the page, with what was done or why it was refused."""
    try:
        act(call_id, now=timezone.now(), actor=f"user {request.user}")
    except (RunRefused, ArchiveRefused) as refusal:
        words = str(refusal)
        messages.error(request, f"{words[0].upper()}{words[1:]}.")
    except Call.DoesNotExist:
        raise _unknown(call_id) from None
    else:
        messages.success(request, done)
    return redirect("call", call_id=call_id)


def _unknown(call_id: str) -> Http404:
    return Http404(f"There is no call with the id {call_id}.")
