"""The switch as a process: data plane, P4Runtime server, signals (`sdnblock switchd`)."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sdnblock.errors import SdnblockError
from sdnblock.softswitch.device import Device
from sdnblock.softswitch.listen import DEFAULT_ADDRESS, Tls, listen
from sdnblock.softswitch.store import ConfigStore
from sdnblock.softswitch.xdp import XdpDataplane

RUN_DIRECTORY: Final = Path("/run/sdnblock")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SwitchdSettings:
    """What a switchd is told. Ports are numbered from 1 in the order of ``interfaces``."""

    interfaces: tuple[str, ...]
    address: str = DEFAULT_ADDRESS
    device_id: int = 1
    keep: bool = False
    tls: Tls | None = None
    run_directory: Path = RUN_DIRECTORY

    @property
    def directory(self) -> Path:
        """Where this device keeps its lock and its pipeline config."""
        return self.run_directory / f"switchd-{self.device_id}"


async def run_switchd(settings: SwitchdSettings) -> None:
    """Run until SIGTERM or SIGINT. Raises SdnblockError if it cannot start.

    At the end the program is detached and its tables are gone; with ``keep``
    they stay in force, and the next start takes them over.
    """
    with only_one(settings.directory, settings.device_id):
        async with _dataplane(settings) as dataplane:
            await _serve(settings, dataplane)


@contextlib.asynccontextmanager
async def _dataplane(settings: SwitchdSettings) -> AsyncIterator[XdpDataplane]:
    dataplane = XdpDataplane(settings.interfaces, settings.device_id)
    served = False
    try:
        yield dataplane
        served = True
    finally:
        # A start that failed leaves in force what an earlier switchd had left.
        dataplane.close(keep=settings.keep or not served)
        if served and not settings.keep:
            ConfigStore(settings.directory).forget()


async def _serve(settings: SwitchdSettings, dataplane: XdpDataplane) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def say_modes() -> None:
        for port, name in dataplane.ports.items():
            _log.info("port %d: %s, %s XDP", port, name, dataplane.modes.get(name, "no"))

    if settings.keep and _private_mounts():
        _log.warning(
            "--keep will not work here: this process has a mount namespace of its own, and what"
            " is pinned in its BPF file system ends with it (in place of ip netns exec use"
            " nsenter --net=/run/netns/NAME)"
        )
    device = Device(dataplane, settings.device_id, ConfigStore(settings.directory), say_modes)
    listener = await listen(device, settings.address, settings.tls)
    if not _is_local(settings.address) and (settings.tls is None or not settings.tls.client_ca):
        _log.warning(
            "whoever reaches %s can program this switch: use TLS with --tls-client-ca, or a"
            " firewall",
            listener.address,
        )
    if dataplane.loaded:
        say_modes()
    else:
        for port, name in dataplane.ports.items():
            _log.info("port %d: %s, XDP once a pipeline is set", port, name)
    _log.info("ready: device %d on %s", settings.device_id, listener.address)
    notify("READY=1")
    try:
        await stop.wait()
        notify("STOPPING=1")
    finally:
        await listener.stop()
    _log.info("stopped; the program %s", "stays in force" if settings.keep else "is taken off")


def _is_local(address: str) -> bool:
    """Whether only this machine reaches an address of ours."""
    return address.startswith(("unix:", "127.", "localhost:", "[::1]:"))


def _private_mounts() -> bool:
    """Whether our mounts are not those of the process that started everything here."""
    try:
        return Path("/proc/self/ns/mnt").readlink() != Path("/proc/1/ns/mnt").readlink()
    except OSError:
        return False


@contextlib.contextmanager
def only_one(directory: Path, device_id: int) -> Iterator[None]:
    """Hold the device's lock: two switchds must not share one set of tables.

    Raises SdnblockError if another holds it, or the directory cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (directory / "lock").open("w")
    except OSError as error:
        raise SdnblockError(
            f"cannot write to {directory}: {error.strerror} (switchd needs root)"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SdnblockError(
                f"device {device_id} is run by another switchd already: stop it, or give"
                " another --device-id"
            ) from None
        yield


def notify(text: str) -> None:
    """Tell the service manager, if one listens (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    if path.startswith("@"):
        path = "\0" + path[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        try:
            notifier.sendto(text.encode(), path)
        except OSError as error:
            _log.warning("cannot notify the service manager: %s", error.strerror)
