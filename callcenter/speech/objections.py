"""Work that something may put an end to."""

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

Result = TypeVar("Result")


async def unless(
    work: Coroutine[Any, Any, Result], *objections: Coroutine[Any, Any, NoReturn]
) -> Result:
    """The result of `work`; the first objection to raise cancels it and is raised."""
    working = asyncio.create_task(work)
    objecting = [asyncio.create_task(objection) for objection in objections]
    try:
        await asyncio.wait((working, *objecting), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            for task in objecting:
                if task.done():
                    task.result()
        return await working
    finally:
        for other in (working, *objecting):
            other.cancel()
        await asyncio.wait((working, *objecting))
