"""Which addresses are ours: evidence is about the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sdnblock.block import Prefix, Source
from sdnblock.blocklist.allow import AllowView
from sdnblock.evidence.events import SipSeen

_CHALLENGES = frozenset({401, 407})
_REMEMBERED = 65536


class Sides:
    """Our side, as prefixes."""

    def __init__(self, ours: Iterable[Source | Prefix]) -> None:
        self._ours = AllowView()
        for prefix in ours:
            self._ours.put(prefix, float("inf"), 0)

        self._known: dict[bytes, bool] = {}

    def ours(self, address: bytes) -> bool:
        """Whether an address is on our side."""
        known = self._known.get(address)
        if known is None:
            known = self._ours.allows(Source(address))
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[address] = known
        return known


def guess_ours(events: Iterable[SipSeen]) -> set[Source]:
    """Our side, from who behaves as a server: answers with challenges, or is only asked.

    Where an address both asks and is asked, the one that challenges, or is asked by more
    hosts than it asks, is a server.
    """
    asked: dict[bytes, set[bytes]] = {}
    asks: dict[bytes, set[bytes]] = {}
    challenges: Counter[bytes] = Counter()
    for event in events:
        message = event.message
        if message.is_request and message.method != "ACK":
            asked.setdefault(event.destination, set()).add(event.source)
            asks.setdefault(event.source, set()).add(event.destination)
        elif message.status in _CHALLENGES:
            challenges[event.source] += 1
    found = set()
    for address, askers in asked.items():
        others = len(asks.get(address, ()))
        if challenges[address] or len(askers) > others:
            found.add(Source(address))
    return found
