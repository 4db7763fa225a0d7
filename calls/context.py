"""What the work under way is about: a request, a call, a key; lines of the log tell it."""

import re
from contextvars import ContextVar
from dataclasses import dataclass

from calls.states import CALL_ID_PATTERN

OF_A_CALL = re.compile(rf"/(?:v1/call(?:/stream)?|calls)/({CALL_ID_PATTERN[1:-1]})(?:/.*)?")


@dataclass(slots=True)
class About:
    """Shared by all threads and tasks of a request; `path` says which call it is about."""

    request_id: str = ""
    path: str = ""
    named: str = ""
    key: str = ""
    why: str = ""
    """Why it was refused, in words for the operator."""

    @property
    def call_id(self) -> str:
        """Found out when somebody asks: most requests are never told of."""
        if self.named:
            return self.named
        match = OF_A_CALL.fullmatch(self.path)
        return match[1] if match else ""


_about: ContextVar[About | None] = ContextVar("about", default=None)


def begin(about: About) -> None:
    """For the rest of the task, and what it starts."""
    _about.set(about)


def current() -> About | None:
    return _about.get()


def note_key(prefix: str) -> None:
    """Whose request it is."""
    about = _about.get()
    if about:
        about.key = prefix


def note_why(words: str) -> bool:
    """Why a request is refused; False where nobody will tell it in the request's own line."""
    about = _about.get()
    if about:
        about.why = words
    return about is not None
