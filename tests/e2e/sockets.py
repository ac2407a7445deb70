"""UDP through a switch, with sockets that live in other network namespaces than the test."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_libc: Final = ctypes.CDLL(None, use_errno=True)

LISTENER: Final = ("198.51.100.10", 4000)
"""Where the server counts what reaches it: no SIP port, so no detector looks."""
SPORT: Final = 40000
ALWAYS: Final = "203.0.113.250"
"""A source that no test blocks."""
FRAME: Final = 14 + 20 + 8 + 8
"""Bytes of each frame that is sent, without FCS."""
_CHUNK: Final = 16
"""Datagrams under way at once: BMv2 loses longer bursts, with any program."""


def made_in(namespace: str, make: Callable[[], socket.socket]) -> socket.socket:
    """A socket of a namespace (by its name); made by a thread that goes there."""
    made: list[socket.socket | OSError] = []

    def work() -> None:
        try:
            with Path("/run/netns", namespace).open() as file:
                if _libc.setns(file.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            made.append(make())
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    found = made[0]
    if isinstance(found, OSError):
        raise found
    return found


def udp(namespace: str, address: str, port: int) -> socket.socket:
    """A UDP socket of a namespace, bound."""

    def make() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((address, port))
        sock.setblocking(False)
        return sock

    return made_in(namespace, make)


class Wire:
    """From any address of the attackers' network to the server, through one switch.

    A datagram of ``ALWAYS`` behind the others tells a drop from a delay: switches keep the
    order of what goes from one port to another.
    """

    def __init__(self, outside: str, inside: str) -> None:
        """``outside``, ``inside``: the namespaces of the attackers and of the server."""
        self._outside = outside
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._listener = udp(inside, *LISTENER)
        self._numbers = itertools.count(1)
        self._reading = asyncio.Lock()

    def close(self) -> None:
        """Close all sockets."""
        for sock in (*self._sockets.values(), self._listener):
            sock.close()

    async def passing(self, source: str, count: int = 1, sport: int = SPORT) -> int:
        """Send ``count`` datagrams from ``source``; how many of them reach the server."""
        arrived = 0
        for start in range(0, count, _CHUNK):
            async with self._reading:
                arrived += await self._chunk(source, min(_CHUNK, count - start), sport)
        return arrived

    async def passes(self, source: str, sport: int = SPORT) -> bool:
        """Whether a datagram from ``source`` reaches the server."""
        return await self.passing(source, 1, sport) == 1

    async def alive(self) -> bool:
        """Whether anything passes at all, waiting half a second for it."""
        number = next(self._numbers)
        self._send(ALWAYS, SPORT, number)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(0.5):
                while await self._next(loop) != number:
                    pass
        except TimeoutError:
            return False
        return True

    async def until(self, source: str, passes: bool, seconds: float = 10.0) -> float:
        """Wait until a source passes, or does not; the seconds that it took."""
        began = time.monotonic()
        while await self.passes(source) is not passes:
            waited = time.monotonic() - began
            assert waited < seconds, f"{source} {'does not pass' if passes else 'passes'}"
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def _chunk(self, source: str, count: int, sport: int) -> int:
        mark, end = next(self._numbers), next(self._numbers)
        for _ in range(count):
            self._send(source, sport, mark)
        self._send(ALWAYS, SPORT, end)
        loop, arrived = asyncio.get_running_loop(), 0
        async with asyncio.timeout(5):
            while (number := await self._next(loop)) != end:
                arrived += number == mark
        return arrived

    async def _next(self, loop: asyncio.AbstractEventLoop) -> int:
        return int.from_bytes(await loop.sock_recv(self._listener, 64), "big")

    def _send(self, source: str, sport: int, number: int) -> None:
        sock = self._sockets.get((source, sport))
        if sock is None:
            sock = self._sockets[source, sport] = udp(self._outside, source, sport)
        sock.sendto(number.to_bytes(8, "big"), LISTENER)
