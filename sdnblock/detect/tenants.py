"""How many phones are behind an address, as far as can be seen.

An office of two hundred phones sends two hundred times what one phone does, and one phone's
fault must not cost the others their calls. Users whose credentials our servers took there are
sure, and outlive a restart of the controller: an office must not pass for a single phone because
only one of its phones has registered since. Where no user is known yet, ports that requests come
from are a guess: behind a NAT each phone has its own.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from sdnblock.detect.kept import Kept, Memory, packed_text, packed_time
from sdnblock.detect.kind import Kind
from sdnblock.detect.site import parse_site, site_of, site_text
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.events import SipSeen

LIFETIME: Final = 86400.0
"""Seconds for which a user counts after his last accepted credential."""

_PORTS_FOR: Final = 300.0
_MOST: Final = 200_000
_USERS: Final = 1024
"""Users remembered of one address; an office of more counts as one of so many."""
_PORTS: Final = 256
_KEPT: Final = 64
"""Users, the latest, that are known after a restart."""
_LONGEST: Final = 100
_GRAIN: Final = 600.0
"""Seconds by which what is kept of a user may be older than it is."""

Users = OrderedDict[str, float]
"""Users by when their credential was taken last, the latest at the end."""


def _unpack(time: float, packed: Any) -> Users:
    if not isinstance(packed, list):
        raise ValueError("not the users of a source")
    users: Users = OrderedDict()
    for each in packed[-_USERS:]:
        if not isinstance(each, list) or len(each) != 2:
            raise ValueError("not a user and a time")
        users[packed_text(each[0], _LONGEST)] = min(packed_time(each[1]), time)
    if not users:
        raise ValueError("nobody")
    return OrderedDict(sorted(users.items(), key=lambda each: each[1]))


KIND: Final[Kind[bytes, Users]] = Kind(
    name="tenants",
    lifetime=LIFETIME,
    most=_MOST,
    key_text=site_text,
    parse_key=parse_site,
    time=lambda users: next(reversed(users.values())),
    pack=lambda users: [[user, last] for user, last in list(users.items())[-_KEPT:]],
    unpack=_unpack,
)


class Tenants:
    """Users and ports by address (of IPv6 the /64)."""

    def __init__(self, memory: Memory) -> None:
        self._users: Kept[bytes, Users] = memory.keep(KIND)
        self._ports: OrderedDict[bytes, tuple[float, set[int]]] = OrderedDict()

    def request(self, event: SipSeen) -> None:
        """A new request tells of a port."""
        site = event.site
        found = self._ports.get(site)
        if found is None or not 0 <= event.time - found[0] < _PORTS_FOR:
            found = self._ports[site] = (event.time, set())
            self._ports.move_to_end(site)
            if len(self._ports) > _MOST:
                self._ports.popitem(last=False)
        ports = found[1]
        if len(ports) < _PORTS:
            ports.add(event.source_port)

    def note(self, outcome: Outcome) -> None:
        """An accepted credential tells of a user."""
        if not outcome.challenged or not outcome.accepted:
            return
        key = site_of(outcome.remote)
        users = self._users.get(key) or OrderedDict()
        digest = outcome.asked.digest
        user = (digest.get("username") if digest is not None else outcome.user)[:_LONGEST]
        before = users.get(user)
        users[user] = outcome.time
        users.move_to_end(user)
        while len(users) > _USERS or next(iter(users.values())) < outcome.time - LIFETIME:
            users.popitem(last=False)
        fresh = before is None or before // _GRAIN != outcome.time // _GRAIN
        self._users.put(key, users, changed=fresh)

    def count(self, address: bytes, now: float) -> int:
        """How many users are there, for sure."""
        return len(self._live(address, now))

    def phones(self, address: bytes, now: float) -> int:
        """How many phones seem to be there, at least one."""
        ports = self._ports.get(site_of(address))
        fresh = ports is not None and 0 <= now - ports[0] < 2 * _PORTS_FOR
        return max(1, len(ports[1]) if ports and fresh else 0, self.count(address, now))

    def has(self, address: bytes, user: str, now: float) -> bool:
        """Whether ``user`` is there."""
        users = self._users.get(site_of(address))
        last = users.get(user[:_LONGEST]) if users is not None else None
        return last is not None and now - last <= LIFETIME

    def alone(self, address: bytes, user: str, now: float) -> bool:
        """Whether ``user`` is there and nobody else is."""
        return self._live(address, now) == [user]

    def _live(self, address: bytes, now: float) -> list[str]:
        users = self._users.get(site_of(address))
        if users is None:
            return []
        return [user for user, last in users.items() if now - last <= LIFETIME]
