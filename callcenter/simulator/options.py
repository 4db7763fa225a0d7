"""What `play_calls` was asked for, checked."""

import argparse
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from callcenter.simulator import demo
from callcenter.simulator.line import Access
from callcenter.simulator.packets import Network
from callcenter.simulator.pbx import Manner, from_file
from callcenter.simulator.play import DIALECTS, Wish
from callcenter.simulator.recordings import recordings

KEY = "CALLCENTER_API_KEY"
TOKEN = "TWILIO_AUTH_TOKEN"  # noqa: S105
MOST_CALLS = 10_000
MOST_RACERS = 1_000
FASTEST = 1_000.0


class Unfit(Exception):
    """What was asked for does not go together, and why."""


class NoAccess(Exception):
    """There is no address or no key to use; what to do about it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE", type=Path, help="WAV files to play")
    parser.add_argument("--calls", metavar="N", type=_whole(1, MOST_CALLS), help="side by side")
    parser.add_argument(
        "--speed", metavar="X", type=_number(0.01, FASTEST), default=1.0, help="1: real time"
    )
    for name, what in (
        ("loss", "is never sent"),
        ("reorder", "is overtaken by one to three others"),
        ("duplicate", "is sent twice"),
    ):
        parser.add_argument(
            f"--{name}", metavar="P", type=_number(0, 1), help=f"share of packets that {what}"
        )
    parser.add_argument(
        "--race",
        metavar="N",
        type=_whole(1, MOST_RACERS),
        help="instead of calls: N first packets of one new call at the same instant",
    )
    parser.add_argument("--dialect", choices=DIALECTS, default="http", help="default: http")
    parser.add_argument(
        "--plain", action="store_true", help="asterisk: control in plain text, as without f(json)"
    )
    parser.add_argument(
        "--twilio-token", metavar="T", help=f"twilio: signs the upgrade; default: {TOKEN}"
    )
    parser.add_argument("--seed", metavar="S", type=int, help="makes loss and order repeatable")
    parser.add_argument("--url", metavar="U", help="of the system; default: by HOST and PORT")
    parser.add_argument("--api-key", metavar="K", help=f"default: {KEY}, then the first run's")
    parser.add_argument("--demo", action="store_true", help=argparse.SUPPRESS)


def read_wish(options: Mapping[str, Any], environment: Mapping[str, str]) -> Wish:
    """Raises `NotAWav`, `OSError` for a file that cannot be played; `Unfit`."""
    _check_fit(options)
    sources = tuple(from_file(path) for path in options["files"]) or recordings()
    usual = demo.NETWORK if options["demo"] else Network()
    names = ("loss", "reorder", "duplicate")
    network = replace(usual, **{name: options[name] for name in names if options[name] is not None})
    return Wish(
        recordings=sources,
        manner=Manner(options["speed"], network, options["seed"]),
        calls=options["calls"] or len(sources),
        race=options["race"],
        demo=options["demo"],
        dialect=options["dialect"],
        plain=options["plain"],
        twilio_token=options["twilio_token"] or environment.get(TOKEN, ""),
    )


def _check_fit(options: Mapping[str, Any]) -> None:
    dialect = options["dialect"]
    for name, why in DIALECTS[dialect].unfit.items():
        if options[name]:
            raise Unfit(f"--{name} does not fit --dialect {dialect}: {why}.")
    for name, fitting in (("plain", "asterisk"), ("twilio_token", "twilio")):
        if options[name] and dialect != fitting:
            raise Unfit(f"--{name.replace('_', '-')} fits --dialect {fitting} only.")
    if dialect != "http" and (options["race"] or options["demo"]):
        raise Unfit("--race and --demo fit --dialect http only.")


def find_access(
    url: str, given: str | None, environment: Mapping[str, str], first_run: Path
) -> Access:
    """Raises `NoAccess`."""
    if not url.startswith(("http://", "https://")):
        raise NoAccess(f"The address must begin with http:// or https://, unlike {url!r}.")
    key = given or environment.get(KEY) or _first_run_key(first_run)
    if not key:
        raise NoAccess(
            f"There is no API key: give --api-key or {KEY}. Without them it is read from "
            f"{first_run}, which the system's first start writes."
        )
    return Access(url.rstrip("/"), key)


def _first_run_key(path: Path) -> str:
    try:
        return str(json.loads(path.read_text())["api_key"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}")
        return int(raw)

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a number from {low:g} to {high:g}")
        return value

    return parse
