"""Writing captures, for tests of reading them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_pcap(
    path: Path, packets: Iterable[tuple[float, bytes]], link_type: int = 1, order: str = "<",
    nanoseconds: bool = False,
) -> Path:  # fmt: skip
    """A pcap file."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    for time, frame in packets:
        fraction = round(time % 1 * (1e9 if nanoseconds else 1e6))
        out += struct.pack(order + "IIII", int(time), fraction, len(frame), len(frame)) + frame
    path.write_bytes(out)
    return path


def write_pcapng(
    path: Path, packets: Sequence[tuple[float, bytes]], link_type: int = 1, order: str = "<",
    resolution: int | None = None,
) -> Path:  # fmt: skip
    """A pcapng file with one interface; ``resolution`` is the value of if_tsresol."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        length = 12 + len(body)
        return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)

    out = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    options = b""
    if resolution is not None:
        options = struct.pack(order + "HHB3xHH", 9, 1, resolution, 0, 0)
    out += block(1, struct.pack(order + "HHI", link_type, 0, 65535) + options)
    out += block(0x0BAD, b"a block that nobody knows")
    ticks = 1e6 if resolution is None else 10.0**resolution
    for time, frame in packets:
        stamp = round(time * ticks)
        head = struct.pack(
            order + "IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(frame), len(frame)
        )
        out += block(6, head + frame)
    path.write_bytes(out)
    return path
