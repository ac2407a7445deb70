"""What must never be blocked, whoever asks. Pure.

Feeds carry bogons, and anyone with access to Redis can add a member: a claim is
checked here before it counts. The allowlist is another matter, and wins anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sdnblock.block import Prefix, Source, Target, overlaps, parse_prefix, source_of

OPERATOR: Final = "operator"
"""The origin that may block private and special-purpose space: a person who typed it."""

_Net = tuple[bytes, int]

# IANA special-purpose registries (RFC 6890) and what they refer to. The
# documentation prefixes (RFC 5737, RFC 3849) are left out on purpose: nobody
# is harmed by blocking them, and every example uses them. So are 6to4 and
# Teredo: attacks do come from there.
_PRIVATE: Final = {
    "10.0.0.0/8": "private, RFC 1918",
    "172.16.0.0/12": "private, RFC 1918",
    "192.168.0.0/16": "private, RFC 1918",
    "100.64.0.0/10": "shared by carriers, RFC 6598",
    "169.254.0.0/16": "link-local, RFC 3927",
    "198.18.0.0/15": "benchmarking, RFC 2544",
    "fc00::/7": "unique local, RFC 4193",
    "fe80::/10": "link-local, RFC 4291",
}
_SPECIAL: Final = {
    "0.0.0.0/8": "this network, RFC 791",
    "127.0.0.0/8": "loopback, RFC 1122",
    "192.0.0.0/24": "protocol assignments, RFC 6890",
    "224.0.0.0/4": "multicast, RFC 5771",
    "240.0.0.0/4": "reserved, RFC 1112",
    "::/96": "loopback and IPv4-compatible, RFC 4291",
    "64:ff9b::/96": "translated IPv4, RFC 6052",
    "64:ff9b:1::/48": "translated IPv4, RFC 8215",
    "100::/64": "discard-only, RFC 6666",
    "ff00::/8": "multicast, RFC 4291",
}


@dataclass(frozen=True, slots=True)
class SafetySettings:
    """The limits. ``shortest_*``: a prefix shorter than this many bits is refused."""

    shortest_v4: int = 8
    shortest_v6: int = 19
    allow_private: bool = False
    """Private, shared and link-local space may be blocked by every origin (labs need it)."""
    own_prefixes: tuple[Source | Prefix, ...] = ()
    """Our own addresses: what touches them is refused for everyone."""


class Safety:
    """Checks claims against the limits of ``settings``."""

    def __init__(self, settings: SafetySettings) -> None:
        self._settings = settings
        self._own = _Nets(
            (prefix, "our own (safety.own_prefixes)") for prefix in settings.own_prefixes
        )
        refused = dict(_SPECIAL)
        if not settings.allow_private:
            refused |= _PRIVATE
        self._refused = _Nets((parse_prefix(text), why) for text, why in refused.items())

    def check(self, target: Target, origin: str) -> str | None:
        """Why ``origin`` may not block ``target``; None: it may."""
        if isinstance(target, Prefix):
            shortest = (
                self._settings.shortest_v4 if target.family == 4 else self._settings.shortest_v6
            )
            if target.length < shortest:
                return (
                    f"a /{target.length} is too much at once: IPv{target.family}"
                    f" prefixes shorter than /{shortest} are refused"
                )
        net = source_of(target)
        why = self._own.touched(net)
        if why is None and origin != OPERATOR:
            why = self._refused.touched(net)
        return why


class _Nets:
    """Prefixes by the first byte of their addresses, for a check that costs nearly nothing."""

    def __init__(self, nets: Iterable[tuple[Source | Prefix, str]]) -> None:
        self._by_byte: dict[tuple[int, int], list[tuple[_Net, str]]] = {}
        for prefix, why in nets:
            net = source_of(prefix)
            line = f"overlaps {prefix}: {why}"
            for byte in _first_bytes(net):
                self._by_byte.setdefault((len(net[0]), byte), []).append((net, line))

    def touched(self, net: _Net) -> str | None:
        """The line about the first of the prefixes that shares an address with ``net``."""
        address, length = net
        if length >= 8 and (len(address), address[0]) not in self._by_byte:
            return None  # as nearly always
        for byte in _first_bytes(net):
            for other, line in self._by_byte.get((len(address), byte), ()):
                if overlaps(other, net):
                    return line
        return None


def _first_bytes(net: _Net) -> range:
    address, length = net
    first = address[0]
    return range(first, first + (1 << max(0, 8 - length)))
