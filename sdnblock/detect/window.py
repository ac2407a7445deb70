"""The switches' request window, for evidence that no switch has seen (captures).

As ``p4/include/window.p4``: per IPv4 host or IPv6 /64, the window begins with a request and
is told once, when the count reaches the threshold.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from sdnblock.detect.site import site_of, site_target
from sdnblock.evidence.events import RateCrossed, SipSeen

_MOST: Final = 65536


class RequestWindow:
    """Counts requests; ``threshold`` 0 is off."""

    def __init__(self, threshold: int, seconds: float) -> None:
        self._threshold = threshold
        self._seconds = seconds
        self._counts: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def request(self, event: SipSeen) -> RateCrossed | None:
        """The evidence, when a source's count reaches the threshold."""
        return self._count(event.site, event.source, event.time, event.via)

    def count(self, address: bytes, time: float, via: str) -> RateCrossed | None:
        """The same, of a request from ``address`` at ``time`` that ``via`` tells of."""
        return self._count(site_of(address), address, time, via)

    def _count(self, site: bytes, address: bytes, time: float, via: str) -> RateCrossed | None:
        if not self._threshold:
            return None
        start, count = self._counts.get(site, (time, 0))
        if time - start >= self._seconds:
            start, count = time, 0
        self._counts[site] = (start, count + 1)
        if len(self._counts) > _MOST:
            self._counts.popitem(last=False)
        if count + 1 != self._threshold:
            return None
        return RateCrossed(via, site_target(address), count + 1, self._seconds, 0, time)
