"""``sdnblock switchd``: this host's interfaces as a P4Runtime switch."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

import click

from sdnblock.errors import SdnblockError
from sdnblock.softswitch.listen import DEFAULT_ADDRESS, Tls
from sdnblock.softswitch.switchd import SwitchdSettings, run_switchd

_FILE = click.Path(path_type=Path)


def _interfaces(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    names = tuple(name.strip() for part in value for name in part.split(","))
    if not all(names):
        raise click.BadParameter("an interface's name is empty")
    if len(set(names)) != len(names):
        raise click.BadParameter("an interface is named twice")
    return names


def _address(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value.startswith("unix:") and len(value) > len("unix:"):
        return value
    host, colon, port = value.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in bare and bare == host):
        raise click.BadParameter("write ADDRESS:PORT (IPv6 in brackets) or unix:/PATH")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{port!r} is not a port")
    return value


@click.command(name="switchd")
@click.option(
    "--interface",
    "interfaces",
    metavar="IF[,IF...]",
    required=True,
    multiple=True,
    callback=_interfaces,
    help="Interfaces; they are ports 1, 2, ... in this order.",
)
@click.option(
    "--listen",
    "address",
    metavar="ADDR:PORT",
    default=DEFAULT_ADDRESS,
    show_default=True,
    callback=_address,
    help="Where P4Runtime clients connect; also unix:/PATH.",
)
@click.option(
    "--device-id",
    type=click.IntRange(1, 2**64 - 1),
    default=1,
    show_default=True,
    help="The P4Runtime device id.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="At the end leave program and tables in force; the next start takes them over.",
)
@click.option("--tls-cert", type=_FILE, metavar="FILE", help="Our certificate (PEM).")
@click.option("--tls-key", type=_FILE, metavar="FILE", help="Its key (PEM).")
@click.option(
    "--tls-client-ca",
    type=_FILE,
    metavar="FILE",
    help="Clients must show a certificate of this authority (PEM).",
)
def command(
    interfaces: tuple[str, ...],
    address: str,
    device_id: int,
    keep: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
) -> None:
    """Make this machine's network interfaces a P4Runtime switch.

    Packets are dropped, limited and counted by XDP, in the driver where it can
    do that. Nothing is touched until a client sets the pipeline. Needs root and
    Linux 5.15 or newer.
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together")
    if tls_client_ca is not None and tls_cert is None:
        raise click.UsageError("--tls-client-ca needs --tls-cert and --tls-key")
    tls = Tls(tls_cert, tls_key, tls_client_ca) if tls_cert and tls_key else None
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="sdnblock switchd: %(message)s"
    )
    if os.geteuid() != 0:
        raise SdnblockError("switchd needs root: it loads BPF programs")
    asyncio.run(run_switchd(SwitchdSettings(interfaces, address, device_id, keep, tls)))
