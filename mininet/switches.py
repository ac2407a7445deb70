"""Mininet switches that sdnblock can program: XDP, BMv2 and Open vSwitch, by the same recipes.

They stand in network namespaces of their own and listen on (or, Open vSwitch, connect to)
unix sockets in ``directory``, where the controller of the lab is found too.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from mininet.node import Node, Switch

from demo.recipes import KINDS, Command, Daemon, Place, Recipe

_PATIENCE = 20.0


def inside(node: Node) -> tuple[str, ...]:
    """The command prefix that runs something in a node's network namespace.

    Not ``node.cmd``: Mininet gives its nodes another /sys, without the BPF file system.
    """
    return ("nsenter", f"--net=/proc/{node.pid}/ns/net")


class WhiteBoxSwitch(Switch):
    """A switch that is started as one of ``demo.recipes`` says.

    ``directory`` is for sockets and logs, ``number`` the device or datapath id, ``trusted``
    the ports towards SIP servers, ``forward`` what sends MAC addresses to ports (by the
    nodes' addresses; without it the switch floods or learns).
    """

    kind: ClassVar[Callable[[Place], Recipe]]

    def __init__(
        self,
        name: str,
        directory: Path,
        number: int,
        trusted: tuple[int, ...],
        forward: Mapping[str, int] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(name, **{**more, "inNamespace": True})
        self._directory = directory
        self._number = number
        self._trusted = trusted
        self._forward = forward or {}
        self._daemons: list[subprocess.Popen[bytes]] = []

    @property
    def recipe(self) -> Recipe:
        """How it is started; it has all its ports by now."""
        ports = tuple(str(self.intfs[port]) for port in sorted(self.intfs) if port > 0)
        place = Place(
            *(self.name, self._number, self._directory, ports, self._trusted, self._forward)
        )
        return type(self).kind(place)

    def start(self, controllers: object) -> None:
        """Carry out the recipe; sdnblock is not one of Mininet's controllers."""
        subprocess.run(
            (*inside(self), "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"), check=True
        )
        for step in self.recipe.steps:
            match step:
                case Command(argv):
                    subprocess.run((*inside(self), *argv), check=True, stdout=subprocess.DEVNULL)
                case Daemon():
                    self._begin(step)

    def stop(self, deleteIntfs: bool = True) -> None:
        """End what was started."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()
        super().stop(deleteIntfs)

    def connected(self) -> bool:
        """Mininet's question whether a controller has come; its switches need not wait."""
        return True

    def _begin(self, daemon: Daemon) -> None:
        log = self._directory / f"{daemon.name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                (*inside(self), *daemon.argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._daemons.append(process)
        deadline = time.monotonic() + _PATIENCE
        while daemon.ready not in (said := log.read_text(errors="replace")):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{daemon.name} is not ready: {said[-500:]}")
            time.sleep(0.05)


class XdpSwitch(WhiteBoxSwitch):
    """``sdnblock switchd``."""

    kind = KINDS["xdp"]


class Bmv2Switch(WhiteBoxSwitch):
    """``simple_switch_grpc``."""

    kind = KINDS["bmv2"]


class OvsSwitch(WhiteBoxSwitch):
    """Open vSwitch, user-space datapath, OpenFlow 1.3."""

    kind = KINDS["ovs"]


SWITCHES: Mapping[str, type[WhiteBoxSwitch]] = {
    "xdp": XdpSwitch,
    "bmv2": Bmv2Switch,
    "ovs": OvsSwitch,
}
