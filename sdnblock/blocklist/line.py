"""A connection of its own for what cannot wait: a command costs the loop two or three turns.

One of the client's pool costs four times as many, and while a hundred thousand blocks load
every turn is a millisecond.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

from sdnblock.blocklist.explain import REDIS_ERRORS, explained
from sdnblock.blocklist.link import Value
from sdnblock.blocklist.steady import steadily


class Line:
    """One command after the other. Raises BlockListError throughout; then it is of no more use."""

    def __init__(self, redis: Redis, place: str, timeout: float) -> None:
        make: Callable[[], Any] = redis.connection_pool.make_connection
        self._connection = make()
        self._place = place
        self._timeout = timeout

    async def open(self) -> None:
        """Connect."""
        with explained(self._place):
            await steadily(self._connection.connect())
        # It would send in a task of its own (and lose a cancellation: see steady.py).
        self._connection.socket_timeout = None

    async def ask(self, *words: Value) -> Any:
        """The raw reply, as RESP2 has it."""
        with explained(self._place):
            async with asyncio.timeout(self._timeout):
                await self._connection.send_command(*words, check_health=False)
                return await self._connection.read_response()

    async def close(self) -> None:
        """Hang up."""
        try:
            await self._connection.disconnect(nowait=True)
        except REDIS_ERRORS:
            return  # it was broken already
