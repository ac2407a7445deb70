"""How many users are behind an address: those whose credentials our servers took there lately.

An office of two hundred phones sends two hundred times what one phone does, and one phone's
fault must not cost the others their calls.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome

LIFETIME: Final = 86400.0
"""Seconds for which a user counts after his last accepted credential."""

_MOST: Final = 200_000
_USERS: Final = 1024
"""Users remembered of one address; an office of more counts as one of so many."""


class Tenants:
    """Users by address (of IPv6 the /64) and by when their credential was taken last."""

    def __init__(self) -> None:
        self._users: OrderedDict[bytes, OrderedDict[str, float]] = OrderedDict()

    def note(self, outcome: Outcome) -> None:
        """An accepted credential tells of a user."""
        if not outcome.challenged or not outcome.accepted:
            return
        key = site_of(outcome.remote)
        users = self._users.setdefault(key, OrderedDict())
        self._users.move_to_end(key)
        digest = outcome.asked.digest
        user = digest.get("username") if digest is not None else outcome.user
        users[user] = outcome.time
        users.move_to_end(user)
        while len(users) > _USERS or next(iter(users.values())) < outcome.time - LIFETIME:
            users.popitem(last=False)
        if len(self._users) > _MOST:
            self._users.popitem(last=False)

    def count(self, address: bytes, now: float) -> int:
        """How many users are there."""
        return len(self._live(address, now))

    def alone(self, address: bytes, user: str, now: float) -> bool:
        """Whether ``user`` is there and nobody else is."""
        return self._live(address, now) == [user]

    def _live(self, address: bytes, now: float) -> list[str]:
        users = self._users.get(site_of(address))
        if users is None:
            return []
        return [user for user, last in users.items() if now - last <= LIFETIME]
