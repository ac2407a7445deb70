"""Counters read back from one switch, as totals per block in the block list."""

from __future__ import annotations

import asyncio
import logging

from sdnblock.block import Target
from sdnblock.blocklist.store import Store
from sdnblock.controller.session import Session
from sdnblock.errors import BlockListError, SwitchError

_log = logging.getLogger(__name__)


class Counting:
    """Adds what each entry counted since the last reading; never loses or doubles a count.

    A switch counts from an entry's insertion. An entry that was inserted again, or whose
    count is lower than before, has begun again at zero.
    """

    def __init__(self, session: Session, store: Store, interval: float) -> None:
        self._session = session
        self._store = store
        self._interval = interval
        self._last: dict[Target, tuple[int, int]] = {}
        # Counted, but not yet in Redis.
        self._owed: dict[Target, tuple[int, int]] = {}

    async def run(self) -> None:
        """Read and add, every interval, while the switch is connected."""
        while True:
            await asyncio.sleep(self._interval)
            await self._session.connected.wait()
            try:
                await self._read()
                await self._store_owed()
            except SwitchError as error:
                _log.debug("counters of switch %s not read: %s", self._session.name, error)
            except BlockListError as error:
                _log.debug("counters of switch %s not stored: %s", self._session.name, error)

    async def _read(self) -> None:
        for target in self._session.reinserted:
            self._last.pop(target, None)
        self._session.reinserted.clear()
        async for counts in self._session.driver.read_counters():
            for count in counts:
                if not count.packets:
                    continue
                before = self._last.get(count.target, (0, 0))
                if count.packets < before[0]:
                    before = (0, 0)
                self._last[count.target] = (count.packets, count.bytes)
                packets, bytes_ = count.packets - before[0], count.bytes - before[1]
                if packets:
                    owed = self._owed.get(count.target, (0, 0))
                    self._owed[count.target] = (owed[0] + packets, owed[1] + bytes_)
        gone = [target for target in self._last if target not in self._session.ledger.blocks]
        for target in gone:
            del self._last[target]

    async def _store_owed(self) -> None:
        owed, self._owed = self._owed, {}
        if not owed:
            return
        try:
            await self._store.add_counters(owed)
        except BlockListError:
            for target, (packets, bytes_) in owed.items():
                more = self._owed.get(target, (0, 0))
                self._owed[target] = (more[0] + packets, more[1] + bytes_)
            raise
