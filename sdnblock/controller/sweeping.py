"""The garbage collector, kept from looking at everything in the middle of things.

Python's collector walks through all objects once their number has grown by a quarter: for
a hundred thousand blocks a tenth of a second, in which nothing is blocked, several times
while they load. Nearly all of them live on, and nearly all garbage has no cycles or is young.
So only the young are collected as ever; everything is when nothing else is to be done.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Final

_LOOK_EVERY: Final = 1.0
_QUIET: Final = 10.0
"""Seconds without much to do that make a quiet moment."""
_EVERY: Final = 600.0
"""Seconds between collections of everything, given a quiet moment."""
_LONGEST: Final = 3600.0
"""Seconds after which no quiet moment is waited for any more."""
_NEVER: Final = 1 << 30


class Sweeping:
    """Collects in quiet moments. ``busy``: whether much is being done."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy = busy

    async def run(self) -> None:
        """For ever; when it is cancelled the collector is as it was before."""
        before = gc.get_threshold()
        gc.set_threshold(*before[:2], _NEVER)
        try:
            _sweep()
            swept = worked = time.monotonic()
            while True:
                await asyncio.sleep(_LOOK_EVERY)
                now = time.monotonic()
                if self._busy():
                    worked = now
                quiet = now - worked > _QUIET and (worked > swept or now - swept > _EVERY)
                if quiet or now - swept > _LONGEST:
                    _sweep()
                    swept = time.monotonic()
        finally:
            gc.set_threshold(*before)
            gc.unfreeze()


def _sweep() -> None:
    """Collect everything; what is left is passed over until the next time."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
