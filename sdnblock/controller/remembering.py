"""What detection remembers, kept in Redis: given back at the start, written as it changes.

Losing Redis loses nothing that is in memory: it is written again. Controllers that share a
Redis learn from each other, so that one on standby knows what the other knew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

from sdnblock.blocklist.store import Store
from sdnblock.controller.backoff import Backoff
from sdnblock.controller.hub import Hub
from sdnblock.detect.kept import Kept, Memory
from sdnblock.errors import BlockListError

_log = logging.getLogger(__name__)

_EVERY: Final = 0.2
_BATCH: Final = 100
"""Records of a kind that are written at a time: 500 a second, whatever a flood makes of them."""
_LEARN_EVERY: Final = 5.0
_LEARN_ALL_EVERY: Final = 900.0
_LOOK_EVERY: Final = 1.0
_SLACK: Final = 60.0
"""Seconds by which another controller may be late in writing."""
_PATIENCE: Final = 10.0
"""Seconds after the block list is known for which verdicts wait for what was remembered."""


class Remembering:
    """Keeps a :class:`Memory` in step with Redis."""

    def __init__(self, memory: Memory, store: Store, hub: Hub) -> None:
        self._memory = memory
        self._store = store.memory
        self._meta = store.meta
        self._hub = hub
        self._instance: str | None = None
        self._ready = asyncio.Event()
        self._learnt: dict[str, float] = {}
        """When each kind was last read."""
        self._all_at = 0.0
        self._looked_at = 0.0
        self._was_away = False
        self._said: dict[str, str] = {}
        for table in memory.tables():
            table.complete = False

    async def wait_ready(self) -> None:
        """Wait until detection knows what it knew before; not for ever, if that cannot be read.

        Until it is read every source counts as one with credit.
        """
        await self._ready.wait()

    async def run(self) -> None:
        """Keep in step for ever."""
        backoff = Backoff(_EVERY, 5.0)
        known_since: float | None = None
        while True:
            if await self._cycle():
                backoff.reset()
                self._ready.set()
                await asyncio.sleep(_EVERY)
                continue
            if self._hub.ready and known_since is None:
                known_since = time.monotonic()
            if known_since is not None and time.monotonic() - known_since > _PATIENCE:
                if not self._ready.is_set():
                    _log.error("going on without what was remembered; who has credit is not known")
                self._ready.set()
            await asyncio.sleep(backoff.wait())

    async def flush(self) -> None:
        """Write what waits, if that is quickly done: we are about to end."""
        try:
            async with asyncio.timeout(2.0):
                for table in self._memory.tables():
                    while table.waiting:
                        await self._write(table)
        except (BlockListError, TimeoutError) as error:
            _log.warning("the latest that was remembered is not written: %s", error)

    async def _cycle(self) -> bool:
        """Read and write once; whether all of it worked."""
        try:
            await self._look_for_loss()
        except BlockListError as error:
            self._complain("", error)
            self._was_away = True
            return False
        self._said.pop("", None)
        now = time.monotonic()
        everything = not self._all_at or now - self._all_at > _LEARN_ALL_EVERY
        worked = True
        for table in self._memory.tables():
            name = table.kind.name
            try:
                if everything or not table.complete:
                    await self._learn(table, float("-inf"))
                elif now - self._learnt.get(name, 0.0) > _LEARN_EVERY:
                    await self._learn(table, time.time() - _SLACK - _LEARN_EVERY)
                await self._write(table)
                table.expire(time.time())
            except BlockListError as error:
                self._complain(name, error)
                worked = False
            else:
                self._said.pop(name, None)
        if everything and worked:
            self._all_at = now
        return worked

    async def _look_for_loss(self) -> None:
        """After Redis was away, or has another mark, it may hold less than before: all is read
        and written again."""
        if time.monotonic() - self._looked_at < _LOOK_EVERY:
            return
        meta = await self._meta()
        self._looked_at = time.monotonic()
        instance = meta.instance if meta is not None else None
        lost = instance is not None and self._instance not in (None, instance)
        self._instance = instance or self._instance
        if lost or self._was_away:
            self._was_away = False
            self._all_at = 0.0
            for table in self._memory.tables():
                table.change_all()

    async def _learn(self, table: Kept[Any, Any], since: float) -> None:
        started, refused = time.monotonic(), 0
        async for rows in self._store.kept(table.kind.name, since):
            refused += table.load(rows, time.time())
            await asyncio.sleep(0)
        self._learnt[table.kind.name] = started
        if refused and not table.complete:
            _log.warning("%d records of %s are not understood", refused, table.kind.name)
        table.complete = True

    async def _write(self, table: Kept[Any, Any]) -> None:
        keys = table.take(_BATCH)
        if not keys:
            return
        kind = table.kind
        try:
            rows = [table.row(key) for key in keys]
            await self._store.keep(kind.name, rows, kind.lifetime, 2 * kind.most)
        except BaseException:
            table.give_back(keys)
            raise

    def _complain(self, name: str, error: BlockListError) -> None:
        if self._said.get(name) != str(error):
            self._said[name] = str(error)
            _log.warning("what detection remembers%s is not kept: %s", f" ({name})" * bool(name),
                         error)  # fmt: skip
