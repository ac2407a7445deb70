"""Test numbers on their way to Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from sdnblock.blocklist.store import Store
from sdnblock.detect.numbers import TestNumbers
from sdnblock.errors import BlockListError

_log = logging.getLogger(__name__)

_EVERY: Final = 0.2
_TIDY_EVERY: Final = 60.0


class Numbers:
    """Writes what is to be listed, and takes off what has not been dialled for long."""

    def __init__(self, numbers: TestNumbers, store: Store) -> None:
        self._numbers = numbers
        self._store = store.numbers

    async def run(self) -> None:
        """Write for ever; what cannot be written waits."""
        tidied = 0.0
        while True:
            await asyncio.sleep(_EVERY)
            listed, unlisted = self._numbers.take()
            tidy = time.monotonic() - tidied > _TIDY_EVERY
            if not (listed or unlisted or tidy):
                continue
            settings = self._numbers.settings
            try:
                await self._store.remove(unlisted)
                if listed or tidy:
                    rows = {number: (each.time, each.reason) for number, each in listed.items()}
                    await self._store.add(rows, settings.keep, settings.most)
                    tidied = time.monotonic()
            except BlockListError as error:
                _log.debug("%d test numbers wait: %s", len(listed), error)
                self._numbers.give_back(listed, unlisted)
                await asyncio.sleep(1.0)
            else:
                for number, each in listed.items():
                    _log.info("test number %s listed: %s", number, each.reason)
