"""A recording over HTTP, whole or the range asked for (RFC 9110, 14)."""

import re
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from calls.api.errors import RETRY_AFTER, problem
from calls.api.schemas.outgoing import Problem
from calls.records.packet_audio import PacketsGone
from calls.records.recording import AT_ONCE, Recording
from calls.records.storage import StorageFailed

ONE_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
DIGITS = 18  # more are more than any file is long
WAV = {"content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}}
RESPONSES = {
    "responses": {
        200: {"description": "The whole file"} | WAV,
        206: {"description": "The range asked for"} | WAV,
        416: {
            "description": "A range outside of the file",
            "content": {"application/json": {"schema": Problem.model_json_schema()}},
        },
    }
}


class Unsatisfiable(Exception):
    """A range of which not one byte is there."""


def wanted(header: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last; None for all: no range, several, or none that
    can be read. Raises `Unsatisfiable`.
    """
    asked = ONE_RANGE.fullmatch(header.strip()) if header else None
    first, last = asked.groups() if asked else ("", "")
    if not first and not last:
        return None
    if not first:
        length = _number(last, size)
        if not length:
            raise Unsatisfiable
        return size - length, size
    if last and _number(last, size) < _number(first, size):
        return None
    if _number(first, size) >= size:
        raise Unsatisfiable
    return _number(first, size), min(_number(last, size) + 1, size) if last else size


def _number(digits: str, size: int) -> int:
    """A number of bytes; `size` is as good as any that is higher."""
    digits = digits.lstrip("0")
    return min(int(digits or "0"), size) if len(digits) <= DIGITS else size


def answer(request: HttpRequest, recording: Recording) -> HttpResponseBase:
    """The file, or as much of it as the request's `Range` asks for."""
    size, tag = recording.size, f'"{recording.sound.tag}"'
    asked = request.headers.get("Range")
    if request.headers.get("If-Range", tag) != tag:
        asked = None  # it has a part of another version
    try:
        part = wanted(asked, size)
    except Unsatisfiable:
        words = f"the recording has {size} bytes: this range is outside"
        return problem(416, words, **{"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
    first, last = part or (0, size)
    headers = {"Content-Length": str(last - first), "Accept-Ranges": "bytes", "ETag": tag}
    if part:
        headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
    return _body(recording, first, last, status=206 if part else 200, headers=headers)


def _body(
    recording: Recording, first: int, last: int, *, status: int, headers: dict[str, str]
) -> HttpResponseBase:
    if last - first > AT_ONCE:
        stream = _stretches(recording, first, last)
        return StreamingHttpResponse(stream, "audio/wav", status=status, headers=headers)
    try:
        whole = recording.read(first, last)
    except PacketsGone:
        words = "the recording was put away while it was read: ask again"
        return problem(503, words, **{"Retry-After": RETRY_AFTER})
    except StorageFailed:
        words = "the storage of the recordings is away: ask again"
        return problem(503, words, **{"Retry-After": RETRY_AFTER})
    return HttpResponse(whole, "audio/wav", status=status, headers=headers)


async def _stretches(recording: Recording, first: int, last: int) -> AsyncIterator[bytes]:
    for begin, end in recording.stretches(first, last):
        yield await sync_to_async(_read)(recording, begin, end)


def _read(recording: Recording, first: int, last: int) -> bytes:
    """Gives the connection back: whoever reads slowly would keep it from all others."""
    try:
        return recording.read(first, last)
    finally:
        close_old_connections()
