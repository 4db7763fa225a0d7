"""Strict reading of environment variables: a value that cannot be read stops the start."""

import os
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

Value = TypeVar("Value")

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}
LONGEST_SECRET = 8192  # characters


class BadSetting(SystemExit):
    """One line for the person who started the process: which variable, and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")


class Unreadable(Exception):
    """A value that holds a secret: it is not shown."""


def read(name: str, default: str, parse: Callable[[str], Value]) -> Value:
    """The variable through `parse`; an empty one counts as unset. Raises `BadSetting`."""
    raw = os.environ.get(name, "").strip() or default
    try:
        return parse(raw)
    except Unreadable as error:
        raise BadSetting(name, str(error)) from None
    except ValueError as error:
        raise BadSetting(name, f"{error} (got {raw!r})") from None


def secret(name: str, parse: Callable[[str], Value], *, empty_file: bool = False) -> Value:
    """Like `read`, from the variable or the file that `NAME_FILE` names; never shown.

    A file without content is a mistake unless `empty_file`, as for what need not be given.
    """
    path = os.environ.get(f"{name}_FILE", "").strip()
    raw = os.environ.get(name, "").strip()
    if path and raw:
        raise BadSetting(name, f"both {name} and {name}_FILE are given: keep one of them")
    if path:
        raw = _content(f"{name}_FILE", Path(path))
        if not raw and not empty_file:
            raise BadSetting(f"{name}_FILE", f"{path} is empty")
    try:
        return parse(raw)
    except (Unreadable, ValueError) as error:
        raise BadSetting(f"{name}_FILE" if path else name, str(error)) from None


def _content(name: str, path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            raw = file.read(LONGEST_SECRET + 1).strip()
    except OSError as error:
        raise BadSetting(name, f"{error.strerror} at {path}") from None
    except UnicodeDecodeError:
        raise BadSetting(name, f"{path} holds no text") from None
    if len(raw) > LONGEST_SECRET or not raw.isprintable():
        raise BadSetting(name, f"{path} holds more than one line of text")
    return raw


def flag(raw: str) -> bool:
    if raw.lower() in TRUE:
        return True
    if raw.lower() in FALSE:
        return False
    raise ValueError("expected on or off")


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not re.fullmatch(r"-?\d{1,12}", raw) or not low <= int(raw) <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return int(raw)

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    def parse(raw: str) -> float:
        if not re.fullmatch(r"-?\d{1,12}(\.\d{1,12})?", raw) or not low <= float(raw) <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}")
        return float(raw)

    return parse


def tracing() -> str | None:
    """Where spans go by OpenTelemetry's variables: otlp, console, or None for nowhere."""
    chosen = read("OTEL_TRACES_EXPORTER", "", one_of("otlp", "console", "none", ""))
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    given = [name for name in endpoints if read(name, "", address("http", "https"))]
    protocols = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
    for name in protocols:
        read(name, "http/protobuf", one_of("http/protobuf"))
    asked_by = "OTEL_TRACES_EXPORTER" if chosen else "".join(given[:1])
    chosen = chosen or ("otlp" if given else "none")
    if chosen == "none" or read("OTEL_SDK_DISABLED", "off", flag):
        return None
    try:
        find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ModuleNotFoundError:
        raise BadSetting(asked_by, "traces need more: install requirements-otel.txt") from None
    return chosen


def span(raw: str) -> tuple[float, float]:
    """`1-3` or `2`: a range of seconds."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)(?:-(\d{1,6}(?:\.\d{1,6})?))?", raw)
    if not match or float(match[2] or match[1]) < float(match[1]):
        raise ValueError("expected seconds as LOW-HIGH, such as 1-3")
    return float(match[1]), float(match[2] or match[1])


def one_of(*words: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw not in words:
            raise ValueError(f"expected one of {', '.join(filter(None, words))}")
        return raw

    return parse


def token(raw: str) -> str:
    """A secret of somebody else's making; whoever says why it cannot be read must not repeat it."""
    if raw and not re.fullmatch(r"[!-~]{16,200}", raw):
        raise Unreadable("expected 16 to 200 characters without spaces")
    return raw


def address(*schemes: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        parts = urlsplit(raw)
        if raw and (parts.scheme not in schemes or not (parts.netloc or parts.path)):
            raise ValueError(f"expected an address that begins with {' or '.join(schemes)}://")
        try:
            _ = parts.port
        except ValueError:
            # Not the error itself: what stands there may be part of a password.
            why = "its port is no number; / @ : and # in a password are written as %2F %40 %3A %23"
            raise ValueError(why) from None
        return raw

    return parse


def hosts(raw: str) -> list[str]:
    """`example.com,.example.org,[::1]`: names separated by commas."""
    found = [host.strip() for host in raw.split(",") if host.strip()]
    for host in found:
        if not re.fullmatch(r"\*|\.?[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]+\]", host):
            raise ValueError(f"{host[:100]!r} is no host name; no scheme and no port, please")
    return found


def origins(raw: str) -> list[str]:
    """`https://example.com,https://other.example:8443`: where pages may send forms from."""
    found = [origin.strip() for origin in raw.split(",") if origin.strip()]
    for origin in found:
        if not re.fullmatch(r"https?://(\*\.)?[A-Za-z0-9_.-]{1,253}(:\d{1,5})?", origin):
            raise ValueError(f"{origin[:100]!r} is no origin such as https://example.com")
    return found


def postgres(url: str) -> dict[str, Any]:
    """Django's database entry for `postgresql://user:password@host:port/name?host=/socket/dir`."""
    parts = urlsplit(url)
    query = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "postgres",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(query.pop("host", parts.hostname or "")),
        "PORT": str(parts.port or ""),
        "OPTIONS": {key: unquote(value) for key, value in query.items()},
    }


def bucket(raw: str) -> dict[str, Any]:
    """Options of an S3 storage: `s3://key:secret@host[:port]/bucket[/folder][?region=…&tls=off]`.

    The parts are percent-encoded. Whoever says why it cannot be read must not repeat the secret.
    """
    if not raw:
        return {}
    try:
        parts = urlsplit(raw)
        port, query = parts.port, dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise Unreadable("expected s3://key:secret@host/bucket") from None
    name, _, folder = parts.path.strip("/").partition("/")
    if parts.scheme != "s3" or not parts.hostname or parts.fragment:
        raise Unreadable("expected s3://key:secret@host/bucket")
    if not parts.username or not parts.password:
        raise Unreadable("a key and its secret are missing: s3://key:secret@host/bucket")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise Unreadable("a bucket's name has 3 to 63 small letters, digits, dots and dashes")
    unknown = sorted(query.keys() - {"region", "tls"})
    if unknown:
        raise Unreadable(f"{unknown[0][:50]} is no option: region and tls are")
    try:
        scheme = "https" if flag(query.get("tls", "on")) else "http"
    except ValueError as error:
        raise Unreadable(f"tls: {error}") from None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return {
        "endpoint_url": f"{scheme}://{host}" + (f":{port}" if port else ""),
        "access_key": unquote(parts.username),
        "secret_key": unquote(parts.password),
        "bucket_name": name,
        "location": unquote(folder),
        "region_name": query.get("region", "us-east-1"),
    }
