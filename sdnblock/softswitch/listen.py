"""Opening the P4Runtime service on an address, with or without TLS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from sdnblock.errors import SdnblockError
from sdnblock.softswitch.device import Device
from sdnblock.softswitch.server import OPTIONS, Servicer

DEFAULT_ADDRESS: Final = "127.0.0.1:9559"
"""9559 is P4Runtime's port with IANA."""

_GRACE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM: our certificate and key; ``client_ca`` makes client certificates a must."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Raises SdnblockError naming the file that cannot be read."""
        return grpc.ssl_server_credentials(
            [(_read(self.key), _read(self.cert))],
            _read(self.client_ca) if self.client_ca else None,
            self.client_ca is not None,
        )


class Listener:
    """A running server. ``port`` is the TCP port it has (0 on a Unix socket)."""

    def __init__(self, device: Device, servicer: Servicer, server: grpc.aio.Server, port: int):
        self.port = port
        self._device = device
        self._servicer = servicer
        self._server = server

    async def stop(self) -> None:
        """End all streams; writes that have begun are finished. The data plane stays as it is."""
        self._device.unwatch_events()
        await self._server.stop(_GRACE)
        await self._servicer.finish()


async def listen(
    device: Device, address: str = DEFAULT_ADDRESS, tls: Tls | None = None
) -> Listener:
    """Serve ``device`` on ``address``: ``HOST:PORT`` (port 0: any) or ``unix:/path``.

    Raises SdnblockError if the address is in use or wrong, or TLS files are.
    """
    server = grpc.aio.server(options=OPTIONS)
    servicer = Servicer(device)
    servicer.add_to(server)
    credentials = tls.credentials() if tls else None
    try:
        if credentials:
            port = server.add_secure_port(address, credentials)
        else:
            port = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise SdnblockError(
            f"cannot listen on {address}: it is in use, or no address of this host"
            + (", or the TLS files do not fit together" if tls else "")
        )
    await server.start()
    device.watch_events()
    return Listener(device, servicer, server, 0 if address.startswith("unix:") else port)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SdnblockError(f"cannot read {path}: {error.strerror}") from None
