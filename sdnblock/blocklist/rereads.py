"""When to read which sorted set again.

A notice says only that a key changed, not what. After a reading a set rests for
at least half a second, and for up to four times as long as the reading took:
less where that much would break the promise that a change is told within a
second (up to some 200,000 members), all of it beyond. Our own writers also leave hints in the
stream, which tell the change itself: a notice that came with a hint needs no
prompt reading, only one to be sure, since Redis makes one notice of the changes that two
writers made in the same moment. That one keeps the promise of a second where a reading is
cheap, and comes later where it is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Final

from sdnblock.blocklist.claims import ClaimKey

SetId = ClaimKey | None
"""A claim set, or None: the allowlist."""

_REST: Final = 0.5
_SHARE: Final = 4.0
_QUICK: Final = 0.4
_PROMISE: Final = 0.9
_HINT_WAIT: Final = 0.3
"""How long a notice that came together with some hint waits for a hint about its own key."""
_HINT_MEMORY: Final = 0.1
_SURE_SOON: Final = 0.8
_SURE_LATE: Final = 10.0
_SURE_SHARE: Final = 25.0
"""A reading to be sure waits for so many times as long as the last reading took."""
_MANY: Final = 10_000


class Rereads:
    """Due times of sets. Times are of ``clock`` (monotonic seconds)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[SetId, float] = {}
        self._awaiting_hint: set[SetId] = set()
        self._earliest: dict[SetId, float] = {}
        self._hinted: dict[SetId, float] = {}
        self._took: dict[SetId, float] = {}
        self._woken = asyncio.Event()

    def changed(self, sets: Iterable[SetId], with_hints: bool) -> None:
        """Notices came for ``sets``; ``with_hints``: the stream changed at the same time."""
        now = self._clock()
        for key in sets:
            if not with_hints:
                self._awaiting_hint.discard(key)
                self._mark(key, now)
            elif now - self._hinted.pop(key, -1.0) < _HINT_MEMORY:
                self._mark(key, now + self._until_sure(key))
            elif key not in self._due:
                self._awaiting_hint.add(key)
                self._mark(key, now + _HINT_WAIT)

    def hinted(self, key: SetId) -> None:
        """The stream told a change of ``key``."""
        now = self._clock()
        if key in self._awaiting_hint:
            self._awaiting_hint.discard(key)
            self._due[key] = now + self._until_sure(key)
        else:
            if len(self._hinted) >= _MANY:  # hints about keys that no notice ever names
                self._hinted.clear()
            self._hinted[key] = now

    def done(self, key: SetId, seconds: float) -> None:
        """``key`` has been read, which took that long."""
        self._took[key] = seconds
        rest = _SHARE * seconds
        if seconds <= _QUICK:
            rest = min(rest, _PROMISE - seconds)
        self._earliest[key] = self._clock() + max(_REST, rest)

    def forget(self, key: SetId) -> None:
        """``key`` is gone; if something was said of it since, it is read once more."""
        for times in (self._earliest, self._hinted, self._took):
            times.pop(key, None)

    def take(self) -> list[SetId]:
        """The sets that are due; they are no longer marked."""
        now = self._clock()
        due = [key for key in self._due if self._when(key) <= now]
        for key in due:
            del self._due[key]
            self._awaiting_hint.discard(key)
        return due

    async def wait(self, longest: float) -> None:
        """Until a set may be due or :meth:`wake`; at most ``longest`` seconds."""
        soonest = min(map(self._when, self._due), default=None)
        if soonest is not None:
            longest = min(longest, max(0.0, soonest - self._clock()))
        # A timeout of zero could swallow a cancellation (see steady.py).
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(longest, 0.001)):
                await self._woken.wait()
        self._woken.clear()

    def _when(self, key: SetId) -> float:
        return max(self._due[key], self._earliest.get(key, 0.0))

    def wake(self) -> None:
        """End :meth:`wait` now."""
        self._woken.set()

    def _until_sure(self, key: SetId) -> float:
        return min(max(_SURE_SOON, _SURE_SHARE * self._took.get(key, 0.0)), _SURE_LATE)

    def _mark(self, key: SetId, due: float) -> None:
        self._due[key] = min(due, self._due.get(key, due))
        self.wake()
