"""The vocabulary: target, action, origin, block; parsing and printing them.

A *target* is what is matched: a :class:`Source` (one host address), a
:class:`Prefix`, or a :class:`Flow` (protocol, source and destination address
and port). Addresses are held as packed network-order bytes (4 for IPv4, 16 for
IPv6): that is what switches match, and it keeps a hundred thousand of them
small; and they are tuples, whose hash costs little. ``str(target)`` is the
canonical text, the member stored in Redis; ``parse_target(str(t)) == t`` always.

IPv6 text follows RFC 5952. An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2)
names the IPv4 host. A full-length prefix is its host.
"""

from __future__ import annotations

import enum
import math
import re
import socket
from typing import Final, NamedTuple

from sdnblock.errors import TargetError

UDP: Final = 17
TCP: Final = 6
PROTOCOLS: Final = {"udp": UDP, "tcp": TCP}
_PROTOCOL_NAMES: Final = {number: name for name, number in PROTOCOLS.items()}

NEVER: Final = math.inf
"""The expiry of a block that has none (Redis score ``+inf``)."""

MAX_DURATION: Final = 10 * 366 * 86400
"""The longest finite duration accepted, in seconds: ten years. More is a typing error."""

MAX_TARGET_TEXT: Final = 128
"""No canonical target is longer; longer input is refused unread."""

_MAPPED: Final = bytes(10) + b"\xff\xff"


class Action(enum.Enum):
    """What a switch does with packets of a target. Stronger actions win over weaker."""

    WATCH = "watch"
    LIMIT = "limit"
    DROP = "drop"

    strength: int
    """1 for watch, 2 for limit, 3 for drop."""

    def __init__(self, word: str) -> None:
        self.strength = ("watch", "limit", "drop").index(word) + 1

    # Members are single: their identity is hash enough, and enum's own costs a call each time.
    __hash__ = object.__hash__


class Source(NamedTuple):
    """One host address."""

    address: bytes

    @property
    def family(self) -> int:
        """4 or 6."""
        return 4 if len(self.address) == 4 else 6

    def __str__(self) -> str:
        return format_address(self.address)


class Prefix(NamedTuple):
    """A CIDR prefix shorter than a host; bits beyond ``length`` are zero."""

    address: bytes
    length: int

    @property
    def family(self) -> int:
        """4 or 6."""
        return 4 if len(self.address) == 4 else 6

    def __str__(self) -> str:
        return f"{format_address(self.address)}/{self.length}"


class Flow(NamedTuple):
    """A 4-tuple and its protocol, in the direction in which packets reach us."""

    protocol: int
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int

    @property
    def family(self) -> int:
        """4 or 6."""
        return 4 if len(self.source) == 4 else 6

    def __str__(self) -> str:
        return (
            f"{_PROTOCOL_NAMES[self.protocol]}:{_endpoint(self.source, self.source_port)}"
            f">{_endpoint(self.destination, self.destination_port)}"
        )


Target = Source | Prefix | Flow


def source_of(target: Target) -> tuple[bytes, int]:
    """The source addresses that ``target`` matches, as (packed address, prefix length)."""
    if isinstance(target, Source):
        return target.address, len(target.address) * 8
    if isinstance(target, Prefix):
        return target.address, target.length
    return target.source, len(target.source) * 8


def covers(outer: tuple[bytes, int], inner: tuple[bytes, int]) -> bool:
    """Whether prefix ``outer`` contains prefix ``inner``; both as :func:`source_of` gives."""
    (outer_address, outer_length), (inner_address, inner_length) = outer, inner
    if len(outer_address) != len(inner_address) or outer_length > inner_length:
        return False
    shift = len(outer_address) * 8 - outer_length
    return (
        int.from_bytes(outer_address, "big") >> shift
        == int.from_bytes(inner_address, "big") >> shift
    )


def overlaps(one: tuple[bytes, int], other: tuple[bytes, int]) -> bool:
    """Whether two prefixes share an address: one of them contains the other."""
    return covers(one, other) or covers(other, one)


def format_address(address: bytes) -> str:
    """Packed address to text (RFC 5952 for IPv6)."""
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, address)


def parse_address(text: str) -> bytes:
    """Address text to packed bytes; an IPv4-mapped IPv6 address gives the IPv4 one.

    Raises TargetError for anything that is not exactly one address: no zone, no
    leading zeros, no shorthand such as ``10.1``.
    """
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        packed = socket.inet_pton(family, text)
    except (OSError, ValueError):  # ValueError: embedded NUL; UnicodeEncodeError is one too
        raise TargetError(f"{_quote(text)} is not an IP address") from None
    if packed.startswith(_MAPPED) and len(packed) == 16:
        return packed[12:]
    return packed


def parse_target(text: str) -> Source | Prefix | Flow:
    """Parse an address, a CIDR prefix or a flow ``udp:203.0.113.7:5060>198.51.100.9:5060``.

    Raises TargetError, with one line that says what is wrong, for malformed
    text, host bits set in a prefix, a prefix of length 0, the unspecified
    address and mixed families.
    """
    text = text.strip()
    if len(text) > MAX_TARGET_TEXT:
        raise TargetError(f"target {_quote(text[:40])}... is longer than any address or flow")
    if ">" in text:
        return _parse_flow(text)
    if "/" in text:
        return parse_prefix(text)
    if not text:
        raise TargetError("an empty target: give an address, a prefix or a flow")
    return Source(_usable(parse_address(text), text))


def parse_prefix(text: str) -> Source | Prefix:
    """Parse ``address/length``; a full-length prefix gives its Source.

    A bare address is taken as its full-length prefix. Raises TargetError as
    :func:`parse_target` does.
    """
    address_text, slash, length_text = text.strip().partition("/")
    packed = parse_address(address_text)
    bits = len(packed) * 8
    if not slash:
        return Source(_usable(packed, text))
    if not re.fullmatch(r"[0-9]{1,3}", length_text, re.ASCII):
        raise TargetError(f"{_quote(text)}: the prefix length after '/' must be a number")
    length = int(length_text)
    if ":" in address_text and bits == 32:  # ::ffff:a.b.c.d/96+n
        length -= 96
        if length < 0:
            raise TargetError(f"{_quote(text)}: an IPv4-mapped prefix is /96 or longer")
    if length > bits:
        raise TargetError(f"{_quote(text)}: an IPv{_family(packed)} prefix has at most /{bits}")
    if length == 0:
        raise TargetError(f"{_quote(text)} is the whole Internet: refused")
    if length == bits:
        return Source(_usable(packed, text))
    number = int.from_bytes(packed, "big")
    mask = ((1 << length) - 1) << (bits - length)
    if number & ~mask:
        network = format_address((number & mask).to_bytes(len(packed), "big"))
        raise TargetError(
            f"{_quote(text)} has bits set beyond /{length}: did you mean {network}/{length}?"
        )
    return Prefix(packed, length)


def parse_action(text: str) -> Action:
    """Parse ``drop``, ``limit`` or ``watch``. Raises TargetError for anything else."""
    try:
        return Action(text)
    except ValueError:
        raise TargetError(f"unknown action {_quote(text)}: use drop, limit or watch") from None


_DURATION = re.compile(r"([0-9]{1,12})(s|m|h|d|w|)", re.ASCII)
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(text: str) -> float:
    """Parse ``90``, ``30s``, ``5m``, ``4h``, ``1d12h``, ``2w`` or ``forever`` to seconds.

    ``forever`` gives infinity. Raises TargetError for zero, negative, malformed
    or more than ten years.
    """
    cleaned = text.strip().lower()
    if cleaned in ("forever", "never", "inf"):
        return NEVER
    total, at = 0, 0
    while match := _DURATION.match(cleaned, at):
        total += int(match[1]) * _UNITS[match[2]]
        at = match.end()
        if not match[2]:
            break
    if at != len(cleaned) or at == 0:
        raise TargetError(f"{_quote(text)} is not a duration: write 30s, 5m, 4h, 1d12h or forever")
    if total == 0:
        raise TargetError(f"duration {_quote(text)} is zero: nothing would be blocked")
    if total > MAX_DURATION:
        raise TargetError(f"duration {_quote(text)} is over ten years: write forever if meant")
    return float(total)


_ORIGIN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)


def parse_origin(text: str) -> str:
    """Check an origin's name: 1-63 of ``a-z 0-9 _ . -``. Raises TargetError."""
    if not _ORIGIN.fullmatch(text):
        raise TargetError(
            f"{_quote(text)} is not an origin's name: use 1-63 of a-z 0-9 _ . -, lower case"
        )
    return text


def _parse_flow(text: str) -> Flow:
    protocol_text, colon, rest = text.partition(":")
    if not colon or protocol_text not in PROTOCOLS:
        raise TargetError(
            f"{_quote(text)}: a flow is written udp:203.0.113.7:5060>198.51.100.9:5060"
            " (or tcp:; IPv6 in brackets)"
        )
    source_text, _, destination_text = rest.partition(">")
    source, source_port = _parse_endpoint(source_text, text)
    destination, destination_port = _parse_endpoint(destination_text, text)
    if len(source) != len(destination):
        raise TargetError(f"{_quote(text)} mixes IPv4 and IPv6")
    return Flow(PROTOCOLS[protocol_text], source, source_port, destination, destination_port)


def _parse_endpoint(text: str, whole: str) -> tuple[bytes, int]:
    address_text, colon, port_text = text.rpartition(":")
    bracketed = address_text.startswith("[") and address_text.endswith("]")
    if bracketed:
        address_text = address_text[1:-1]
    if not colon or bracketed != (":" in address_text):
        raise TargetError(
            f"{_quote(whole)}: {_quote(text)} is not address:port (IPv6 as [2001:db8::1]:5060)"
        )
    if not re.fullmatch(r"[0-9]{1,5}", port_text, re.ASCII) or not 0 < int(port_text) < 65536:
        raise TargetError(f"{_quote(whole)}: port {_quote(port_text)} is not in 1-65535")
    return _usable(parse_address(address_text), whole), int(port_text)


def _usable(packed: bytes, text: str) -> bytes:
    if not any(packed):
        raise TargetError(f"{_quote(text)}: the unspecified address is nobody's")
    return packed


def _endpoint(address: bytes, port: int) -> str:
    text = format_address(address)
    return f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"


def _family(packed: bytes) -> int:
    return 4 if len(packed) == 4 else 6


def _quote(text: str) -> str:
    """Outside text, made safe for one line on a terminal."""
    return ascii(text)
