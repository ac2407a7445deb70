"""The connection on which Redis says which of our keys somebody changed.

CLIENT TRACKING in BCAST mode (Redis 6 and newer), in RESP2: the connection
redirects the notices to itself and listens on ``__redis__:invalidate``. If the
connection dies the notices die with it, and we know.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

from redis.asyncio import Redis

from sdnblock.blocklist.explain import REDIS_ERRORS, explained
from sdnblock.blocklist.steady import steadily

_CHANNEL: Final = "__redis__:invalidate"


class Tracking:
    """Notices about every key that begins with ``prefix``. Raises BlockListError throughout."""

    def __init__(self, redis: Redis, prefix: str, place: str, timeout: float) -> None:
        # Not a pooled one: it keeps its state on the server and is in use for good.
        make: Callable[[], Any] = redis.connection_pool.make_connection
        self._connection = make()
        self._prefix = prefix
        self._place = place
        self._timeout = timeout

    async def open(self) -> None:
        """Connect and start the notices: what changes from here on is told."""
        with explained(self._place):
            await steadily(self._connection.connect())
            me = await self._ask("CLIENT", "ID")
            await self._ask(
                *("CLIENT", "TRACKING", "ON", "REDIRECT", me, "BCAST", "PREFIX", self._prefix)
            )
            await self._ask("SUBSCRIBE", _CHANNEL)

    async def notices(self) -> AsyncIterator[list[bytes] | None]:
        """Names of changed keys as they change; None: everything was flushed. Never ends."""
        read: Callable[[], Coroutine[Any, Any, Any]] = self._connection.read_response
        while True:
            with explained(self._place):
                message = await steadily(read())
            if isinstance(message, list) and message and message[0] == b"message":
                yield message[2]

    async def keep_alive(self) -> None:
        """Ask for a sign of life often enough that silence means a dead connection."""
        while True:
            await asyncio.sleep(self._timeout / 3)
            with explained(self._place):
                await steadily(self._connection.send_command("PING"))

    async def close(self) -> None:
        """Hang up."""
        try:
            await self._connection.disconnect(nowait=True)
        except REDIS_ERRORS:
            return  # it was broken already

    async def _ask(self, *words: str | int) -> Any:
        await steadily(self._connection.send_command(*words))
        return await steadily(self._connection.read_response())
