"""The address that switches connect to: one for all drivers, told apart by datapath id.

A switch that connects while its driver is not waiting is kept; a newer connection of the
same switch replaces it. Strangers are told so in the log, once each, and turned away.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Final

from sdnblock.errors import SwitchError
from sdnblock.switches.openflow.channel import Channel
from sdnblock.switches.settings import SwitchSettings, TlsFiles

_HANDSHAKES: Final = 64
"""Connections at once that have not yet said who they are."""
_PATIENCE: Final = 5.0
_STRANGERS: Final = 1000

_log = logging.getLogger(__name__)


class Listener:
    """Listens as long as a driver is registered.

    ``address``: ``host:port``, ``:port`` (all addresses) or ``unix:/path``.
    """

    def __init__(self, address: str, tls: TlsFiles | None = None) -> None:
        self.address = address
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._opening = asyncio.Lock()
        self._places: dict[int, _Place] = {}
        self._handshakes: set[asyncio.Task[None]] = set()
        self._strangers: set[int] = set()

    async def register(self, datapath_id: int, patience: float) -> None:
        """Expect a switch that answers within ``patience``. Listens from the first one on.

        Raises SwitchError.
        """
        self._places.setdefault(datapath_id, _Place(patience))
        async with self._opening:
            if self._server is None:
                self._server = await self._open()

    async def next(self, datapath_id: int, seconds: float) -> Channel | None:
        """The switch's newest connection, waited for; None if there is none in time."""
        place = self._places[datapath_id]
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await place.came.wait()
                    place.came.clear()
                    channel, place.channel = place.channel, None
                    if channel is not None and channel.is_open:
                        return channel
        except TimeoutError:
            return None

    async def unregister(self, datapath_id: int) -> None:
        """A driver ends; with the last one the listening does."""
        place = self._places.pop(datapath_id, None)
        if place is not None and place.channel is not None:
            await place.channel.close("closed")
        if self._places or self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for task in list(self._handshakes):
            task.cancel()
        await server.wait_closed()

    async def _open(self) -> asyncio.Server:
        try:
            context = _context(self._tls)
            if self.address.startswith("unix:"):
                path = self.address.removeprefix("unix:")
                return await asyncio.start_unix_server(self._accept, path, ssl=context)
            host, _, port = self.address.rpartition(":")
            return await asyncio.start_server(
                self._accept, host.strip("[]") or None, int(port), ssl=context, backlog=64
            )
        except (OSError, ssl.SSLError) as error:
            raise SwitchError(
                f"cannot listen for OpenFlow switches on {self.address}: {error.strerror or error}"
            ) from None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._handshakes) >= _HANDSHAKES:
            writer.close()
            return
        task = asyncio.create_task(self._greet(reader, writer))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        where = f"{peer[0]}:{peer[1]}" if peer else "somebody"
        channel = Channel(reader, writer, f"OpenFlow switch at {where}", _PATIENCE)
        kept = False
        try:
            features = await channel.handshake()
            if features.auxiliary:
                return  # 6.3.6: the main connection does everything
            place = self._places.get(features.datapath_id)
            if place is None:
                self._stranger(features.datapath_id, where)
                return
            channel.timeout = place.timeout
            before, place.channel = place.channel, channel
            place.came.set()
            kept = True
            if before is not None:
                await before.close("it connected again")
        except SwitchError as error:
            _log.info("%s", error)
        finally:
            if not kept:
                await channel.close("turned away")

    def _stranger(self, datapath_id: int, where: str) -> None:
        if datapath_id not in self._strangers and len(self._strangers) < _STRANGERS:
            self._strangers.add(datapath_id)
            _log.warning(
                "an OpenFlow switch with datapath_id %016x at %s is not configured: turned away",
                datapath_id, where,
            )  # fmt: skip


class _Place:
    """Where the connection of an expected switch waits for its driver."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.channel: Channel | None = None
        self.came = asyncio.Event()


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


def _context(files: TlsFiles | None) -> ssl.SSLContext | None:
    """With a ``ca``, switches have to prove themselves. Raises OSError, SwitchError."""
    if files is None:
        return None
    if files.certificate is None:
        raise SwitchError("OpenFlow over TLS needs a certificate and a key of ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    if files.ca is not None:
        context.load_verify_locations(files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
