"""Frames with chosen sources through the switch: which come out at the other side, and when.

Runs in the bench's outside namespace.
"""

from __future__ import annotations

import socket
import struct
import threading
import time

_HEADER = b"\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x77\x08\x00"
_MARK = b"sdnblock bench"


def frame(source: bytes, number: int) -> bytes:
    """An IPv4 UDP frame from ``source`` that carries ``number``."""
    payload = _MARK + struct.pack("!Q", number)
    udp = struct.pack("!HHHH", 40000, 5060, 8 + len(payload), 0)
    fields = (0x45, 0, 28 + len(payload), 0, 0, 64, 17)
    ends = (source, b"\xc6\x33\x64\x09")
    # Bridges that run netfilter throw away a wrong checksum.
    checksum = _checksum(struct.pack("!BBHHHBBH4s4s", *fields, 0, *ends))
    return _HEADER + struct.pack("!BBHHHBBH4s4s", *fields, checksum, *ends) + udp + payload


def _checksum(header: bytes) -> int:
    """RFC 1071."""
    total: int = sum(word for (word,) in struct.iter_unpack("!H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Probe:
    """Sends into h1 and listens at h2."""

    def __init__(self) -> None:
        self._out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._out.bind(("h1", 0))
        self._in = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._in.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self._in.bind(("h2", 3))

    def passing(self, sources: list[bytes]) -> int:
        """How many of the sources get a frame through."""
        for number, source in enumerate(sources):
            self._out.send(frame(source, number))
            time.sleep(0.001)  # a BMv2 loses packets that come faster
        time.sleep(0.2)
        return sum(1 for _ in self._received())

    def send(self, source: bytes, number: int) -> None:
        """One frame."""
        self._out.send(frame(source, number))

    def numbers(self) -> list[tuple[bytes, int]]:
        """(source, number) of the frames that have come through since the last time."""
        found = []
        for packet in self._received():
            at = packet.index(_MARK) + len(_MARK)
            (number,) = struct.unpack_from("!Q", packet, at)
            found.append((packet[26:30], number))
        return found

    def until_dropped(self, source: bytes, stop: threading.Event) -> float:
        """Send from ``source`` all the time; when was the first frame sent that was dropped?

        Returns time.monotonic(). ``stop`` ends it without an answer (raises TimeoutError).
        """
        list(self._received())
        sent: list[float] = []
        received = 0
        while not stop.is_set():
            sent.append(time.monotonic())
            self._out.send(frame(source, len(sent) - 1))
            time.sleep(0.0002)
            received += sum(1 for _ in self._received())
            if len(sent) - received >= 20:
                return sent[received]
        raise TimeoutError("not dropped")

    def _received(self) -> list[bytes]:
        found: list[bytes] = []
        while True:
            try:
                packet, address = self._in.recvfrom(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            if address[2] != socket.PACKET_OUTGOING and _MARK in packet:
                found.append(packet)
