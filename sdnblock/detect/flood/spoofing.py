"""Whether sources are being forged by the hundred, and what evidence must then do to count.

One forged packet is enough for a verdict of ten minutes on a source without credit. A flood
with invented sources would fill the switches' tables with them, and cut off whoever really has
one of these addresses. So convictions on spoofable evidence have a budget; while it is spent,
or a flood of forged sources goes on, a source must give evidence three times, seconds
apart, which invented ones hardly do and a scanner does at once.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from sdnblock.block import Target

RATE: Final = 5.0
"""Convictions a second. The widest scan on record, of three million sources in twelve days
(Dainotti et al., 2012), showed three new ones a second."""
BURST: Final = 500.0
LASTS: Final = 60.0
"""Seconds for which it is taken to go on after the last sign of it."""
STRIKES: Final = 3
_APART: Final = 1.0
_MOST: Final = 100_000


class Spoofing:
    """What the flood detector and the judge know of forged sources."""

    def __init__(self) -> None:
        self._until = 0.0
        self._tokens, self._filled = BURST, 0.0
        self._strikes: OrderedDict[Target, tuple[int, float]] = OrderedDict()
        self.withheld = 0
        """Verdicts that were not given for it."""

    def mark(self, now: float) -> None:
        """Sources are being forged."""
        self._until = max(self._until, now + LASTS)

    def active(self, now: float) -> bool:
        """Whether sources are being forged."""
        return now < self._until

    def admits(self, target: Target, now: float) -> bool:
        """Whether spoofable evidence may convict a source without credit."""
        self._tokens = min(BURST, self._tokens + max(0.0, now - self._filled) * RATE)
        self._filled = max(self._filled, now)
        if self._tokens < 1.0:
            self.mark(now)
        if self.active(now) and not self._often(target, now):
            self.withheld += 1
            return False
        self._tokens = max(0.0, self._tokens - 1.0)
        return True

    def _often(self, target: Target, now: float) -> bool:
        strikes, last = self._strikes.get(target, (0, now - _APART))
        if now - last > LASTS:
            strikes = 0
        if now - last >= _APART or strikes == 0:
            strikes, last = strikes + 1, now
        self._strikes[target] = strikes, last
        self._strikes.move_to_end(target)
        if len(self._strikes) > _MOST:
            self._strikes.popitem(last=False)
        return strikes >= STRIKES
