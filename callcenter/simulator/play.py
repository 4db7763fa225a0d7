"""One run of the simulator, from what was asked for to the tally."""

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from callcenter.simulator.asterisk import Asterisk
from callcenter.simulator.demo import demo
from callcenter.simulator.dialect import Dialect
from callcenter.simulator.http import Http
from callcenter.simulator.line import Access, Line
from callcenter.simulator.packets import BYTES, packetise
from callcenter.simulator.pbx import CallIds, Manner, Pbx
from callcenter.simulator.race import race
from callcenter.simulator.recordings import Recording
from callcenter.simulator.tally import Tally
from callcenter.simulator.twilio import Twilio

DIALECTS: dict[str, type[Http] | type[Asterisk] | type[Twilio]] = {
    "http": Http,
    "asterisk": Asterisk,
    "twilio": Twilio,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """`calls` side by side, or `race` packets at once, or the demo without end.

    `plain` is Asterisk's control without JSON; with a `twilio_token` the upgrade is signed.
    """

    recordings: Sequence[Recording]
    manner: Manner
    calls: int
    race: int | None = None
    demo: bool = False
    dialect: str = "http"
    plain: bool = False
    twilio_token: str = ""


def play(access: Access, wish: Wish, tally: Tally) -> None:
    """Until it is done; SIGTERM and SIGINT end the calls under way first."""
    with suppress(asyncio.CancelledError):
        asyncio.run(_until_told(_play(access, wish, tally)))


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


async def _play(access: Access, wish: Wish, tally: Tally) -> None:
    now = datetime.now(UTC)
    if wish.race:
        packets = packetise({"inbound": _long_enough(wish.recordings[0], wish.race)})[: wish.race]
        await race(access, CallIds("race", now).next("first"), packets, tally)
        return
    async with Line(access, tally) as line:
        kind = "demo" if wish.demo else "play"
        pbx = Pbx(_dialect(line, wish), wish.manner, CallIds(kind, now), tally)
        if wish.demo:
            await demo(line, pbx, wish.recordings, tally.say)
        else:
            await pbx.play_all(wish.recordings, wish.calls)


def _dialect(line: Line, wish: Wish) -> Dialect:
    if wish.dialect == "asterisk":
        return Asterisk(line, speed=wish.manner.speed, plain=wish.plain)
    if wish.dialect == "twilio":
        return Twilio(line, token=wish.twilio_token)
    return Http(line)


def _long_enough(recording: Recording, packets: int) -> bytes:
    """The caller's track, repeated until it fills so many packets."""
    sound = recording.tracks["inbound"]
    return sound * (packets * BYTES // max(len(sound), 1) + 1)
