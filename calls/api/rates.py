"""How many packets a second a key may send: a token bucket in Redis, shared by all processes.

Tokens may be owed: a bulk request is let in while the bucket is not empty and paid for afterwards,
so that no size of request is shut out for good.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable
from typing import cast
from weakref import WeakKeyDictionary

import redis.asyncio as redis
from django.conf import settings
from ninja.errors import HttpError

from calls.models import ApiKey

log = logging.getLogger(__name__)

TIMEOUT = 0.3  # seconds
KEPT = 3600  # seconds; a bucket is full long before

# KEYS: the bucket; ARGV: rate a second, tokens wanted, seconds it is kept.
# Answers the seconds to wait as text; "0" lets the packets in.
TAKE = """
local now = redis.call('TIME')
local at = tonumber(now[1]) + tonumber(now[2]) / 1e6
local rate = tonumber(ARGV[1])
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = math.min(rate, tonumber(bucket[1] or rate) + (at - tonumber(bucket[2] or at)) * rate)
if tokens < 1 then return tostring((1 - tokens) / rate) end
redis.call('HSET', KEYS[1], 'tokens', tokens - tonumber(ARGV[2]), 'at', tostring(at))
redis.call('EXPIRE', KEYS[1], ARGV[3])
return '0'
"""


class RateExceeded(HttpError):
    """429, and in how many seconds the key may send again."""

    def __init__(self, key: ApiKey, wait: float) -> None:
        self.retry_after = max(1, math.ceil(wait))
        super().__init__(429, f"this API key may send {key.rate} packets a second")


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, redis.Redis] = WeakKeyDictionary()


async def take(key: ApiKey, *, packets: int) -> None:
    """Takes tokens for the packets. Raises `RateExceeded`; lets all in while Redis is away."""
    if key.rate is None:
        return
    try:
        async with asyncio.timeout(TIMEOUT):
            asked = _client().eval(TAKE, 1, f"rate:{key.prefix}", key.rate, packets, KEPT)
            wait = float(await cast(Awaitable[bytes], asked))
    except (redis.RedisError, OSError) as error:
        log.warning("the rate of key %s is not kept, Redis is away: %s", key.prefix, error)
        return
    if wait > 0:
        raise RateExceeded(key, wait)


def _client() -> redis.Redis:
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        _clients[loop] = redis.Redis.from_url(settings.REDIS)
    return _clients[loop]
