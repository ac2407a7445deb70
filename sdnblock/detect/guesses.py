"""What is remembered of rejected and of accepted credentials, for detector ``brute-force``."""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from sdnblock.detect.kept import packed_count, packed_text, packed_time
from sdnblock.detect.kind import Kind
from sdnblock.detect.site import parse_site, site_text

_USERS: Final = 64
"""Users told apart at an address."""
_PORTS: Final = 64
_STRANGERS: Final = 4096
_KEPT_USERS: Final = 16
_KEPT_STRANGERS: Final = 64
"""Of these so many outlive a restart."""
_LONGEST: Final = 64
_NONCES: Final = 50_000
_FLOWS: Final = 100_000
_DAY: Final = 86400.0


class Sureness(enum.IntEnum):
    """How sure it is that a rejected credential came from where it seems to."""

    PROVEN = 0
    OURS = 1
    """It answered a challenge of ours that others may know too."""
    UNKNOWN = 2
    """Nobody saw us send what it answered."""


@dataclass(slots=True)
class UserGuesses:
    """Of one user at one address, since he was last taken or convicted."""

    first: float
    counts: tuple[int, int, int] = (0, 0, 0)
    """By :class:`Sureness`."""


class Guesses:
    """The rejected credentials of one source."""

    __slots__ = ("convicted", "first", "last", "ports", "strangers", "users")

    def __init__(self, now: float) -> None:
        self.first = self.last = now
        self.users: dict[str, UserGuesses] = {}
        self.ports: set[int] = set()
        self.strangers: set[str] = set()
        """Users who were tried and are not known there."""
        self.convicted = False
        """Whether a finding was made of it before."""

    def note(self, user: str, port: int, sure: Sureness, now: float) -> None:
        """One more. :attr:`users` has ``user`` then."""
        if not self.users:
            self.first = now
        self.last = now
        mine = self.users.get(user)
        if mine is None:
            if len(self.users) >= _USERS:
                del self.users[next(iter(self.users))]
            mine = self.users[user] = UserGuesses(now)
        proven, ours, unknown = mine.counts
        mine.counts = (
            proven + (sure is Sureness.PROVEN),
            ours + (sure is Sureness.OURS),
            unknown + (sure is Sureness.UNKNOWN),
        )
        if len(self.ports) < _PORTS:
            self.ports.add(port)

    def stranger(self, user: str) -> None:
        """A user was tried who is not known there."""
        if len(self.strangers) < _STRANGERS:
            self.strangers.add(user)

    def total(self) -> tuple[int, int, int]:
        """Rejections of all users, by how sure they are."""
        counts = [each.counts for each in self.users.values()]
        return (
            sum(each[0] for each in counts),
            sum(each[1] for each in counts),
            sum(each[2] for each in counts),
        )

    def forgive(self, user: str) -> None:
        """The user knew his password after all."""
        self.users.pop(user, None)
        self.strangers.discard(user)

    def restart(self, user: str) -> None:
        """Count him anew."""
        self.users.pop(user, None)

    @property
    def empty(self) -> bool:
        """Whether nothing is held against the source."""
        return not (self.users or self.strangers or self.convicted)

    def pack(self) -> list[Any]:
        """Plain values, the latest of each, without :attr:`last`."""
        users = list(self.users.items())[-_KEPT_USERS:]
        return [
            self.first, self.convicted,
            [[user, each.first, *each.counts] for user, each in users],
            sorted(self.ports)[:_KEPT_USERS], sorted(self.strangers)[:_KEPT_STRANGERS],
        ]  # fmt: skip

    def clear(self, now: float) -> None:
        """Begin again."""
        self.users.clear()
        self.ports.clear()
        self.first = now


def unpack_guesses(time: float, packed: Any) -> Guesses:
    """:meth:`Guesses.pack` back, from outside. Raises ValueError."""
    try:
        first, convicted, users, ports, strangers = packed
        found = Guesses(time)
        found.first = min(packed_time(first), time)
        found.convicted = bool(convicted)
        for user, since, proven, ours, unknown in users[:_KEPT_USERS]:
            counts = (packed_count(proven), packed_count(ours), packed_count(unknown))
            since = min(packed_time(since), time)
            found.users[packed_text(user, _LONGEST)] = UserGuesses(since, counts)
        found.ports.update(map(packed_count, ports[:_KEPT_USERS]))
        found.strangers.update(packed_text(each, _LONGEST) for each in strangers[:_KEPT_STRANGERS])
        return found
    except TypeError as error:
        raise ValueError(f"not the guesses of a source: {error}") from None


KIND: Final[Kind[bytes, Guesses]] = Kind(
    name="guesses",
    lifetime=2592000.0,
    most=100_000,
    key_text=site_text,
    parse_key=parse_site,
    time=lambda guesses: guesses.last,
    pack=Guesses.pack,
    unpack=unpack_guesses,
    firm=lambda guesses: guesses.convicted or guesses.total()[Sureness.PROVEN] > 0,
)


class AcceptedNonces:
    """Nonces by the user who was taken with them. Servers forget them, and phones do not."""

    def __init__(self) -> None:
        self._users: OrderedDict[str, str] = OrderedDict()

    def note(self, nonce: str, user: str) -> None:
        """A credential was accepted."""
        if nonce and len(nonce) <= 256:
            self._users[nonce] = user[:100]
            self._users.move_to_end(nonce)
            if len(self._users) > _NONCES:
                self._users.popitem(last=False)

    def has(self, nonce: str, user: str) -> bool:
        """Whether ``user`` was."""
        return self._users.get(nonce) == user[:100]


class FlowUsers:
    """Users whose credentials were taken from a flow (source and port) within a day: two of
    them, which is enough to know that another one is there."""

    def __init__(self) -> None:
        self._users: OrderedDict[tuple[bytes, int], list[tuple[str, float]]] = OrderedDict()

    def note(self, flow: tuple[bytes, int], user: str, now: float) -> None:
        """A credential was accepted."""
        user = user[:100]
        known = self._users.setdefault(flow, [])
        if known and known[0][0] == user:
            known[0] = (user, now)
        else:
            known[:] = [(user, now), *(each for each in known if each[0] != user)][:2]
        self._users.move_to_end(flow)
        if len(self._users) > _FLOWS:
            self._users.popitem(last=False)

    def others(self, flow: tuple[bytes, int], user: str, now: float) -> str:
        """Another user of the flow, empty if none is known."""
        for name, last in self._users.get(flow, ()):
            if name != user[:100] and now - last <= _DAY:
                return name
        return ""
