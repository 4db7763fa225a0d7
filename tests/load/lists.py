"""How long lists of many calls take at the server: `python -m tests.load.lists`.

In the database of the settings, filled by `tests.load.seed`, which it leaves as it is. Each address
is asked through the whole of Django, without the network; the table has the median and the worst
of some rounds. Ends with 1 where one took longer than 300 ms.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import django
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from django.utils.module_loading import import_string

LIMIT = 300.0  # milliseconds
ROUNDS = 7
BOARD = [
    "/",
    "/?state=FAILED",
    "/?agent=Agent+7",
    "/?queue=Billing&sentiment=negative",
    "/?outcome=failed",
    "/?outcome=no_speech",
    "/?state=FAILED&sort=negative",
    "/?started_before={old}",
    "/?min_duration=5000",
    "/?sort=longest",
    "/?sort=negative",
    "/?q=refund",
    "/?q=the",
    "/?q=the+-the",
    "/?q=%22perfect+perfect+sorry%22",
    "/?q=-the",
    "/?q=case4999",
    "/?q=refund&agent=Agent+7&sort=longest",
    "/?q=0099998",
    "/?q=zz",
    "/?after={deep}",
    "/charts",
]
API = [
    "/v1/calls",
    "/v1/calls?limit=500",
    "/v1/calls?q=refund&queue=Billing",
    "/v1/calls?q=0099998",
    "/v1/calls?sentiment=negative&min_duration=600",
    "/v1/calls?ai_outcome=no_audio",
    "/v1/calls?cursor={deep}",
    "/v1/stats",
]


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")
    django.setup()
    with asked() as ask:
        places = _places()
        print(f"{places['calls']} calls")
        worst = [_row(ask, address.format(**places)) for address in [*BOARD, *API]]
    return int(max(worst) > LIMIT)


@contextmanager
def asked() -> Iterator[Callable[[str], int]]:
    """Asks for an address as somebody who may see all, and is forgotten with the block."""
    with transaction.atomic():
        user = get_user_model().objects.create_superuser("lists of many calls")
        make_key = import_string("calls.api.auth.create_key")
        _, secret = make_key(name="lists", scopes=["read"], now=timezone.now())
        client = Client(headers={"host": "localhost", "authorization": f"Bearer {secret}"})
        client.force_login(user)
        try:
            yield lambda address: client.get(address).status_code
        finally:
            transaction.set_rollback(True)


def _places() -> dict[str, object]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), min(id), min(created_at) FROM calls_call")
        calls, first, oldest = cursor.fetchone()
    return {"calls": calls, "deep": first + calls // 5, "old": f"{oldest:%Y-%m-%dT23:59}"}


def _row(ask: Callable[[str], int], address: str) -> float:
    taken: list[float] = []
    ask(address)
    for _ in range(ROUNDS):
        began = time.perf_counter()
        status = ask(address)
        taken.append(1000 * (time.perf_counter() - began))
        assert status == 200, (address, status)
    print(f"{statistics.median(taken):7.0f} {max(taken):7.0f} ms  {address}", flush=True)
    return max(taken)


if __name__ == "__main__":
    sys.exit(main())
