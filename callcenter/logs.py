"""How lines of the log look, and what they never hold: audio, transcripts, keys, line breaks.

The values of errors are cut to their first line, without what is quoted in it, unless that is a
mere name: PostgreSQL and others repeat the row or the text that they choked on.
"""

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from calls import context

LONGEST = 2000  # characters of a message
LONGEST_ERROR = 300
DEEPEST = 5  # errors that were each the cause of the next
FIELDS = ("method", "path", "status", "duration_ms", "why", "suppressed")

ROW = re.compile(r"\s*\n(?:DETAIL|CONTEXT|HINT|STATEMENT|QUERY|LINE \d+):.*", re.DOTALL)
KEY = re.compile(r"(cc_[a-z0-9]{8}_)[A-Za-z0-9_-]{16,}")
TOKEN = re.compile(
    r"(?i)\b(authorization:\s*(?:bearer\s+|basic\s+)?|bearer\s+|x-api-key:\s*)[^\s'\",;]+"
)
PASSWORD = re.compile(r"(://)[^/\s@]*@")
DATA = re.compile(r"[A-Za-z0-9+/=_-]{129,}")  # longer than a call's id
QUOTED = re.compile(r"(\"|')((?:\\.|(?!\1).)*)\1|“[^”]*”")
NAME = re.compile(r"[\w.:/@+-]{0,64}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Clean(logging.Formatter):
    """What both shapes share; `secrets` are values of settings that no line may hold."""

    def __init__(self, *, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = [secret for secret in secrets if len(secret) >= 8]

    def words(self, record: logging.LogRecord) -> str:
        return self.clean(_message(record))

    def clean(self, text: str) -> str:
        text = ROW.sub("", text)
        for secret in self._secrets:
            text = text.replace(secret, "…")
        text = TOKEN.sub(r"\1…", KEY.sub(r"\1…", text))
        text = DATA.sub(lambda match: f"…({len(match[0])} characters)", text)
        return PASSWORD.sub(r"\1…@", text)[:LONGEST]

    def trace(self, record: logging.LogRecord) -> list[str]:
        """Where it happened and by what, without the values that were at hand."""
        if not record.exc_info or not record.exc_info[1]:
            return []
        lines: list[str] = []
        for error in _chain(record.exc_info[1]):
            lines += traceback.format_tb(error.__traceback__)
            lines.append(self.clean(described(error)))
        return [one for line in lines for one in line.rstrip().splitlines()]


class Json(Clean):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self.words(record),
        }
        line |= {name: self._told(value) for name, value in _fields(record).items()}
        if trace := self.trace(record):
            line["error"], line["traceback"] = trace[-1], trace
        # ASCII: no character can end the line or upset who reads it.
        return json.dumps(line)

    def _told(self, value: object) -> object:
        return self.clean(value) if isinstance(value, str) else value


class Text(Clean):
    """For a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created)
        head = f"{moment:%H:%M:%S} {record.levelname:<7} {record.name}: "
        lines = [head + self.words(record), *(f"    {line}" for line in self.trace(record))]
        return "\n".join(CONTROL.sub(lambda c: ascii(c[0])[1:-1], line) for line in lines)


class OneLineARequest(logging.Filter):
    """What Django says of a refused request is told in the request's own line."""

    def filter(self, record: logging.LogRecord) -> bool:
        status = getattr(record, "status_code", None)
        if status is None or not record.name.startswith("django."):
            return True
        # A 500 has its traceback, and no other line.
        return status == 500 or not context.note_why(_message(record))


def take_over() -> None:
    """Errors that nobody caught, and warnings, become lines like all others."""
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(
        args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
    )


def described(error: BaseException) -> str:
    """An error's kind and the first line of its words."""
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    try:
        first = str(error).strip().partition("\n")[0]
    except Exception:
        first = ""
    words = QUOTED.sub(_name_or_nothing, first)[:LONGEST_ERROR]
    return f"{name}: {words}" if words else name


def _name_or_nothing(match: re.Match[str]) -> str:
    return match[0] if match[2] is not None and NAME.fullmatch(match[2]) else "…"


def _message(record: logging.LogRecord) -> str:
    """With the errors among its arguments described, not written out."""
    args = record.args
    if isinstance(record.msg, BaseException):
        return described(record.msg)
    if not args:
        return str(record.msg)
    try:
        if isinstance(args, Mapping):
            return str(record.msg) % args
        return str(record.msg) % tuple(
            described(value) if isinstance(value, BaseException) else value for value in args
        )
    except (TypeError, ValueError):
        return str(record.msg)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The first cause first."""
    errors: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and len(errors) < DEEPEST and at not in errors:
        errors.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    yield from reversed(errors)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    about = context.current() or context.About()
    status = getattr(record, "status_code", None)
    known = {
        "request_id": about.request_id,
        "call_id": getattr(record, "call_id", "") or about.call_id,
        "key": about.key,
        "status": status,
        **{name: value for name in FIELDS if (value := getattr(record, name, None))},
    }
    return {name: value for name, value in known.items() if value}


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("callcenter").critical("nobody caught this", exc_info=(kind, error, trace))
