"""One Redis client, with its errors in our words and its cursors as iterators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from sdnblock.blocklist.explain import explained
from sdnblock.blocklist.steady import steadily, stop

Value = str | bytes | int | float

WINDOW = 1000
"""Members asked for at a time: less than a millisecond of Redis and of us."""

_KEYS_WINDOW = 5000


class Link:
    """Commands and scripts on one client. Everything raises BlockListError and nothing else."""

    def __init__(self, redis: Redis, place: str | None = None) -> None:
        self.redis = redis
        self.place = place or place_of(redis)
        self._execute: Callable[..., Coroutine[Any, Any, Any]] = redis.execute_command
        self._scripts: dict[str, AsyncScript] = {}

    async def command(self, *words: Value) -> Any:
        """Run one command; replies are bytes, as RESP2 has them after redis-py's parsing."""
        with explained(self.place):
            return await steadily(self._execute(*words))

    async def run(self, lua: str, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        """Run a script by its digest; Redis is sent the text only when it does not know it."""
        script = self._scripts.get(lua)
        if script is None:
            script = self._scripts[lua] = self.redis.register_script(lua)
        with explained(self.place):
            return await steadily(script(keys=list(keys), args=list(arguments)))

    async def keys(self, pattern: str, kind: str | None = None) -> AsyncIterator[list[bytes]]:
        """Names of the keys that match, in windows; ``kind`` is a Redis type (``zset``).

        Walks the whole database: not for every second.
        """
        more: tuple[Value, ...] = () if kind is None else ("TYPE", kind)
        cursor = 0
        while True:
            cursor, found = await self.command(
                "SCAN", cursor, "MATCH", pattern, "COUNT", _KEYS_WINDOW, *more
            )
            if found:
                yield found
            if int(cursor) == 0:
                return

    async def members(self, zset: str) -> AsyncIterator[list[tuple[bytes, float]]]:
        """All (member, score) of a sorted set, in windows of about :data:`WINDOW`.

        What is there throughout comes at least once; what changes meanwhile may or may not.
        """
        asked = asyncio.create_task(self.command("ZSCAN", zset, 0, "COUNT", WINDOW))
        try:
            while True:
                cursor, found = await asked
                last = int(cursor) == 0
                if not last:  # Redis prepares the next window while this one is worked on
                    asked = asyncio.create_task(
                        self.command("ZSCAN", zset, cursor, "COUNT", WINDOW)
                    )
                if found:
                    yield found
                if last:
                    return
        finally:
            await stop(asked)


def place_of(redis: Redis) -> str:
    """Where a client's Redis is, for messages: never shows a password."""
    pool = redis.connection_pool
    service = getattr(pool, "service_name", None)
    if service:
        return f"Redis master {service!a}"
    options = pool.connection_kwargs
    if "path" in options:
        return f"Redis at {options['path']}"
    return f"Redis at {options.get('host', 'localhost')}:{options.get('port', 6379)}"
