"""Credit: sources that have shown to be honest lately, by a credential or by completed calls.

It cannot be forged: both need round trips, and a credential of ours, or calls that last (see
``lasting.py``). A source is an IPv4 host or an IPv6 /64, as in verdicts. Credit outlives a
restart of the controller.
"""

from __future__ import annotations

from typing import Any, Final

from sdnblock.detect.kept import Kept, Memory
from sdnblock.detect.kind import Kind
from sdnblock.detect.site import parse_site, site_of, site_text
from sdnblock.detect.transactions import Outcome

LIFETIME: Final = 86400.0
"""Seconds for which a source has credit after it earned it."""

_MOST: Final = 500_000
_GRAIN: Final = 600.0
"""Seconds by which credit that is kept may be older than it is: phones earn it all the time."""


def _unpack(time: float, packed: Any) -> float:
    return time


KIND: Final[Kind[bytes, float]] = Kind(
    name="credit",
    lifetime=LIFETIME,
    most=_MOST,
    key_text=site_text,
    parse_key=parse_site,
    time=lambda earned: earned,
    pack=lambda earned: None,
    unpack=_unpack,
)


class Credit:
    """Sites by the time at which they last earned credit."""

    def __init__(self, memory: Memory, lifetime: float = LIFETIME) -> None:
        self._lifetime = lifetime
        self._earned: Kept[bytes, float] = memory.keep(KIND)

    def note(self, outcome: Outcome) -> bool:
        """An accepted credential that answered a challenge of ours earns credit. True if the
        source had none before."""
        if not outcome.accepted or not outcome.challenged:
            return False
        return self.earn(outcome.remote, outcome.time)

    def earn(self, address: bytes, now: float) -> bool:
        """A source has earned credit. True if it had none before."""
        new = not self.has(address, now)
        site = site_of(address)
        before = self._earned.get(site)
        fresh = before is None or now // _GRAIN != before // _GRAIN
        self._earned.put(site, now, changed=fresh)
        return new

    def has(self, address: bytes, now: float) -> bool:
        """Whether a source has credit. Until all that was kept is known, nobody has none."""
        return self.of(site_of(address), now)

    def of(self, site: bytes, now: float) -> bool:
        """:meth:`has` of a site."""
        earned = self._earned.get(site)
        if earned is None:
            return not self._earned.complete
        return now - earned <= self._lifetime

    def earned(self, address: bytes) -> float | None:
        """When a source last earned it (Unix seconds)."""
        return self._earned.get(site_of(address))
