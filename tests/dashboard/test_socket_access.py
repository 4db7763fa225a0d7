"""What a page's socket makes of who listens; who may at all: `tests/access/test_sockets.py`."""

import pytest

from tests.dashboard.outcomes import transcribed_call
from tests.dashboard.people import user_with
from tests.dashboard.sockets import close_code, connect, hear, here, look, session_of
from tests.factories import api_key

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_key_is_refused_with_4401_even_beside_a_session() -> None:
    key = await here(api_key)
    bearer = (b"authorization", f"Bearer {key}".encode())
    cookie = await here(session_of, await here(user_with, "view_call"))
    assert await close_code(await connect("/ws/board", bearer, cookie)) == 4401


async def test_a_calls_page_has_buttons_for_those_who_may_use_them() -> None:
    call = await here(transcribed_call)
    path = f"/ws/board?call={call.call_id}"
    seen = {}
    for permissions in (["view_call"], ["view_call", "reprocess_call"]):
        socket = await look(path, *permissions)
        seen[len(permissions)] = (await hear(socket))["parts"]["actions"]
        await socket.disconnect()
    assert "Reprocess" not in seen[1]
    assert "Reprocess" in seen[2]
