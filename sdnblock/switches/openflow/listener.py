"""The address that switches connect to: one for all drivers, told apart by datapath id.

A switch that connects while its driver is not waiting is kept. One that connects again
takes the place of its former connection if that is dead; while it is alive, the newcomer is
another switch that claims the same id, and is turned away. Strangers are turned away too.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections import Counter
from typing import Any, Final

from sdnblock.errors import SwitchError
from sdnblock.switches.openflow.channel import Channel, Gone
from sdnblock.switches.openflow.sockets import listen, streams, tls_context
from sdnblock.switches.settings import SwitchSettings, TlsFiles

_HANDSHAKES: Final = 256
"""Connections at once that have not yet said who they are, and as many of one address."""
_OF_ONE: Final = 16
_PATIENCE: Final = 5.0
_ALIVE: Final = 2.0
"""Seconds that a connection has to show that it lives when another one claims its place."""
_QUIET: Final = 600.0
"""Seconds until the same complaint is logged again."""
_COMPLAINTS: Final = 1000

_log = logging.getLogger(__name__)


class Listener:
    """Listens as long as a driver is registered.

    ``address``: ``host:port``, ``:port`` (all addresses) or ``unix:/path``.
    """

    def __init__(self, address: str, tls: TlsFiles | None = None) -> None:
        self.address = address
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._opening = asyncio.Lock()
        self._places: dict[int, _Place] = {}
        self._handshakes: dict[asyncio.Task[None], str] = {}
        self._complaints: dict[str, float] = {}

    async def register(self, datapath_id: int, patience: float) -> None:
        """Expect a switch that answers within ``patience``. Listens from the first one on.

        Raises SwitchError.
        """
        self._places.setdefault(datapath_id, _Place(patience))
        async with self._opening:
            if not self._sockets:
                await self._open()

    async def next(self, datapath_id: int, seconds: float) -> Channel | None:
        """The switch's newest connection, waited for; None if there is none in time."""
        place = self._places[datapath_id]
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await place.came.wait()
                    place.came.clear()
                    channel = place.channel
                    if channel is not None and channel.is_open:
                        return channel
        except TimeoutError:
            return None

    async def unregister(self, datapath_id: int) -> None:
        """A driver ends; with the last one the listening does."""
        place = self._places.pop(datapath_id, None)
        if place is not None and place.channel is not None:
            await place.channel.close("closed")
        if self._places:
            return
        tasks = [*self._accepting, *self._handshakes]
        self._accepting.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._sockets:
            self._sockets.pop().close()

    async def _open(self) -> None:
        try:
            self._context = tls_context(self._tls)
            self._sockets = await listen(self.address)
        except OSError as error:  # ssl.SSLError is one
            raise SwitchError(
                f"cannot listen for OpenFlow switches on {self.address}:"
                f" {(error.strerror or str(error)).lower()}"
            ) from None
        self._accepting = [asyncio.create_task(self._accept(sock)) for sock in self._sockets]

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listening)
            except OSError as error:  # out of file descriptors, or it has gone again
                self._complain(f"accepting: {error.strerror}", "cannot accept an OpenFlow switch")
                await asyncio.sleep(0.1)
                continue
            who = _address(peer)
            if len(self._handshakes) >= _HANDSHAKES or self._of_one(who) >= _OF_ONE:
                sock.close()
                continue
            task = asyncio.create_task(self._greet(sock, f"{who}:{peer[1]}" if who else "a socket"))
            self._handshakes[task] = who
            task.add_done_callback(lambda done: self._handshakes.pop(done, None))

    def _of_one(self, who: str) -> int:
        return Counter(self._handshakes.values())[who]

    async def _greet(self, sock: socket.socket, where: str) -> None:
        label = f"OpenFlow switch at {where}"
        try:
            reader, writer = await streams(sock, self._context, _PATIENCE)
        except OSError as error:
            why = getattr(error, "reason", None) or error.strerror or str(error) or "it hung up"
            self._complain(f"{_host(where)}: {why}", "%s: no TLS with it: %s", label, why)
            return
        channel = Channel(reader, writer, label, _PATIENCE)
        kept = False
        try:
            features = await channel.handshake()
            # An auxiliary connection (6.3.6) is not needed: the main one does everything.
            kept = not features.auxiliary and await self._keep(channel, features.datapath_id, where)
        except Gone as error:
            _log.info("%s", error)
        except SwitchError as error:
            self._complain(f"{_host(where)}: {str(error).removeprefix(label)}", "%s", error)
        finally:
            if not kept:
                await channel.close("turned away")

    async def _keep(self, channel: Channel, datapath_id: int, where: str) -> bool:
        place = self._places.get(datapath_id)
        if place is None:
            self._complain(
                f"{datapath_id}",
                "an OpenFlow switch with datapath_id %016x at %s is not configured: turned away",
                datapath_id, where,
            )  # fmt: skip
            return False
        async with place.lock:
            before = place.channel
            if before is not None and await before.alive(_ALIVE):
                self._complain(
                    f"{datapath_id} {_host(where)}",
                    "%s: a second one with the same datapath_id %016x, at %s: turned away",
                    before.label, datapath_id, where,
                )  # fmt: skip
                return False
            channel.timeout = place.timeout
            channel.peer = where
            place.channel = channel
            place.came.set()
        if before is not None:
            await before.close("it connected again")
        return True

    def _complain(self, about: str, text: str, *words: Any) -> None:
        """Log something, unless the same was said a short time ago."""
        now = time.monotonic()
        if now < self._complaints.get(about, 0.0):
            return
        if len(self._complaints) >= _COMPLAINTS:
            self._complaints.clear()
        self._complaints[about] = now + _QUIET
        _log.warning(text, *words)


class _Place:
    """Where the connection of an expected switch waits for its driver, and stays."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.channel: Channel | None = None
        self.came = asyncio.Event()
        self.lock = asyncio.Lock()


class Listeners:
    """Listeners by address, so that several switches share one."""

    def __init__(self) -> None:
        self._found: dict[str, Listener] = {}

    def of(self, settings: SwitchSettings) -> Listener:
        """The listener that this switch connects to."""
        found = self._found.get(settings.address)
        if found is None:
            found = self._found[settings.address] = Listener(settings.address, settings.tls)
        return found


def _address(peer: Any) -> str:
    """The host of an accepted connection; empty for a unix socket's."""
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _host(where: str) -> str:
    return where.rpartition(":")[0]
