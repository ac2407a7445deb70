"""Interfaces: which there are, and putting a program on them and taking it off.

Native XDP (in the driver) where there is such a thing, generic XDP otherwise; which one an
interface got is part of the answer, since it rules the speed.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from sdnblock.softswitch.bpf import (
    XDP_FLAGS_DRV_MODE,
    XDP_FLAGS_SKB_MODE,
    BpfError,
    Libbpf,
    Program,
    attached_program,
)

_log = logging.getLogger(__name__)

_SIOCGIFFLAGS = 0x8913
_MODES = {XDP_FLAGS_DRV_MODE: "native", XDP_FLAGS_SKB_MODE: "generic"}


@dataclass(frozen=True)
class Interface:
    """A port of the switch."""

    port: int
    name: str
    index: int


def find_interfaces(names: Sequence[str]) -> list[Interface]:
    """Interfaces by name, as ports 1, 2, ... Raises BpfError for an unknown or repeated one."""
    found = []
    for port, name in enumerate(names, start=1):
        if name in names[: port - 1]:
            raise BpfError(f"interface {name!r} is named twice")
        try:
            index = socket.if_nametoindex(name)
        except (OSError, ValueError):
            known = ", ".join(other for _, other in socket.if_nameindex())
            raise BpfError(f"there is no interface {name!r} here (there are: {known})") from None
        found.append(Interface(port, name, index))
    return found


def is_up(interface: Interface) -> bool:
    """Whether an interface is set up (IFF_UP). Raises BpfError if it is gone."""
    request = struct.pack("16sH22x", interface.name.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        except OSError:
            raise gone(interface) from None
    flags: int = struct.unpack_from("16xH", answer)[0]
    return bool(flags & 1)


def gone(interface: Interface) -> BpfError:
    """The error for an interface that was there at the start and is not any more."""
    return BpfError(
        f"interface {interface.name} is gone: restart switchd when it is back", errno.ENODEV
    )


def foreign(lib: Libbpf, interface: Interface) -> BpfError:
    """The error for an interface that runs somebody else's program."""
    program, mode = attached_program(lib, interface.index)
    word = "xdpgeneric" if mode == XDP_FLAGS_SKB_MODE else "xdp"
    return BpfError(
        f"interface {interface.name} already has another XDP program (id {program}):"
        f" remove it with ip link set dev {interface.name} {word} off",
        errno.EBUSY,
    )


def attach(lib: Libbpf, interface: Interface, program: Program, replaces: Program | None) -> str:
    """Put ``program`` on an interface, in one step in place of ``replaces`` if that is there.

    Returns ``native`` or ``generic``. Raises BpfError, also if a program that is not ours
    is attached, or the interface is gone.
    """
    try:
        running, mode = attached_program(lib, interface.index)
        if running == program.id:
            return _MODES[mode]
        if running and (replaces is None or running != replaces.id):
            raise foreign(lib, interface)
        if running:
            program.attach(interface.index, mode, replaces)
            return _MODES[mode]
        mode = _attach_first(lib, interface, program)
    except BpfError as error:
        if error.code == errno.ENODEV:
            raise gone(interface) from None
        raise
    if not is_up(interface):
        _log.warning("interface %s is down: no packet comes in until it is up", interface.name)
    return _MODES[mode]


def _attach_first(lib: Libbpf, interface: Interface, program: Program) -> int:
    try:
        program.attach(interface.index, XDP_FLAGS_DRV_MODE, None)
        return XDP_FLAGS_DRV_MODE
    except BpfError as error:
        # Drivers say a lot of things when they cannot: EOPNOTSUPP, EINVAL, ENOMEM, ERANGE.
        if error.code in (errno.EPERM, errno.ENODEV, errno.EBUSY, errno.EEXIST):
            raise
        why = os.strerror(error.code)
    lib.log.clear()
    program.attach(interface.index, XDP_FLAGS_SKB_MODE, None)
    _log.warning(
        "interface %s: no native XDP (%s), so generic XDP, which is slower", interface.name, why
    )
    return XDP_FLAGS_SKB_MODE


def detach(lib: Libbpf, interface: Interface, program: Program) -> None:
    """Take ``program`` off an interface. An interface or attachment that is gone is fine."""
    try:
        running, mode = attached_program(lib, interface.index)
        if running == program.id:
            program.detach(interface.index, mode)
    except BpfError as error:
        if error.code not in (errno.ENODEV, errno.ENOENT):
            raise
