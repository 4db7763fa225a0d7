"""How often a page is painted."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from dashboard.filters import Filters
from dashboard.painting import Painting
from dashboard.screens import BoardScreen, Screen
from dashboard.upkeep import Upkeep
from dashboard.zones import UTC


async def paintings_in_a_second(*, each_takes: float) -> int:
    """While something changes all the time, before a browser that reads at once."""
    painted = 0

    async def admit() -> Screen:
        return BoardScreen(Filters(), UTC)

    async def paint(screen: Screen, since: float) -> Painting:
        nonlocal painted
        painted += 1
        await asyncio.sleep(each_takes)
        upkeep.changed(set())
        return Painting(parts={"tiles": str(painted)})

    async def tell(message: str) -> None:
        upkeep.acknowledge(json.loads(message)["n"])

    upkeep = Upkeep(admit, paint, tell)
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await upkeep.run()
    return painted


async def test_a_page_is_painted_four_times_a_second_at_most() -> None:
    assert 2 <= await paintings_in_a_second(each_takes=0.0) <= 4


async def test_a_page_that_is_dear_to_paint_is_painted_less_often() -> None:
    assert await paintings_in_a_second(each_takes=0.3) <= 2


async def test_of_many_pages_each_is_painted_less_often() -> None:
    pages = [paintings_in_a_second(each_takes=0.0) for _ in range(150)]
    assert max(await asyncio.gather(*pages)) <= 2


async def told_while(*, announced: list[bool]) -> list[dict[str, Any]]:
    """What a browser hears of a page that stays as it is; one look for each that is announced."""
    heard: list[dict[str, Any]] = []

    async def admit() -> Screen:
        return BoardScreen(Filters(), UTC)

    async def paint(screen: Screen, since: float) -> Painting:
        upkeep.look_again()
        return Painting(parts={"tiles": "the same"})

    async def tell(message: str) -> None:
        heard.append(json.loads(message))
        upkeep.acknowledge(heard[-1]["n"])

    def is_announced() -> bool:
        return announced.pop(0) if len(announced) > 1 else announced[0]

    upkeep = Upkeep(admit, paint, tell, is_announced)
    with suppress(TimeoutError):
        async with asyncio.timeout(1.4):
            await upkeep.run()
    return heard


async def test_a_browser_is_told_when_announcements_stop_and_come_again() -> None:
    heard = await told_while(announced=[True, True, False, False, True])
    assert ["unannounced" in message for message in heard] == [False, True, False]
    assert ["parts" in message for message in heard] == [True, False, False]
