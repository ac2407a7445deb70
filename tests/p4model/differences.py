"""Where the Tofino program may answer otherwise than BMv2, and why (docs/tofino.md).

Each rule tells from a frame whether it is of that kind. Only what a packet counts may differ
then; never whether it is dropped. Entries of some tables
count no bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

PACKETS_ONLY: Final = ("source_v4", "source_v6", "prefix_v4", "prefix_v6")
"""Tables whose entries count packets and no bytes."""

_TCP = 6
_FRAGMENT = 44
_AUTHENTICATION = 51
_EXTENSIONS = (0, 43, 60, _AUTHENTICATION, _FRAGMENT)


def difference(frame: bytes) -> str | None:
    """The rule that a frame falls under; None: Tofino's answer is BMv2's."""
    ip = _ipv6(frame)
    if ip is None:
        return None
    for kind, length in _chain(ip):
        if kind == _AUTHENTICATION and (length * 4 + 8) not in (8, 16, 24):
            return "an extension header that is no multiple of eight bytes, or too long"
        if kind not in (_AUTHENTICATION, _FRAGMENT) and length > 2:
            return "an extension header of more than 24 bytes"
    if ip[6] == _TCP and len(ip) >= 60:
        header = (ip[52] >> 4) * 4
        said = int.from_bytes(ip[4:6], "big") - header
        there = len(ip) - 40 - header
        if said != there:
            return "a TCP segment over IPv6 whose payload length lies"
        if 0 < said < 4:
            return "one to three bytes of TCP over IPv6 are a message of no known kind"
    return None


def counted_bytes(table: str, length: int) -> int:
    """What BMv2 counts at an entry of a table, or at a cell, as the Tofino program counts it."""
    return 0 if table in PACKETS_ONLY else length


def _ipv6(frame: bytes) -> bytes | None:
    at = 12
    for _ in range(2):
        if frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
            at += 4
    ip = frame[at + 2 :]
    if frame[at : at + 2] != b"\x86\xdd" or len(ip) < 40 or ip[0] >> 4 != 6:
        return None
    return ip


def _chain(ip: bytes) -> Iterator[tuple[int, int]]:
    """The extension headers: kind and length field."""
    kind, at = ip[6], 40
    for _ in range(4):
        if kind not in _EXTENSIONS or at + 8 > len(ip):
            return
        length = ip[at + 1]
        yield kind, length
        if kind == _FRAGMENT and ip[at + 2] << 8 | ip[at + 3] & 0xF8:
            return
        size = {_FRAGMENT: 8, _AUTHENTICATION: length * 4 + 8}.get(kind, length * 8 + 8)
        kind, at = ip[at], at + size
