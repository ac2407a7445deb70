"""Interfaces: which there are, and putting a program on them and taking it off.

Native XDP (in the driver) where there is such a thing, generic XDP otherwise; which one an
interface got is part of the answer, since it rules the speed.
"""

from __future__ import annotations

import errno
import socket
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


def attach(
    lib: Libbpf, interface: Interface, program: Program, replaces: Program | None
) -> tuple[int, str]:
    """Put ``program`` on an interface, in one step in place of ``replaces`` if that is there.

    Returns (mode flag, ``native`` or ``generic``). Raises BpfError, also if a program that
    is not ours is attached.
    """
    running, mode = attached_program(lib, interface.index)
    if running == program.id:
        return mode, _MODES[mode]
    if running and (replaces is None or running != replaces.id):
        raise BpfError(
            f"interface {interface.name} already has another XDP program (id {running}):"
            f" remove it with ip link set dev {interface.name} xdp off",
            errno.EBUSY,
        )
    if running:
        program.attach(interface.index, mode, replaces)
        return mode, _MODES[mode]
    try:
        program.attach(interface.index, XDP_FLAGS_DRV_MODE, None)
    except BpfError as error:
        if error.code not in (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOMEM):
            raise
        lib.log.clear()
        program.attach(interface.index, XDP_FLAGS_SKB_MODE, None)
        return XDP_FLAGS_SKB_MODE, _MODES[XDP_FLAGS_SKB_MODE]
    return XDP_FLAGS_DRV_MODE, _MODES[XDP_FLAGS_DRV_MODE]


def detach(lib: Libbpf, interface: Interface, program: Program) -> None:
    """Take ``program`` off an interface. An interface or attachment that is gone is fine."""
    try:
        running, mode = attached_program(lib, interface.index)
        if running == program.id:
            program.detach(interface.index, mode)
    except BpfError as error:
        if error.code not in (errno.ENODEV, errno.ENOENT):
            raise
