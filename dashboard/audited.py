"""Views that leave a trace in the audit."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from calls.models.audit import Verb
from calls.records import audit

View = Callable[..., HttpResponseBase]


def audited(verb: Verb) -> Callable[[View], View]:
    """Records that the user did so with the call of the address, where the answer is no refusal.

    Goes below `for_those_with`. Of a file beside the call's page its name and format are noted.
    """

    def wrap(view: View) -> View:
        @wraps(view)
        def recorded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            answer = view(request, *args, **kwargs)
            if answer.status_code < 400:
                _note(request, verb, kwargs.get("call_id", ""), detail=_file(request))
            return answer

        return recorded

    return wrap


def refused(request: HttpRequest, call_id: str = "") -> None:
    """Somebody asked by hand for what the page does not offer."""
    _note(request, Verb.REFUSED, call_id, detail=f"{request.method} {request.path}")


def _note(request: HttpRequest, verb: Verb, call_id: str, *, detail: str) -> None:
    actor = f"user {request.user}"
    audit.record(actor=actor, verb=verb, call_id=call_id, detail=detail, now=timezone.now())


def _file(request: HttpRequest) -> str:
    name = request.path.rpartition("/")[2]
    return f"{name} {request.GET.get('format', '')}".strip() if request.method == "GET" else ""
