"""The channel layer: Redis publish and subscribe, each message read once a process."""

from functools import lru_cache
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer

UNDER_WAY = 8  # messages that sockets may still be reading


class ChannelLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """Sockets of one process get the same object for the same message and must not change it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deserialize = lru_cache(UNDER_WAY)(super().deserialize)
