"""Every refusal as JSON, in words for the programmer who gets it."""

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from pydantic import BaseModel

from calls import context
from calls.ai.jobs import RunRefused
from calls.api.rates import RateExceeded
from calls.away import AWAY
from calls.ingest.batching import Busy
from calls.models import Call
from calls.records.archive import ArchiveRefused
from calls.records.recording import NoRecording
from calls.records.storage import StorageFailed
from calls.records.transcript import NoTranscript
from calls.states import IllegalMove

log = logging.getLogger(__name__)

RETRY_AFTER = "2"  # seconds


def problem(status: int, detail: object, **headers: str) -> HttpResponse:
    return JsonResponse({"detail": detail}, status=status, headers=headers)


def fields(errors: list[dict[str, object]]) -> list[dict[str, object]]:
    """Which field, and why; without the input itself, which may be anything."""
    return [
        {
            "field": ".".join(str(part) for part in _location(error)),
            "message": error["msg"],
            "type": error["type"],
        }
        for error in errors
    ]


def refuse_unknown(given: Iterable[str], schema: type[BaseModel]) -> None:
    """A filter that is not known would silently find too much."""
    unknown = sorted(set(given) - schema.model_fields.keys())
    if unknown:
        place = ("query", unknown[0][:50])
        raise ValidationError([{"loc": place, "msg": "unknown filter", "type": "extra_forbidden"}])


def _location(error: dict[str, object]) -> tuple[object, ...]:
    """Without the name of our own function's parameter, which means nothing outside."""
    place = error["loc"]
    parts = tuple(place) if isinstance(place, list | tuple) else (place,)
    return (parts[0], *parts[2:]) if parts[:1] == ("body",) and len(parts) > 1 else parts


def register(api: NinjaAPI) -> None:
    """Maps what the rooms below raise to answers, in this one place."""
    for error in ANSWERS:
        api.add_exception_handler(error, lambda _request, raised: answer_to(raised))


def answer_to(error: Any) -> HttpResponse:
    """The answer to one of `ANSWERS`."""
    kind = next(kind for kind in type(error).__mro__ if kind in ANSWERS)
    return ANSWERS[kind](error)


def _http_error(error: HttpError) -> HttpResponse:
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return problem(422, [{"field": "body", "message": "not valid JSON", "type": "json"}])
    return problem(error.status_code, error.message)


def _too_fast(error: RateExceeded) -> HttpResponse:
    return problem(429, error.message, **{"Retry-After": str(error.retry_after)})


def _store_away(error: Exception) -> HttpResponse:
    """The sender still has what it sent and comes again."""
    why = str(error).partition("\n")[0]
    if not context.note_why(why):
        log.warning("a request was put off: %s", why)
    words = "the store cannot take this now: send it again, nothing is stored twice"
    return problem(503, words, **{"Retry-After": RETRY_AFTER})


def _refused(error: Exception) -> HttpResponse:
    return problem(409, str(error))


ANSWERS: dict[type[Any], Callable[[Any], HttpResponse]] = {
    ValidationError: lambda error: problem(422, fields(error.errors)),
    HttpError: _http_error,
    RateExceeded: _too_fast,
    Call.DoesNotExist: lambda _: problem(404, "there is no call with this id"),
    RunRefused: _refused,
    ArchiveRefused: _refused,
    NoRecording: lambda error: problem(404, str(error)),
    NoTranscript: lambda error: problem(404, str(error)),
    IllegalMove: _refused,
    TooManyFieldsSent: lambda _: problem(422, "the address has too many parameters"),
    RequestDataTooBig: lambda _: problem(413, "the body is too large"),
    Busy: _store_away,
    StorageFailed: _store_away,
    **dict.fromkeys(AWAY, _store_away),
}


class JsonErrors:
    """Turns what Django itself answers under /v1 (404, 405, 400, 500) into the API's shape."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[..., object]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> object:
        if self.is_async:
            return self._later(request)
        return _as_json(request, self.get_response(request))  # type: ignore[arg-type]

    async def _later(self, request: HttpRequest) -> HttpResponseBase:
        return _as_json(request, await self.get_response(request))  # type: ignore[misc]


def _as_json(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    is_json = response.get("Content-Type", "").startswith("application/json")
    if response.status_code < 400 or is_json or not request.path.startswith("/v1/"):
        return response
    answer = problem(response.status_code, WORDS.get(response.status_code, "refused"))
    answer["Content-Length"] = str(len(answer.content))
    for name in ("Allow", "Retry-After"):
        if response.has_header(name):
            answer[name] = response[name]
    return answer


WORDS = {
    400: "this request cannot be read",
    404: "there is nothing at this address",
    405: "this address does not take this method",
    413: "the body is too large",
    500: "something went wrong on our side; it has been logged",
}
