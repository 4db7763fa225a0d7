"""The board, the data of its charts, and the views of it that users save."""

import time
from dataclasses import asdict

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from calls.models import SavedView
from dashboard import board as read_model
from dashboard import rights, screens
from dashboard.filters import FilterForm, Filters
from dashboard.gallery import painting
from dashboard.rights import Rights
from dashboard.screens import BoardScreen
from dashboard.views import for_those_with
from dashboard.zones import zone_of

MAX_VIEWS = 50  # a user
MAX_NAME = 60  # characters


@require_safe
@for_those_with(rights.SEE)
def board(request: HttpRequest) -> HttpResponse:
    now, since = timezone.now(), time.monotonic()
    zone = zone_of(request.COOKIES)
    filters = Filters.read(request.GET, zone)
    screen = BoardScreen(filters, zone, Rights.of(request.user).acknowledge)
    context = {
        "now": now,
        "socket": f"/ws/board{filters.address}",
        "painting": painting(screen, now=now, since=since),
        "form": FilterForm(request.GET),
        "filters": filters,
        "agents": read_model.known("agent"),
        "queues": read_model.known("queue"),
        "views": _views_of(request, filters),
        "max_name": MAX_NAME,
        "address": request.build_absolute_uri("/"),
    }
    return render(request, "dashboard/board.html", context)


@require_safe
@for_those_with(rights.SEE)
def charts(request: HttpRequest) -> HttpResponse:
    return JsonResponse(asdict(screens.last_hour(now=timezone.now(), since=time.monotonic())))


@require_POST
@for_those_with(rights.SEE)
def save(request: HttpRequest) -> HttpResponse:
    """Under a name that is taken, in place of what had it."""
    name = " ".join(request.POST.get("name", "").replace("\0", "").split())[:MAX_NAME]
    filters = Filters.read(QueryDict(request.POST.get("query", "")), zone_of(request.COOKIES))
    mine = SavedView.objects.filter(user=_user(request))
    if not name:
        messages.error(request, "A view needs a name.")
    elif mine.exclude(name=name).count() >= MAX_VIEWS:
        messages.error(request, f"You have {MAX_VIEWS} views already: remove one first.")
    else:
        SavedView.objects.update_or_create(
            user=_user(request), name=name, defaults={"query": filters.query}
        )
        messages.success(request, f"The view “{name}” is saved.")
    return redirect(f"{reverse('board')}?{filters.query}")


@require_POST
@for_those_with(rights.SEE)
def delete(request: HttpRequest, view_id: int) -> HttpResponse:
    view = get_object_or_404(SavedView, pk=view_id, user=_user(request))
    view.delete()
    messages.success(request, f"The view “{view.name}” is removed.")
    return redirect("board")


def _views_of(request: HttpRequest, filters: Filters) -> list[tuple[SavedView, bool]]:
    """Each with whether it is the one shown."""
    views = SavedView.objects.filter(user=_user(request))
    return [(view, view.query == filters.query) for view in views]


def _user(request: HttpRequest) -> User:
    user = request.user
    assert isinstance(user, User)
    return user
