"""The HEP server: packets of SIP servers over UDP and TCP, to the detectors.

Bounded in everything: connections in all and per sender, bytes that wait, and the turns it
takes from others in the loop. What was refused is logged once a minute.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from sdnblock.block import format_address
from sdnblock.errors import SdnblockError
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.hep import HepError, HepStream
from sdnblock.evidence.hep_intake import HepIntake
from sdnblock.evidence.senders import HepSettings

_log = logging.getLogger(__name__)

_CONNECTIONS: Final = 64
_CONNECTIONS_EACH: Final = 16
_READ: Final = 16384
_TURN: Final = 32
"""Datagrams handled before others in the loop have their turn."""
_BUFFER: Final = 8 << 20
"""Bytes of datagrams that wait in the kernel; net.core.rmem_max may allow others than root less."""
_REPORT: Final = 60.0
"""Seconds between two lines in the log; the first one comes sooner."""
_REPORT_FIRST: Final = 5.0
_MAPPED: Final = bytes(10) + b"\xff\xff"
_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9I")
"""The last number: datagrams dropped because the buffer was full (linux/sock_diag.h)."""

See = Callable[[SipSeen], None]


class HepServer:
    """Listens from :meth:`open` on, and hands on what comes while it runs."""

    def __init__(self, settings: HepSettings) -> None:
        """Raises SdnblockError for a key that cannot be read."""
        self._settings = settings
        self.intake = HepIntake(settings, settings.secret())
        self._datagrams: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._connections: Counter[bytes] = Counter()
        self._dropped = 0

    @property
    def port(self) -> int:
        """The port, once it listens."""
        assert self._listener is not None, "it does not listen yet"
        port: int = self._listener.getsockname()[1]
        return port

    def open(self) -> None:
        """Listen. Raises SdnblockError."""
        host, port = self._settings.endpoint()
        try:
            self._listener = _socket(host, port, socket.SOCK_STREAM)
            self._listener.listen(_CONNECTIONS)
            self._datagrams = _socket(host, self.port, socket.SOCK_DGRAM)
        except OSError as error:
            self.close()
            raise SdnblockError(
                f"cannot listen for HEP on {self._settings.listen}: {error.strerror}"
                " (is Homer running here? see [hep] listen)"
            ) from None
        _log.info("HEP is taken on %s, UDP and TCP", self._settings.listen)

    def close(self) -> None:
        """Stop listening."""
        for each in (self._datagrams, self._listener):
            if each is not None:
                each.close()

    async def run(self, see: See) -> None:
        """Serve for ever; ``see`` gets every message."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_datagrams(see), name="HEP over UDP")
            group.create_task(self._accept(group, see), name="HEP over TCP")
            group.create_task(self._report(), name="HEP report")

    async def _take_datagrams(self, see: See) -> None:
        assert self._datagrams is not None, "not open"
        loop = asyncio.get_running_loop()
        while True:
            for _ in range(_TURN):
                try:
                    data, peer = await loop.sock_recvfrom(self._datagrams, 65536)
                except OSError as error:
                    _log.error("HEP: a datagram cannot be taken: %s", error.strerror)
                    await asyncio.sleep(1.0)
                    continue
                self._take(_packed(peer), data, see)
            await asyncio.sleep(0)

    async def _accept(self, group: asyncio.TaskGroup, see: See) -> None:
        assert self._listener is not None, "not open"
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(self._listener)
            except OSError as error:  # no file descriptor left, for instance
                _log.error("HEP: a connection cannot be taken: %s", error.strerror)
                await asyncio.sleep(1.0)
                continue
            address = _packed(peer)
            if not self._has_room(address):
                connection.close()
                continue
            self._connections[address] += 1
            group.create_task(self._serve(connection, address, see), name="HEP connection")

    def _has_room(self, address: bytes) -> bool:
        if not self.intake.knows(address):
            return False
        full = self._connections.total() >= _CONNECTIONS
        if full or self._connections[address] >= _CONNECTIONS_EACH:
            self.intake.tally.refuse("it has too many connections", format_address(address))
            return False
        return True

    async def _serve(self, connection: socket.socket, address: bytes, see: See) -> None:
        loop, stream = asyncio.get_running_loop(), HepStream()
        name = format_address(address)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
            while data := await loop.sock_recv(connection, _READ):
                for packet in stream.feed(data):
                    self._take(address, packet, see)
                await asyncio.sleep(0)
            if stream.kept:
                self.intake.tally.refuse("its connection ended within a packet", name)
        except HepError as error:
            self.intake.tally.refuse(f"{error} (its connection is closed)", name)
        except OSError as error:
            _log.debug("HEP connection of %s: %s", name, error.strerror)
        finally:
            connection.close()
            self._connections -= Counter([address])

    def _take(self, address: bytes, packet: bytes, see: See) -> None:
        event = self.intake.take(address, packet, time.time())
        if event is not None:
            see(event)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_FIRST)
            if self.report():
                await asyncio.sleep(_REPORT - _REPORT_FIRST)

    def report(self) -> bool:
        """Log what was refused since the last time; whether anything was."""
        lost = self._lost()
        if lost:
            _log.warning("HEP: %d packets lost: they came faster than they could be judged", lost)
        if not self.intake.tally.refused:
            return bool(lost)
        _log.warning("HEP: %s", self.intake.tally.told())
        return True

    def _lost(self) -> int:
        """Datagrams that the kernel has dropped since the last time."""
        assert self._datagrams is not None, "not open"
        raw = self._datagrams.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        dropped: int = _MEMINFO.unpack(raw)[8] if len(raw) == _MEMINFO.size else 0
        lost, self._dropped = (dropped - self._dropped) & 0xFFFFFFFF, dropped
        return lost


def _socket(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    try:
        if kind is socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            try:
                made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            except PermissionError:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        made.setblocking(False)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def _packed(peer: tuple[str, int]) -> bytes:
    """A peer's address; one that is IPv4 on a socket for both is IPv4."""
    host = peer[0].partition("%")[0]
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    return packed[12:] if packed.startswith(_MAPPED) else packed
