"""The PBX's way to the system: requests that bear an outage, within bounds."""

import asyncio
import math
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from callcenter.simulator.tally import Tally

TRIES = 7
FIRST_WAIT = 0.5  # seconds; doubled with each try, half a minute in all
LONGEST_WAIT = 30.0  # seconds
TIMEOUT = 10.0  # seconds
CONNECTIONS = 500
BUSY = {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}


class Refused(Exception):
    """The system said no and means it; what it said, in one line."""


class Unreachable(Refused):
    """The system was away or too busy for as long as we tried."""


@dataclass(frozen=True, slots=True)
class Access:
    """`url` of the system, without a path, and a key with the scopes ingest and read."""

    url: str
    key: str

    def socket(self, path: str) -> str:
        """The address of a socket."""
        return f"ws{self.url.removeprefix('http')}{path}"

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=httpx.Timeout(TIMEOUT, pool=None),
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            trust_env=False,
        )


class Line:
    def __init__(self, access: Access, tally: Tally) -> None:
        self.access, self.tally = access, tally
        self._client = access.client()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer to a request that was taken. Raises `Refused`, `Unreachable`."""
        why = ""
        for tried in range(TRIES):
            if tried:
                self.tally.retried += 1
            wait = FIRST_WAIT * 2**tried
            try:
                answer = await self._client.request(method, path, json=body)
            except httpx.TransportError as error:
                why = f"no answer ({type(error).__name__})"
            else:
                if answer.status_code not in BUSY:
                    return _taken(answer)
                why = words(answer)
                wait = _retry_after(answer, wait)
            if tried + 1 < TRIES:
                await asyncio.sleep(min(wait, LONGEST_WAIT))
        raise Unreachable(f"{method} {path}: given up after {TRIES} tries: {why}")

    async def healthy(self) -> bool:
        try:
            return (await self._client.get("/health")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def _taken(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json() if answer.is_success else None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        request = answer.request
        raise Refused(f"{request.method} {request.url.path}: {words(answer)}")
    return said


def words(answer: httpx.Response) -> str:
    """A refusal in one line."""
    return f"{answer.status_code} {' '.join(answer.text.split())[:200]}"


def _retry_after(answer: httpx.Response, otherwise: float) -> float:
    try:
        seconds = float(answer.headers.get("Retry-After", otherwise))
    except ValueError:
        return otherwise
    return max(seconds, 0.0) if math.isfinite(seconds) else otherwise
