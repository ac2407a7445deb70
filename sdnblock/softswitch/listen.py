"""Opening the P4Runtime service on an address, with or without TLS."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from sdnblock.errors import SdnblockError
from sdnblock.softswitch.device import Device
from sdnblock.softswitch.server import OPTIONS, Servicer

DEFAULT_ADDRESS: Final = "127.0.0.1:9559"
"""9559 is P4Runtime's port with IANA."""

_GRACE: Final = 0.3
"""Seconds for answers under way; streams would never end by themselves."""


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
    """A running server. ``address`` is where it listens, with the port it got."""

    def __init__(self, device: Device, servicer: Servicer, server: grpc.aio.Server, address: str):
        self.address = address
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
    credentials = tls.credentials() if tls else None
    unix = address.startswith("unix:")
    if not unix:
        _check_free(address)
    server = grpc.aio.server(options=OPTIONS)
    servicer = Servicer(device)
    servicer.add_to(server)
    try:
        if credentials:
            port = server.add_secure_port(address, credentials)
        else:
            port = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise SdnblockError(
            f"cannot listen on {address}"
            + (": the TLS files do not fit together" if tls else ": is it in use?")
        )
    await server.start()
    device.watch_events()
    host, _, _ = address.rpartition(":")
    return Listener(device, servicer, server, address if unix else f"{host}:{port}")


def _check_free(address: str) -> None:
    """gRPC does not say why an address cannot be had; a plain socket does."""
    host, _, port = address.rpartition(":")
    try:
        (family, kind, protocol, _, where), *_ = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SdnblockError(f"cannot listen on {address}: {reason}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SdnblockError(f"cannot read {path}: {error.strerror}") from None
