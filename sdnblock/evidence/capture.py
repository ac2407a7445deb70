"""Captures: pcap and pcapng files, packet by packet, bounded, with one line for what is wrong.

pcap: draft-ietf-opsawg-pcap; pcapng: draft-ietf-opsawg-pcapng (section header, interface
description, enhanced and simple packet blocks; others are skipped).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from sdnblock.errors import SdnblockError
from sdnblock.evidence.frames import LINK_TYPES, Segment, decode

_MAX_PACKET: Final = 262_144
_MAX_BLOCK: Final = 16 << 20

_PCAP_MAGIC: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _SIMPLE, _ENHANCED = 1, 3, 6
_RESOLUTION_OPTION: Final = 9


class CaptureError(SdnblockError):
    """A capture that cannot be read; says where it breaks off."""


def read_capture(path: Path) -> Iterator[tuple[float, Segment]]:
    """(Unix seconds, UDP or TCP segment) of every packet that has one, in the file's order.

    Raises CaptureError: no such file, not a capture, or damaged (after what could be read).
    """
    try:
        with path.open("rb") as stream:
            for time, link_type, frame in read_frames(stream, path):
                segment = decode(link_type, frame)
                if segment is not None:
                    yield time, segment
    except OSError as error:
        raise CaptureError(f"cannot read {path}: {error.strerror}") from None


def read_frames(stream: BinaryIO, path: Path) -> Iterator[tuple[float, int, bytes]]:
    """(Unix seconds, link type, frame) of every packet. Raises CaptureError as read_capture."""
    magic = stream.read(4)
    if magic in _PCAP_MAGIC:
        order, unit = _PCAP_MAGIC[magic]
        yield from _pcap(stream, path, order, unit)
    elif magic == _SECTION:
        yield from _pcapng(stream, path)
    else:
        raise CaptureError(f"{path} is neither pcap nor pcapng")


def _pcap(
    stream: BinaryIO, path: Path, order: str, unit: float
) -> Iterator[tuple[float, int, bytes]]:
    header = stream.read(20)
    if len(header) < 20:
        raise CaptureError(f"{path} ends within its header")
    link_type = struct.unpack(order + "I", header[16:])[0] & 0xFFFF
    _check_link(path, link_type)
    record = struct.Struct(order + "IIII")
    while head := stream.read(16):
        if len(head) < 16:
            raise CaptureError(f"{path} breaks off at byte {stream.tell()}")
        seconds, fraction, length, _ = record.unpack(head)
        if length > _MAX_PACKET:
            raise CaptureError(f"{path}: a packet of {length} bytes at byte {stream.tell()}")
        frame = stream.read(length)
        if len(frame) < length:
            raise CaptureError(f"{path} breaks off at byte {stream.tell()}")
        yield seconds + fraction * unit, link_type, frame


def _pcapng(stream: BinaryIO, path: Path) -> Iterator[tuple[float, int, bytes]]:
    order = "<"
    interfaces: list[tuple[int, float]] = []
    kind_raw = _SECTION
    while kind_raw:
        place = stream.tell() - 4
        length_raw = stream.read(4)
        if kind_raw == _SECTION:
            order_mark = stream.read(4)
            order = ">" if order_mark == b"\x1a\x2b\x3c\x4d" else "<"
            interfaces = []
            extra = 4
        else:
            extra = 0
        if len(kind_raw) < 4 or len(length_raw) < 4:
            raise CaptureError(f"{path} breaks off at byte {place}")
        length: int = struct.unpack(order + "I", length_raw)[0]
        if not 12 + extra <= length <= _MAX_BLOCK or length % 4:
            raise CaptureError(f"{path}: a block of {length} bytes at byte {place}")
        body = stream.read(length - 8 - extra)
        if len(body) < length - 8 - extra:
            raise CaptureError(f"{path} breaks off at byte {place}")
        if kind_raw != _SECTION:
            kind: int = struct.unpack(order + "I", kind_raw)[0]
            if kind == _INTERFACE and len(body) >= 12:
                interfaces.append(_interface(body, order, path))
            elif kind in (_ENHANCED, _SIMPLE):
                packet = _packet(kind, body[:-4], order, interfaces)
                if packet is None:
                    raise CaptureError(f"{path}: a packet that cannot be at byte {place}")
                yield packet
        kind_raw = stream.read(4)


def _interface(body: bytes, order: str, path: Path) -> tuple[int, float]:
    """(link type, seconds a tick) of an interface description block."""
    link_type: int = struct.unpack_from(order + "H", body)[0]
    _check_link(path, link_type)
    unit, at = 1e-6, 8
    while at + 4 <= len(body) - 4:
        code, size = struct.unpack_from(order + "HH", body, at)
        if code == 0:
            break
        if code == _RESOLUTION_OPTION and size >= 1 and at + 4 < len(body):
            value = body[at + 4]
            unit = 2.0 ** -(value & 127) if value & 128 else 10.0 ** -(value & 127)
        at += 4 + (size + 3) // 4 * 4
    return link_type, unit


def _packet(
    kind: int, body: bytes, order: str, interfaces: list[tuple[int, float]]
) -> tuple[float, int, bytes] | None:
    if kind == _SIMPLE:
        if not interfaces or len(body) < 4:
            return None
        original = struct.unpack_from(order + "I", body)[0]
        return 0.0, interfaces[0][0], body[4 : 4 + original]
    if len(body) < 20:
        return None
    number, high, low, captured, _ = struct.unpack_from(order + "IIIII", body)
    if number >= len(interfaces) or captured > len(body) - 20:
        return None
    link_type, unit = interfaces[number]
    return (high << 32 | low) * unit, link_type, body[20 : 20 + captured]


def _check_link(path: Path, link_type: int) -> None:
    if link_type not in LINK_TYPES:
        raise CaptureError(
            f"{path}: link type {link_type} is not understood (Ethernet, Linux cooked, raw IP)"
        )
