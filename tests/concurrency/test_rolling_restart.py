"""Web processes are replaced one by one under load, and nobody who asks them notices."""

import asyncio
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
import websockets

from callcenter.embedded.engines import Urls
from calls.models import Call, Packet
from tests.factories import SPEECHLESS, api_key
from tests.nginx import nginx
from tests.processes import WEB, Running, answers, free_port
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

RATE = 200  # packets a second
LASTS = 60 if os.environ.get("LOAD") == "long" else 0  # seconds, or as long as once takes
CALLS = 40
CONNECTIONS = 32


async def load_while(url: str, key: str, replace: Callable[[], None]) -> Counter[str]:
    """Packets at fixed times, from before the first process goes until the last has come."""
    heard = Counter[str]()
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    headers = {"X-API-Key": key}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=20, trust_env=False
    ) as client:

        async def send(number: int) -> None:
            sequence, call = divmod(number, CALLS)
            packet = {"sequence": sequence, "data": SPEECHLESS, "timestamp": 1.0 + sequence}
            try:
                answer = await client.post(f"/v1/call/stream/rolling-{call}", json=packet)
                heard[str(answer.status_code)] += 1
            except httpx.HTTPError as error:
                heard[repr(error)] += 1

        began = time.perf_counter()
        replacing = asyncio.create_task(asyncio.to_thread(again_and_again, replace))
        async with asyncio.TaskGroup() as sending:
            for number in itertools.count():
                if replacing.done():
                    break
                await asyncio.sleep(began + number / RATE - time.perf_counter())
                sending.create_task(send(number))
        await replacing
    return heard


def again_and_again(replace: Callable[[], None]) -> None:
    end = time.monotonic() + LASTS
    replace()
    while time.monotonic() < end:
        replace()


def check(heard: Counter[str]) -> None:
    """No request failed, and each packet is there once."""
    assert set(heard) == {"202"}
    assert Packet.objects.count() == heard["202"]
    for call in Call.objects.all():
        assert (call.missing, call.duplicates, call.late) == (0, 0, 0)
        assert call.packet_count == call.packets.count()


class Web:
    """A web process on a port of its own, that can be replaced."""

    def __init__(self, urls: Urls, home: Path, **environment: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._urls, self._home = urls, home
        self._environment = environment | {"PORT": str(port)}
        self.start()

    def start(self) -> None:
        self.running = Running(WEB, self._urls, self._home, self._environment)

    def wait(self) -> None:
        until(lambda: answers(f"{self.url}/health"), 60, f"an answer\n{self.running.said()}")

    def replace(self) -> None:
        self.stop()
        self.start()
        self.wait()

    def stop(self) -> None:
        self.running.process.terminate()
        self.running.process.communicate(timeout=20)


@pytest.fixture
def two(engines: Urls, tmp_path: Path) -> Iterator[list[Web]]:
    with ExitStack() as stack:
        webs = [Web(engines, tmp_path) for _ in range(2)]
        for web in webs:
            stack.callback(web.stop)
        for web in webs:
            web.wait()
        yield webs


def test_two_processes_behind_a_proxy_are_replaced_one_by_one(
    two: list[Web], tmp_path: Path
) -> None:
    def replace() -> None:
        for web in two:
            web.replace()

    with nginx(tmp_path, *(web.url for web in two)) as url:
        heard = asyncio.run(load_while(url, api_key("ingest"), replace))
    check(heard)


def test_two_processes_of_one_port_are_replaced_by_a_signal(engines: Urls, tmp_path: Path) -> None:
    web = Web(engines, tmp_path, WEB_PROCESSES="2")
    web.wait()
    main = psutil.Process(web.running.process.pid)

    def workers() -> set[int]:
        return {one.pid for one in main.children() if is_worker(one)}

    def replace() -> None:
        before = workers()
        assert len(before) == 2
        main.send_signal(signal.SIGHUP)
        until(lambda: len(workers()) == 2 and not workers() & before, 60, "new processes")

    try:
        heard = asyncio.run(load_while(web.url, api_key("ingest"), replace))
    finally:
        web.stop()
    check(heard)


def is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False


async def closings(
    url: str, key: str, number: int, stop: Callable[[], None]
) -> list[tuple[float, int]]:
    """When each of so many sockets was closed, and with what code."""
    began = 0.0

    async def listen() -> tuple[float, int]:
        address = f"{url.replace('http', 'ws')}/ws/supervisor"
        async with websockets.connect(address, additional_headers={"X-API-Key": key}) as socket:
            await socket.recv()
            ready.release()
            await socket.wait_closed()
            return time.perf_counter() - began, socket.close_code or 0

    ready = asyncio.Semaphore(0)
    listening = [asyncio.create_task(listen()) for _ in range(number)]
    for _ in listening:
        await ready.acquire()
    began = time.perf_counter()
    await asyncio.to_thread(stop)
    return await asyncio.gather(*listening)


def test_sockets_are_told_to_come_back_one_after_the_other(engines: Urls, tmp_path: Path) -> None:
    web = Web(engines, tmp_path)
    web.wait()
    closed = asyncio.run(closings(web.url, api_key("read"), 20, web.stop))
    assert {code for _, code in closed} == {1012}
    moments = sorted(moment for moment, _ in closed)
    assert moments[-1] - moments[0] > 1
    assert moments[-1] < 5


def test_a_port_that_is_being_left_takes_nothing_more(engines: Urls, tmp_path: Path) -> None:
    web = Web(engines, tmp_path, WEB_PROCESSES="2")
    web.wait()
    with httpx.Client(base_url=web.url, trust_env=False) as kept:
        kept.get("/health")
        web.running.process.terminate()
        until(lambda: refuses(web.url), 2)
        assert web.running.process.poll() is None
        assert kept.get("/health").headers["connection"] == "close"
    web.stop()


def refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}/health", timeout=0.5, trust_env=False)
    except httpx.ConnectError:
        return True
    except httpx.HTTPError:
        pass
    return False
