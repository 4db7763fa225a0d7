"""What a PBX says of its call, checked as the API checks it."""

import logging
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError as Invalid

from calls.api.schemas.incoming import CallIn, IntroductionIn

log = logging.getLogger(__name__)

MAX_QUERY = 4096  # bytes
FIELDS = ("agent", "queue", "caller", "callee", "direction")


def introduction(query: bytes) -> IntroductionIn:
    """What stands in an address; a variable that is empty in the dialplan says nothing.

    Raises ValueError.
    """
    if len(query) > MAX_QUERY:
        raise ValueError(f"the address has more than {MAX_QUERY} characters")
    pairs = (pair.partition("=") for pair in query.decode("latin-1").split("&"))
    given = [(unquote(name), _decoded(name, value)) for name, _, value in pairs if value]
    said = dict(given)
    if len(said) < len(given):
        raise ValueError("a name stands twice in the address")
    try:
        return IntroductionIn.model_validate(said)
    except Invalid as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])[:50]
        raise ValueError(f"{name!r} in the address: {first['msg']}") from None


def fields_of(said: IntroductionIn) -> dict[str, Any]:
    """The fields of the call."""
    return said.model_dump(exclude={"call_id", "track"}, exclude_none=True)


def described(said: dict[str, str], call_id: str) -> dict[str, Any]:
    """The fields of the call, and all else as its metadata; what is not valid is left out, for a
    call under way is not refused for it.
    """
    fields: dict[str, Any] = {name: said[name] for name in FIELDS if said.get(name)}
    if metadata := {name: value for name, value in said.items() if name not in FIELDS}:
        fields["metadata"] = metadata
    while fields:
        try:
            return CallIn.model_validate(fields).model_dump(exclude_none=True)
        except Invalid as error:
            for name in {str(each["loc"][0]) for each in error.errors()}:
                words = "call %s: what the PBX says of its %s is not valid and is left out"
                log.warning(words, call_id, name)
                del fields[name]
    return {}


def valid_id(call_id: str) -> str | None:
    """None where it cannot be one."""
    try:
        return IntroductionIn(call_id=call_id).call_id
    except Invalid:
        return None


def _decoded(name: str, value: str) -> str:
    """A plus that begins a telephone number is one, and so is any in an id; others are spaces."""
    spaced = value if name == "call_id" else value[:1] + value[1:].replace("+", " ")
    return unquote(spaced)
