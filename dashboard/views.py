"""The page of a call, the files beside it, and the two things that can be done on it."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from calls.ai import jobs
from calls.ai.jobs import RunRefused
from calls.api import ranges
from calls.api.downloads import ENDINGS, as_file, written
from calls.api.errors import problem
from calls.models import Call
from calls.models.audit import Verb
from calls.records import audit
from calls.records.archive import ArchiveRefused, archive
from calls.records.packet_audio import PacketsGone
from calls.records.recording import NoRecording, recording_of
from calls.records.storage import StorageFailed
from calls.records.transcript import NoTranscript, result_of
from calls.records.waveform import peaks
from dashboard import rights
from dashboard.audited import audited, refused
from dashboard.gallery import painting
from dashboard.rights import Rights
from dashboard.screens import CallScreen
from dashboard.shared import Shared

ONCE = 0.0  # what was made at any time will do

waveforms = Shared(size=64)

View = Callable[..., HttpResponseBase]


def for_those_with(permission: str) -> Callable[[View], View]:
    """Asks for a login, then answers 403 without the permission, and records who acted so."""

    def wrap(view: View) -> View:
        @wraps(view)
        def permitted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.user.has_perm(permission):
                return view(request, *args, **kwargs)
            if request.method == "POST":
                refused(request, kwargs.get("call_id", ""))
            raise PermissionDenied

        return never_cache(login_required(permitted))

    return wrap


@require_safe
@for_those_with(rights.SEE)
@audited(Verb.OPENED)
def call(request: HttpRequest, call_id: str) -> HttpResponse:
    now, since = timezone.now(), time.monotonic()
    screen = CallScreen(call_id, Rights.of(request.user))
    try:
        shown = painting(screen, now=now, since=since)
    except Call.DoesNotExist:
        raise _unknown(call_id) from None
    context = {
        "now": now,
        "socket": f"/ws/board?{urlencode({'call': call_id})}",
        "painting": shown,
        "call_id": call_id,
        "way_back": _way_back(request),
    }
    return render(request, "dashboard/call.html", context)


def _way_back(request: HttpRequest) -> tuple[str, str]:
    """Name and address of the list that led here, with its filters; else of all calls."""
    lists = {reverse("board"): "Calls", reverse("alerts"): "Alerts"}
    with suppress(ValueError):
        came_from = urlsplit(request.headers.get("Referer", ""))
        if came_from.netloc == request.get_host() and came_from.path in lists:
            return lists[came_from.path], urlunsplit(("", "", *came_from[2:4], ""))
    return "Calls", reverse("board")


@require_GET
@for_those_with(rights.SEE)
@audited(Verb.PLAYED)
def recording(request: HttpRequest, call_id: str) -> HttpResponseBase:
    """The audio of the player; as a link at a moment (`#t=`) it plays in the browser itself."""
    try:
        found = recording_of(_found(call_id))
    except NoRecording as reason:
        raise _not_there(reason) from None
    return as_file(ranges.answer(request, found), call_id, "wav", inline=True)


@require_GET
@for_those_with(rights.SEE)
def waveform(request: HttpRequest, call_id: str) -> HttpResponse:
    """For the player's picture: how loud each track is over its time."""
    try:
        sound = recording_of(_found(call_id)).sound
        loudness = waveforms.get(sound.tag, lambda: peaks(sound), since=ONCE)
    except NoRecording as reason:
        return problem(404, _sentence(reason))
    except PacketsGone:
        return problem(503, "The recording was put away while it was read.")
    except StorageFailed:
        return problem(503, "The storage of the recordings is away.")
    return JsonResponse({"seconds": sound.length / sound.rate, "peaks": loudness})


@require_GET
@for_those_with(rights.SEE)
@audited(Verb.EXPORTED)
def transcript(request: HttpRequest, call_id: str) -> HttpResponseBase:
    form = request.GET.get("format", "json")
    if form not in ENDINGS:
        raise Http404(f"A transcript comes in the formats {', '.join(ENDINGS)}.")
    try:
        result = result_of(_found(call_id))
    except NoTranscript as reason:
        raise _not_there(reason) from None
    return as_file(written(result, form), call_id, ENDINGS[form])


@require_POST
@for_those_with(rights.REPROCESS)
def reprocess_call(request: HttpRequest, call_id: str) -> HttpResponse:
    done = "A new AI run is queued."
    return _act(request, call_id, jobs.reprocess, Verb.REPROCESSED, done=done)


@require_POST
@for_those_with(rights.ARCHIVE)
def archive_call(request: HttpRequest, call_id: str) -> HttpResponse:
    return _act(request, call_id, archive, Verb.ARCHIVED, done="The call is archived.")


def _act(
    request: HttpRequest, call_id: str, act: Callable[..., Call], verb: Verb, *, done: str
) -> HttpResponse:
    """Back to the page, with what was done or why it was refused."""
    now, actor = timezone.now(), f"user {request.user}"
    try:
        act(call_id, now=now, actor=actor)
    except (RunRefused, ArchiveRefused, StorageFailed) as refusal:
        messages.error(request, _sentence(refusal))
    except Call.DoesNotExist:
        raise _unknown(call_id) from None
    else:
        audit.record(actor=actor, verb=verb, call_id=call_id, now=now)
        messages.success(request, done)
    return redirect("call", call_id=call_id)


def _found(call_id: str) -> Call:
    try:
        return Call.objects.select_related("result").get(call_id=call_id)
    except Call.DoesNotExist:
        raise _unknown(call_id) from None


def _sentence(reason: Exception) -> str:
    words = str(reason)
    return f"{words[0].upper()}{words[1:].removesuffix('.')}."


def _not_there(reason: Exception) -> Http404:
    return Http404(_sentence(reason))


def _unknown(call_id: str) -> Http404:
    return Http404(f"There is no call with the id {call_id}.")
