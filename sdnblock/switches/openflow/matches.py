"""Targets and allowlist entries as OpenFlow matches and priorities, and back. Pure.

OpenFlow 1.3.5, 7.2.3: a match is a list of OXM fields, each a header of class, field, mask
flag and length, and a value. Tagged frames match as untagged ones do, since no field names
the VLAN; a fragment that is not the first has no ports, so it meets sources and prefixes.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from sdnblock.block import PROTOCOLS, TCP, UDP, Flow, Prefix, Source, Target

ALLOW: Final = 45000
"""Priority of an allow entry; its prefix length is added."""
FLOW: Final = 40000
SOURCE: Final = 35000
PREFIX: Final = 30000
"""Priority of a blocked prefix; its length is added, so that the longest wins."""

IN_PORT: Final = 0
ETH_DST: Final = 3
ETH_TYPE: Final = 5
IP_PROTO: Final = 10
IPV4_SRC: Final = 11
IPV4_DST: Final = 12
_PORTS: Final = {TCP: (13, 14), UDP: (15, 16)}
IPV6_SRC: Final = 26
IPV6_DST: Final = 27

_BASIC: Final = 0x8000
_ETHERTYPES: Final = {4: b"\x08\x00", 6: b"\x86\xdd"}
_FAMILIES: Final = {value: family for family, value in _ETHERTYPES.items()}

Fields = dict[int, tuple[bytes, bytes | None]]
"""OXM field number to (value, mask); None: the whole value counts."""


class BadMatch(Exception):
    """Bytes that are no match, or one that we would not have made."""


def field(number: int, value: bytes, mask: bytes | None = None) -> bytes:
    """One OXM field of the basic class (7.2.3.2)."""
    header = (_BASIC << 16) | (number << 9)
    if mask is None:
        return struct.pack("!I", header | len(value)) + value
    return struct.pack("!I", header | 0x100 | 2 * len(value)) + value + mask


def target_match(target: Target) -> bytes:
    """The OXM fields of a blocked target."""
    if isinstance(target, Flow):
        family = target.family
        source_port, destination_port = _PORTS[target.protocol]
        return (
            _ethertype(family)
            + field(IP_PROTO, bytes([target.protocol]))
            + field(IPV4_SRC if family == 4 else IPV6_SRC, target.source)
            + field(IPV4_DST if family == 4 else IPV6_DST, target.destination)
            + field(source_port, target.source_port.to_bytes(2, "big"))
            + field(destination_port, target.destination_port.to_bytes(2, "big"))
        )
    family = target.family
    number = IPV4_SRC if family == 4 else IPV6_SRC
    if isinstance(target, Source):
        return _ethertype(family) + field(number, target.address)
    return _ethertype(family) + field(number, target.address, _mask(family, target.length))


def port_match(port: int) -> bytes:
    """The OXM field of packets that come in through a port."""
    return field(IN_PORT, port.to_bytes(4, "big"))


def sip_match(
    family: int, protocol: int, *, source: int | None = None, destination: int | None = None
) -> bytes:
    """The OXM fields of packets from, or to, a port of a transport protocol."""
    found = _ethertype(family) + field(IP_PROTO, bytes([protocol]))
    for port, number in zip((source, destination), _PORTS[protocol], strict=True):
        if port is not None:
            found += field(number, port.to_bytes(2, "big"))
    return found


def parse_port(oxm: bytes) -> tuple[int, int]:
    """Transport protocol and port of a match as :func:`sip_match` makes it. Raises BadMatch."""
    fields = parse_fields(oxm)
    protocol = int.from_bytes(_exact(fields, IP_PROTO), "big")
    for number in _PORTS.get(protocol, ()):
        if number in fields:
            return protocol, int.from_bytes(_exact(fields, number), "big")
    raise BadMatch("no transport protocol's port")


def target_priority(target: Target) -> int:
    """Flows above sources above prefixes, the longest first."""
    if isinstance(target, Flow):
        return FLOW
    return SOURCE if isinstance(target, Source) else PREFIX + target.length


def allow_priority(prefix: Source | Prefix) -> int:
    """Above every block."""
    length = len(prefix.address) * 8 if isinstance(prefix, Source) else prefix.length
    return ALLOW + length


def parse_fields(oxm: bytes) -> Fields:
    """OXM fields by number. Raises BadMatch: cut off, repeated, or not of the basic class."""
    fields: Fields = {}
    at, end = 0, len(oxm)
    while at < end:
        if at + 4 > end:
            raise BadMatch("an OXM field is cut off")
        header = int.from_bytes(oxm[at : at + 4], "big")
        length, masked, number = header & 0xFF, header & 0x100, header >> 9 & 0x7F
        at += 4
        if header >> 16 != _BASIC or number in fields or at + length > end:
            raise BadMatch("an OXM field that we never use")
        value = oxm[at : at + length]
        at += length
        if not masked:
            fields[number] = (value, None)
        elif length % 2:
            raise BadMatch("an OXM mask of another length than its value")
        else:
            fields[number] = (value[: length // 2], value[length // 2 :])
    return fields


def parse_target(oxm: bytes) -> Target:
    """The target that a match was made for. Raises BadMatch."""
    fields = parse_fields(oxm)
    family = _FAMILIES.get(_exact(fields, ETH_TYPE))
    if family is None:
        raise BadMatch("neither IPv4 nor IPv6")
    size = 4 if family == 4 else 16
    source, mask = fields.pop(IPV4_SRC if family == 4 else IPV6_SRC, (b"", None))
    if len(source) != size or not any(source):
        raise BadMatch("no source address")
    if not fields:
        return Source(source) if mask is None else _prefix(source, mask)
    if mask is not None:
        raise BadMatch("a flow of a prefix")
    return _flow(fields, source, IPV4_DST if family == 4 else IPV6_DST)


def _flow(fields: Fields, source: bytes, destination_field: int) -> Flow:
    protocol = int.from_bytes(_exact(fields, IP_PROTO), "big")
    if protocol not in PROTOCOLS.values():
        raise BadMatch("neither UDP nor TCP")
    destination = _exact(fields, destination_field)
    source_port, destination_port = (_exact(fields, number) for number in _PORTS[protocol])
    if fields or len(destination) != len(source) or len(source_port + destination_port) != 4:
        raise BadMatch("not a flow")
    return Flow(
        protocol,
        source,
        int.from_bytes(source_port, "big"),
        destination,
        int.from_bytes(destination_port, "big"),
    )


def _prefix(address: bytes, mask: bytes) -> Source | Prefix:
    bits = len(address) * 8
    number = int.from_bytes(mask, "big")
    length = number.bit_count()
    if mask != _mask(4 if bits == 32 else 6, length) or not length:
        raise BadMatch("a mask that is no prefix")
    if int.from_bytes(address, "big") & ~number:
        raise BadMatch("bits set beyond the prefix")
    return Source(address) if length == bits else Prefix(address, length)


def _exact(fields: Fields, number: int) -> bytes:
    value, mask = fields.pop(number, (b"", None))
    if mask is not None:
        raise BadMatch("a mask where we use none")
    return value


@lru_cache
def _ethertype(family: int) -> bytes:
    return field(ETH_TYPE, _ETHERTYPES[family])


@lru_cache
def _mask(family: int, length: int) -> bytes:
    bits = 32 if family == 4 else 128
    return (((1 << length) - 1) << (bits - length)).to_bytes(bits // 8, "big")
