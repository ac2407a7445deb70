"""Counters read back from one switch, as totals per block in the block list."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from sdnblock.block import Target
from sdnblock.blocklist.store import Store
from sdnblock.controller.session import Session
from sdnblock.errors import BlockListError, SwitchError

_PATIENCE: Final = 60
"""Seconds that a reading waits for a switch that is just being filled, which it would hold up."""

_PART: Final = 100

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
            for _ in range(_PATIENCE):
                if not self._session.busy:
                    break
                await asyncio.sleep(1.0)
            try:
                await self._read()
                await self._store_owed()
            except SwitchError as error:
                _log.debug("counters of switch %s not read: %s", self._session.name, error)
            except BlockListError as error:
                _log.debug("counters of switch %s not stored: %s", self._session.name, error)

    async def _read(self) -> None:
        for target in self._last.keys() & self._session.reinserted:
            del self._last[target]
        self._session.reinserted.clear()
        async for counts in self._session.driver.read_counters():
            for count in counts:
                if not count.packets or self._in_doubt(count.target):
                    continue
                before = self._last.get(count.target, (0, 0))
                if count.packets < before[0]:
                    before = (0, 0)
                self._last[count.target] = (count.packets, count.bytes)
                packets, bytes_ = count.packets - before[0], count.bytes - before[1]
                if packets:
                    owed = self._owed.get(count.target, (0, 0))
                    self._owed[count.target] = (owed[0] + packets, owed[1] + bytes_)
        for number, target in enumerate(list(self._last), 1):
            if target not in self._session.ledger.blocks:
                del self._last[target]
            if number % _PART == 0:
                await asyncio.sleep(0)

    def _in_doubt(self, target: Target) -> bool:
        """Whether its entry was inserted since the reading began, or is just now.

        The count may be the new entry's, or the old one's. The next reading takes it as the
        new one's, from zero: taken now it would be counted twice.
        """
        return target in self._session.inserting or target in self._session.reinserted

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
