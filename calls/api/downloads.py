"""What is kept of a call, as files to take along."""

import re

from django.http import HttpResponse, HttpResponseBase

from calls.api.schemas.outgoing import ResultOut
from calls.models import Result
from calls.records.transcript import WRITERS

UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
ENDINGS = {"json": "json", "text": "txt", "vtt": "vtt", "srt": "srt"}
"""Of the file names, by format."""
RESPONSES = {
    "responses": {
        200: {
            "content": {
                media_type.partition(";")[0]: {"schema": {"type": "string"}}
                for media_type, _ in WRITERS.values()
            }
        }
    }
}


def written(result: Result, form: str) -> HttpResponse:
    """The transcript in one of the formats of `ENDINGS`."""
    if form == "json":
        content = ResultOut.from_orm(result).model_dump_json()
        return HttpResponse(content, "application/json; charset=utf-8")
    media_type, write = WRITERS[form]
    return HttpResponse(write(result.utterances.all()), media_type)


def as_file(
    response: HttpResponseBase, call_id: str, ending: str, *, inline: bool = False
) -> HttpResponseBase:
    """Under the name of the call, with nothing that means something to a file system; `inline`
    where the browser may show it as well.
    """
    name = f"{UNSAFE.sub('_', call_id)}.{ending}"
    kind = "inline" if inline else "attachment"
    response.headers["Content-Disposition"] = f'{kind}; filename="{name}"'
    return response
