"""What comes in: strict and bounded; unknown fields are refused."""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from calls.states import CALL_ID_PATTERN, Outcome, Sentiment, State

MAX_SEQUENCE = 2**31 - 1
MAX_TIMESTAMP = 253_402_300_800  # the year 10000
MAX_METADATA = 16_384  # characters as JSON
MAX_DEPTH = 8
DATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*")


def _storable(text: str) -> str:
    """PostgreSQL keeps no NUL; lone surrogates are refused by the parser already."""
    if "\0" in text:
        raise ValueError("must not contain NUL")
    return text


def _whole(number: Any) -> Any:
    """JSON knows one kind of number: 5.0 is the integer 5, as our own document says."""
    return int(number) if type(number) is float and number.is_integer() else number


def _in_words_of_iso(moment: Any) -> Any:
    """A bare number would be taken for seconds since the epoch."""
    if isinstance(moment, str) and not DATED.fullmatch(moment):
        raise ValueError("must be ISO 8601, such as 2026-01-31T12:00:00Z")
    return moment


def _in_utc(moment: datetime) -> datetime:
    """PostgreSQL knows no offset of sixteen hours and more."""
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        end = datetime.min if moment.year == 1 else datetime.max
        return end.replace(tzinfo=UTC)


def _not_taken(call_id: str) -> str:
    if call_id == "stream":
        raise ValueError("the word 'stream' is taken by the address of the packet stream")
    return call_id


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    _check_depth(metadata, MAX_DEPTH)
    try:
        text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise ValueError("must not contain NaN or infinity") from None
    if len(text) > MAX_METADATA:
        raise ValueError(f"must not be longer than {MAX_METADATA} characters as JSON")
    _check_storable(metadata)
    return metadata


def _check_storable(value: Any) -> None:
    if isinstance(value, str):
        _storable(value)
    elif isinstance(value, dict):
        _check_storable([*value.keys(), *value.values()])
    elif isinstance(value, list):
        for item in value:
            _check_storable(item)


def _check_depth(value: Any, depth: int) -> None:
    if not depth:
        raise ValueError(f"must not be nested deeper than {MAX_DEPTH} levels")
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        _check_depth(item, depth - 1)


CallId = Annotated[str, Field(max_length=128, pattern=CALL_ID_PATTERN), AfterValidator(_not_taken)]
WHOLE = BeforeValidator(_whole)
Sequence = Annotated[int, Field(strict=True, ge=0, le=MAX_SEQUENCE), WHOLE]
Moment = Annotated[datetime, BeforeValidator(_in_words_of_iso), AfterValidator(_in_utc)]
NO_NUL: Any = {"pattern": "^[^\\u0000]*$"}
Words = Annotated[str, Field(max_length=200, json_schema_extra=NO_NUL), AfterValidator(_storable)]

ANY_VALUE = [
    {"type": "string", **NO_NUL},
    {"type": ["number", "boolean", "null", "array", "object"]},
]
BOUNDS: Any = {
    "description": f"At most {MAX_METADATA} characters and {MAX_DEPTH} levels; no NUL in any text.",
    "propertyNames": NO_NUL,
    "additionalProperties": {"anyOf": ANY_VALUE},
}
Metadata = Annotated[dict[str, Any], Field(json_schema_extra=BOUNDS), AfterValidator(_small)]


class Strict(BaseModel):
    """Not ninja's Schema, which looks at every value through Django's eyes first."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PacketIn(Strict):
    sequence: Sequence
    data: Annotated[
        str,
        Field(min_length=1, max_length=65_536, json_schema_extra=NO_NUL),
        AfterValidator(_storable),
    ]
    timestamp: Annotated[float, Field(gt=0, lt=MAX_TIMESTAMP, allow_inf_nan=False)]
    track: Literal["inbound", "outbound"] = "inbound"


class BulkPacketIn(PacketIn):
    call_id: CallId


class MediaIn(Strict):
    encoding: Literal["audio/x-mulaw", "audio/x-alaw", "audio/l16"] = "audio/x-mulaw"
    sample_rate: Annotated[int, Field(strict=True, ge=8000, le=48_000), WHOLE] = 8000


class CallIn(Strict):
    agent: Words | None = None
    queue: Words | None = None
    caller: Words | None = None
    callee: Words | None = None
    direction: Literal["inbound", "outbound"] | None = None
    media: MediaIn | None = None
    metadata: Metadata | None = None


class IntroductionIn(Strict):
    """What a PBX says of a call in the address of its socket."""

    call_id: CallId | None = None
    track: Literal["inbound", "outbound"] = "inbound"
    agent: Words | None = None
    queue: Words | None = None
    caller: Words | None = None
    callee: Words | None = None


class EndIn(Strict):
    reason: Words | None = None


class ClientMessage(Strict):
    """What a client says on a socket: about one call, one queue, one agent, or all calls."""

    action: Literal["subscribe", "unsubscribe", "ping"]
    call_id: CallId | None = None
    queue: Words | None = None
    agent: Words | None = None

    @model_validator(mode="after")
    def _one_selector(self) -> Self:
        if sum(value is not None for value in (self.call_id, self.queue, self.agent)) > 1:
            raise ValueError("name one of call_id, queue and agent, or none for all calls")
        return self

    @property
    def selector(self) -> tuple[str, str] | None:
        named = {"call_id": self.call_id, "queue": self.queue, "agent": self.agent}
        return next(((name, value) for name, value in named.items() if value is not None), None)


class TranscriptQuery(Strict):
    model_config = ConfigDict(extra="forbid", strict=False)

    format: Literal["json", "text", "vtt", "srt"] = "json"


class CallsQuery(Strict):
    """Filters of the list; times are ISO 8601, durations are seconds."""

    model_config = ConfigDict(extra="forbid", strict=False)

    state: State | None = None
    q: Words | None = None
    agent: Words | None = None
    queue: Words | None = None
    sentiment: Sentiment | None = None
    ai_outcome: Outcome | None = None
    started_after: Moment | None = None
    started_before: Moment | None = None
    min_duration: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(max_length=40, pattern=r"^[0-9]{1,18}$")] | None = None

    @model_validator(mode="after")
    def _aware(self) -> Self:
        for name in ("started_after", "started_before"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name} needs a time zone, such as a final Z")
        return self
