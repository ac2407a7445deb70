"""Watching the block list: everything once, then every change, whatever happens to Redis."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from sdnblock.blocklist.changes import (
    Disconnected,
    Ready,
    RefusedMembers,
    RefusedNow,
    Single,
    SingleAllow,
    WatchEvent,
    Whole,
    WholeAllow,
)
from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.rereads import SetId
from sdnblock.blocklist.session import Session
from sdnblock.blocklist.settings import RedisSettings
from sdnblock.errors import BlockListError

__all__ = [
    "Disconnected",
    "Ready",
    "RefusedMembers",
    "RefusedNow",
    "Single",
    "SingleAllow",
    "WatchEvent",
    "Watcher",
    "Whole",
    "WholeAllow",
]

_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 2.0
_STEADY: Final = 2.0
"""Seconds that a connection must have held for the next wait to be short again."""


class Watcher:
    """Follows one Redis for ever: connects again with growing, jittered waits (50 ms to 2 s)."""

    def __init__(self, settings: RedisSettings, keys: Keys | None = None) -> None:
        self._settings = settings
        self._keys = keys or settings.keys()
        self._told: set[SetId] = set()

    async def events(self) -> AsyncGenerator[list[WatchEvent], None]:
        """News in order, in lists that are never empty.

        After every (re)connect: ``WholeAllow``, one ``Whole`` for each key that
        there is or that was told before, ``Ready``; then changes. While Redis is
        away: one ``Disconnected`` for every different message. When it was emptied
        or replaced: ``Disconnected``, then everything again as after a reconnect.
        A list with ``Ready`` ends with it; one with ``Disconnected`` begins with it.
        Ends only when the caller stops iterating; never raises for what Redis does.
        """
        wait, message = _FIRST_WAIT, ""
        while True:
            started = time.monotonic()
            session = Session(self._settings, self._keys, self._told)
            try:
                async with aclosing(session.events()) as batches:
                    async for batch in batches:
                        if any(isinstance(event, Ready) for event in batch):
                            message = ""
                        yield batch
            except BlockListError as error:
                if str(error) != message:
                    message = str(error)
                    yield [Disconnected(message)]
            if time.monotonic() - started > _STEADY:
                wait = _FIRST_WAIT
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, _LONGEST_WAIT)
