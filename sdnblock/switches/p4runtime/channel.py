"""The gRPC channel to a switch: limits, TLS.

No HTTP/2 keepalive: servers that were not told to expect it (BMv2) answer pings
more frequent than one in five minutes by closing the connection. The session
probes with a small RPC instead (``session.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import grpc

from sdnblock.errors import SwitchError
from sdnblock.switches.settings import SwitchSettings, TlsFiles

MAX_UPDATES: Final = 2000
"""Updates in one Write: some 150 KB, far below the 4 MB that a server takes by default."""

_METADATA: Final = 8192 + 500 * MAX_UPDATES
"""Room for the error details of a batch; P4Runtime asks for 8192 + 100 bytes an update,
and long messages in base64 take more. With the default of 8 KB, gRPC would replace the details
by a bare RESOURCE_EXHAUSTED."""

_MAX_ANSWER: Final = 256 << 20
"""BMv2 answers a Read in a single message: a million entries are some 100 MB."""

_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.max_metadata_size", _METADATA),
    ("grpc.absolute_max_metadata_size", 2 * _METADATA),
    ("grpc.max_receive_message_length", _MAX_ANSWER),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.enable_retries", 0),  # a Write must never be repeated behind our back
    ("grpc.enable_http_proxy", 0),  # a switch is on the management network
    ("grpc.use_local_subchannel_pool", 1),  # no back-off inherited from a former session
)


def open_channel(settings: SwitchSettings) -> grpc.aio.Channel:
    """A channel to the switch; connects on first use. Reads the TLS files.

    Raises SwitchError if one of them cannot be read or used.
    """
    if settings.tls is None:
        return grpc.aio.insecure_channel(settings.address, options=_OPTIONS)
    options = _OPTIONS
    if settings.tls.server_name is not None:
        options += (("grpc.ssl_target_name_override", settings.tls.server_name),)
    return grpc.aio.secure_channel(settings.address, _credentials(settings.tls), options=options)


def _credentials(tls: TlsFiles) -> grpc.ChannelCredentials:
    if (tls.certificate is None) != (tls.key is None):
        raise SwitchError("TLS needs both the certificate and the key, or neither")
    return grpc.ssl_channel_credentials(
        root_certificates=_read(tls.ca),
        private_key=_read(tls.key),
        certificate_chain=_read(tls.certificate),
    )


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise SwitchError(f"cannot read TLS file {path}: {error.strerror}") from None
