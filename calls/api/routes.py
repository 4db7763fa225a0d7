"""The HTTP API: one endpoint a verb."""

from collections.abc import Callable
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from ninja import Body, NinjaAPI, Path, Query, Schema, Status
from ninja.parser import Parser
from pydantic_core import from_json

from calls import stats
from calls.ai import jobs
from calls.api import acceptance, bulk, downloads, errors, listing, ranges
from calls.api.auth import lane_scope, scope
from calls.api.schemas.incoming import CallId, CallIn, CallsQuery, EndIn, PacketIn, TranscriptQuery
from calls.api.schemas.outgoing import (
    Accepted,
    BulkAccepted,
    CallDetail,
    CallOut,
    CallsOut,
    Problem,
    ResultOut,
    StatsOut,
    StatusOut,
)
from calls.ingest import ending, metadata
from calls.models import ApiKey, Call
from calls.models.access import Scope
from calls.models.audit import Verb
from calls.records import archive as records
from calls.records import audit
from calls.records.recording import recording_of
from calls.records.transcript import result_of
from calls.states import EndReason


class StrictParser(Parser):
    """Bounded in depth, which the standard library's parser is not."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        body: dict[str, Any] = from_json(request.body)
        return body


api = NinjaAPI(
    parser=StrictParser(),
    title="Call centre",
    version="1",
    description="Packets of calls in; transcripts, sentiment and what happens meanwhile out.",
    docs_url=None,
    urls_namespace="v1",
)
errors.register(api)

CallIdPath = Annotated[CallId, Path()]
REFUSALS: dict[int, type[Schema]] = dict.fromkeys(
    (401, 403, 404, 405, 409, 413, 422, 429, 503), Problem
)


def _or_refused(status: int, schema: type[Schema]) -> dict[int, type[Schema]]:
    return {status: schema, **REFUSALS}


def _key(request: HttpRequest) -> ApiKey:
    key = request.auth  # type: ignore[attr-defined]
    assert isinstance(key, ApiKey)
    return key


def _actor(request: HttpRequest) -> str:
    return f"key {_key(request)}"


@api.post(
    "/call/stream/{call_id}",
    auth=lane_scope(Scope.INGEST),
    response=_or_refused(202, Accepted),
)
async def stream(request: HttpRequest, call_id: CallIdPath, packet: PacketIn) -> HttpResponse:
    """Takes one packet; answers once it is durably stored."""
    return _ready(await acceptance.take_packet(call_id, packet, key=_key(request)))


@api.post(
    "/packets",
    auth=lane_scope(Scope.INGEST),
    response=_or_refused(202, BulkAccepted),
    openapi_extra=bulk.REQUEST_BODY,
)
async def packets(request: HttpRequest) -> HttpResponse:
    """Takes up to 1000 packets of any calls, each accepted or rejected alone."""
    content_type = request.content_type or ""
    return _ready(await acceptance.take_packets(request.body, content_type, key=_key(request)))


def _ready(content: bytes) -> HttpResponse:
    return HttpResponse(content, content_type="application/json; charset=utf-8", status=202)


@api.put("/call/{call_id}", auth=scope(Scope.INGEST), response=_or_refused(200, CallOut))
def describe(request: HttpRequest, call_id: CallIdPath, call: CallIn) -> Call:
    """What the PBX knows of a call; creates it when new. Fields left out stay as they are."""
    said = call.model_dump(exclude_none=True)
    media = said.pop("media", {})
    return metadata.describe(call_id, said | media, now=timezone.now())


@api.post("/call/{call_id}/end", auth=scope(Scope.INGEST), response=_or_refused(202, CallOut))
def end(
    request: HttpRequest, call_id: CallIdPath, body: Annotated[EndIn | None, Body()] = None
) -> Status[object]:
    """The caller hung up; the same answer again when repeated."""
    words = (body and body.reason) or "hangup"
    call = ending.end(
        call_id,
        reason=EndReason.HANGUP,
        words=words,
        now=timezone.now(),
        actor=_actor(request),
    )
    return Status(202, call)


@api.get("/call/{call_id}/status", auth=scope(Scope.READ), response=_or_refused(200, StatusOut))
def status(request: HttpRequest, call_id: CallIdPath) -> Call:
    return Call.objects.get(call_id=call_id)


@api.get("/call/{call_id}", auth=scope(Scope.READ), response=_or_refused(200, CallDetail))
def detail(request: HttpRequest, call_id: CallIdPath) -> Call:
    """All that is known of a call."""
    call = Call.objects.select_related("result").get(call_id=call_id)
    _note(request, call_id, Verb.OPENED)
    return call


@api.get(
    "/call/{call_id}/transcript",
    auth=scope(Scope.READ),
    response=_or_refused(200, ResultOut),
    openapi_extra=downloads.RESPONSES,
)
def transcript(
    request: HttpRequest, call_id: CallIdPath, query: Annotated[TranscriptQuery, Query()]
) -> object:
    """The result; as text, WebVTT or SubRip what was said, when and by whom."""
    errors.refuse_unknown(request.GET, TranscriptQuery)
    result = result_of(Call.objects.select_related("result").get(call_id=call_id))
    _note(request, call_id, Verb.EXPORTED, f"transcript ({query.format})")
    return downloads.written(result, query.format)


@api.get(
    "/call/{call_id}/recording",
    auth=scope(Scope.READ),
    response=REFUSALS,
    openapi_extra=ranges.RESPONSES,
)
def recording(request: HttpRequest, call_id: CallIdPath) -> HttpResponseBase:
    """The audio of both tracks as one WAV file, as far as it has come, or a range of it."""
    found = recording_of(Call.objects.get(call_id=call_id))
    _note(request, call_id, Verb.EXPORTED, "recording")
    return ranges.answer(request, found)


@api.get("/calls", auth=scope(Scope.READ), response=_or_refused(200, CallsOut))
def calls(request: HttpRequest, query: Annotated[CallsQuery, Query()]) -> object:
    """The calls that fit the filters, newest first."""
    errors.refuse_unknown(request.GET, CallsQuery)
    page, cursor = listing.list_calls(query, now=timezone.now())
    return {"calls": page, "next_cursor": cursor}


@api.post("/call/{call_id}/reprocess", auth=scope(Scope.MANAGE), response=_or_refused(202, CallOut))
def reprocess(request: HttpRequest, call_id: CallIdPath) -> Status[object]:
    """Queues a new AI run; nothing new where one is queued already."""
    return Status(202, _done(request, call_id, jobs.reprocess, Verb.REPROCESSED))


@api.post("/call/{call_id}/archive", auth=scope(Scope.MANAGE), response=_or_refused(202, CallOut))
def archive(request: HttpRequest, call_id: CallIdPath) -> Status[object]:
    """Puts an ended call away; it takes no more packets and is not run again."""
    return Status(202, _done(request, call_id, records.archive, Verb.ARCHIVED))


def _note(request: HttpRequest, call_id: str, verb: Verb, what: str = "") -> None:
    """A program looked at a call, or took something of it with it."""
    now = timezone.now()
    audit.record(actor=_actor(request), verb=verb, call_id=call_id, detail=what, now=now)


def _done(request: HttpRequest, call_id: str, act: Callable[..., Call], verb: Verb) -> Call:
    """What the key asked for, done and recorded."""
    now, actor = timezone.now(), _actor(request)
    call = act(call_id, now=now, actor=actor)
    audit.record(actor=actor, verb=verb, call_id=call_id, now=now)
    return call


@api.get("/stats", auth=scope(Scope.READ), response=_or_refused(200, StatsOut))
def figures(request: HttpRequest) -> object:
    """Figures of the whole system; AI attempts and failures are those of the last hour."""
    return stats.figures(now=timezone.now())
