"""Credit: sources that have shown to be honest lately, by a credential or a completed call.

It cannot be forged: both need round trips, and a credential of ours.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome

LIFETIME: Final = 86400.0
"""Seconds for which a source has credit after it earned it."""

_MOST: Final = 500_000


class Credit:
    """Sites by the time at which they last earned credit."""

    def __init__(self, lifetime: float = LIFETIME) -> None:
        self._lifetime = lifetime
        self._earned: OrderedDict[bytes, float] = OrderedDict()

    def note(self, outcome: Outcome) -> None:
        """An accepted credential earns credit, if it answered a challenge of ours."""
        if outcome.challenged and outcome.accepted:
            site = site_of(outcome.remote)
            self._earned[site] = outcome.time
            self._earned.move_to_end(site)
            if len(self._earned) > _MOST:
                self._earned.popitem(last=False)

    def has(self, address: bytes, now: float) -> bool:
        """Whether a source has credit."""
        earned = self._earned.get(site_of(address))
        return earned is not None and now - earned <= self._lifetime
