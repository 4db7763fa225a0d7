"""`/ws/board`: the socket of the pages; `/ws/admin`: that of the admin's.

The address names the page: `?call=…`, `?alerts=…`, else the board; with its filters. Server:
`{"n": number, "at": time, "parts": {id: markup}, "rows": {id: markup}, "order": [ids],
"unannounced": true}`, parts, rows and order only as far as they changed, the last one while Redis
is away and changes come by looking alone. Client: `{"ack": n}` once it has painted, without which
nothing more comes.
"""

import asyncio
import json
import logging
from contextlib import suppress
from functools import partial

from django.contrib.auth.models import AnonymousUser, User
from django.db import DatabaseError, InterfaceError
from django.http import QueryDict

from calls.api.auth import secret_of
from calls.api.consumers import FORBIDDEN, UNKNOWN, refuse
from calls.api.news import Changes, news
from calls.api.sessions import current_user
from calls.api.socket import Socket, in_database
from calls.models import Call
from dashboard import screens
from dashboard.admin_screen import AdminScreen
from dashboard.gallery import painting_for_socket
from dashboard.redis_watch import watch
from dashboard.rights import SEE
from dashboard.screens import Screen
from dashboard.upkeep import Upkeep
from dashboard.zones import zone_of

log = logging.getLogger(__name__)

GONE, BROKEN, TRY_AGAIN = 4404, 1011, 1013
MAX_MESSAGE = 100  # characters


class Refused(Exception):
    """The viewer may not see the page any more."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class BoardConsumer(Socket):
    async def connect(self) -> None:
        self.upkeep: Upkeep | None = None
        self.running: asyncio.Task[None] | None = None
        await self.accept()
        # Programs have sockets of their own: no key opens this one.
        refusal = UNKNOWN if secret_of(self.scope["headers"]) else await refuse(self.scope)
        if refusal:
            await self.close(code=refusal)
            return
        self.upkeep = Upkeep(
            in_database(self._admit), painting_for_socket, self._tell, lambda: watch.up
        )
        # The news first, then the page: a change between the two is told.
        await news().join(self._changed)
        self.running = asyncio.create_task(self._run(self.upkeep))

    async def disconnect(self, code: int) -> None:
        await news().leave(self._changed)
        if self.running:
            self.running.cancel()
            with suppress(asyncio.CancelledError):
                await self.running

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        with suppress(ValueError, TypeError, KeyError):
            number = json.loads((text_data or "")[:MAX_MESSAGE])["ack"]
            if self.upkeep:
                self.upkeep.acknowledge(number)

    def _changed(self, changes: Changes) -> None:
        if self.upkeep:
            self.upkeep.changed({change["call_id"] for change in changes})

    async def _run(self, upkeep: Upkeep) -> None:
        wake = partial(_wake, asyncio.get_running_loop(), upkeep)
        with suppress(OSError), watch.heard_by(wake):  # the browser has left
            await self.close(code=await self._end_of(upkeep))

    async def _end_of(self, upkeep: Upkeep) -> int:
        """Keeps the page up to date until that is not possible any more; the code to close with."""
        try:
            await upkeep.run()
        except Refused as refused:
            return refused.code
        except Call.DoesNotExist:
            return GONE
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            log.warning("a page is told to come again: %s", error or "its browser does not read")
            return TRY_AGAIN
        except OSError:
            raise
        except Exception:
            log.exception("a page could not be kept up to date")
            return BROKEN

    def _admit(self) -> Screen:
        """The page asked for, if the login behind the socket still holds and still may see it."""
        user = current_user(self.scope["session"].session_key)
        if not user.is_authenticated:
            raise Refused(UNKNOWN)
        if not user.has_perm(SEE):
            raise Refused(FORBIDDEN)
        return self._screen_for(user, QueryDict(self.scope["query_string"]))

    def _screen_for(self, user: User | AnonymousUser, query: QueryDict) -> Screen:
        return screens.wanted(query, user, zone_of(self.scope["cookies"]))

    async def _tell(self, message: str) -> None:
        await self.send(text_data=message)


def _wake(loop: asyncio.AbstractEventLoop, upkeep: Upkeep) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(upkeep.look_again)


class AdminConsumer(BoardConsumer):
    """For staff alone; the address names the calls shown: `?calls=1,2,3`, `&page=1` for a page,
    `&newest=3` for a list that is told of newer ones.
    """

    def _screen_for(self, user: User | AnonymousUser, query: QueryDict) -> Screen:
        if not isinstance(user, User) or not user.is_staff:
            raise Refused(FORBIDDEN)
        return AdminScreen.wanted(query, user)
