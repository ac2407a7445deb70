"""Sockets that listen for switches, and streams of what they accept."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import stat
from pathlib import Path
from typing import Final

from sdnblock.errors import SwitchError
from sdnblock.switches.settings import TlsFiles

_BACKLOG: Final = 64
_NO_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


async def listen(address: str) -> list[socket.socket]:
    """Sockets of ``host:port``, ``:port`` (every address) or ``unix:/path``. Raises OSError."""
    if address.startswith("unix:"):
        return [_unix(address.removeprefix("unix:"))]
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    found: list[socket.socket] = []
    with contextlib.ExitStack() as opened:
        for family, kind, protocol, _, place in await loop.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:
                if not host and error.errno in _NO_FAMILY:
                    continue  # a machine without IPv6
                raise
            opened.callback(sock.close)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind(place)
            except OSError as error:
                if not host and error.errno in _NO_FAMILY:
                    continue
                raise
            sock.listen(_BACKLOG)
            sock.setblocking(False)
            found.append(sock)
        opened.pop_all()
    if not found:
        raise OSError(errno.EADDRNOTAVAIL, "no address to listen on")
    return found


def _unix(path: str) -> socket.socket:
    """A socket in the file system, in place of one whose owner has gone."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(Path(path).stat().st_mode):
                if _answers(path):
                    raise OSError(errno.EADDRINUSE, "address already in use")
                Path(path).unlink()
        sock.bind(path)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            return True  # its backlog is full
        except OSError:
            return False
    return True


async def streams(
    sock: socket.socket, context: ssl.SSLContext | None, patience: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Streams of an accepted socket, after TLS if there is a context. Raises OSError."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    options = {"ssl_handshake_timeout": patience, "ssl_shutdown_timeout": 1.0} if context else {}
    try:
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, sock, ssl=context, **options
        )
    except BaseException:
        sock.close()
        raise
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def tls_context(files: TlsFiles | None) -> ssl.SSLContext | None:
    """Both sides have to prove themselves. None: no TLS. Raises OSError, SwitchError."""
    if files is None:
        return None
    if files.certificate is None or files.ca is None:
        raise SwitchError("OpenFlow over TLS needs a ca, a certificate and its key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
