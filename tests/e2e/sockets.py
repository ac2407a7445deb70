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
LISTENER_V6: Final = ("2001:db8:198::10", 4000)
SPORT: Final = 40000
ALWAYS: Final = "203.0.113.250"
"""A source that no test blocks."""
ALWAYS_V6: Final = "2001:db8:203::250"
FRAME: Final = 14 + 20 + 8 + 8
"""Bytes of each frame that is sent, without FCS."""
FRAME_V6: Final = 14 + 40 + 8 + 8
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
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def make() -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((address, port))
        sock.setblocking(False)
        return sock

    return made_in(namespace, make)


class Wire:
    """From any address of the attackers' network to the server, through one switch.

    A datagram of ``ALWAYS`` behind the others tells a drop from a delay: switches keep the
    order of what goes from one port to another. IPv6 sources work in the same way.
    """

    def __init__(self, outside: str, inside: str) -> None:
        """``outside``, ``inside``: the namespaces of the attackers and of the server."""
        self._outside, self._inside = outside, inside
        self._senders: dict[tuple[str, int], socket.socket] = {}
        self._listeners: dict[tuple[str, int], socket.socket] = {}
        self._numbers = itertools.count(1)
        self._reading = asyncio.Lock()
        self._listening(LISTENER)

    def close(self) -> None:
        """Close all sockets."""
        for sock in (*self._senders.values(), *self._listeners.values()):
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
        self.send(ALWAYS, number.to_bytes(8, "big"))
        try:
            async with asyncio.timeout(0.5):
                while await self._next(LISTENER) != number:
                    pass
        except TimeoutError:
            return False
        return True

    async def until(
        self, source: str, passes: bool, seconds: float = 10.0, pause: float = 0.02
    ) -> float:
        """Wait until a source passes, or does not; the seconds that it took.

        Four datagrams in a row must agree: one alone may be lost.
        """
        began = time.monotonic()
        while True:
            seen = time.monotonic() - began
            agreeing = await self.passes(source) is passes
            if agreeing and await self.passing(source, 3) == (3 if passes else 0):
                return seen
            assert seen < seconds, f"{source} {'does not pass' if passes else 'passes'}"
            await asyncio.sleep(pause)

    def send(
        self, source: str, payload: bytes, sport: int = SPORT, to: tuple[str, int] = LISTENER
    ) -> None:
        """Send one datagram."""
        sock = self._senders.get((source, sport))
        if sock is None:
            sock = self._senders[source, sport] = udp(self._outside, source, sport)
        sock.sendto(payload, to)

    async def _chunk(self, source: str, count: int, sport: int) -> int:
        always, to = (ALWAYS_V6, LISTENER_V6) if ":" in source else (ALWAYS, LISTENER)
        mark, end = next(self._numbers), next(self._numbers)
        self._listening(to)
        for _ in range(count):
            self.send(source, mark.to_bytes(8, "big"), sport, to)
        self.send(always, end.to_bytes(8, "big"), SPORT, to)
        arrived = 0
        async with asyncio.timeout(5):
            while (number := await self._next(to)) != end:
                arrived += number == mark
        return arrived

    def _listening(self, to: tuple[str, int]) -> socket.socket:
        sock = self._listeners.get(to)
        if sock is None:
            sock = self._listeners[to] = udp(self._inside, *to)
        return sock

    async def _next(self, to: tuple[str, int]) -> int:
        loop = asyncio.get_running_loop()
        return int.from_bytes(await loop.sock_recv(self._listening(to), 64), "big")
