"""A Mininet network as a stage for the demo's server, phones, ears and attacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mininet.net import Mininet
from switches import WhiteBoxSwitch, inside
from topologies import ATTACKER_MAC, PHONES_MAC, SERVER_MAC

from demo.campaigns import ATTACKER
from demo.network import SERVER, SERVER_NET, Host, host_commands
from demo.processes import Process, run

PHONES = Host("phones", "192.0.2.10", 2)
SIP_SERVER = Host("server", SERVER, 3, SERVER_NET)
HOSTS = (ATTACKER, PHONES, SIP_SERVER)
_MACS = {ATTACKER.role: ATTACKER_MAC, PHONES.role: PHONES_MAC, SIP_SERVER.role: SERVER_MAC}


class MininetStage:
    """Roles are Mininet's nodes; see ``demo.network.Stage``."""

    def __init__(self, net: Mininet, logs: Path) -> None:
        self._net = net
        self.logs = logs

    def inside(self, role: str) -> tuple[str, ...]:
        """The command prefix that runs something in a node's network namespace."""
        return inside(self._net[role])

    def ports(self, switch: str = "switch") -> tuple[str, ...]:
        """A switch's interfaces, port 1 first."""
        intfs = self._net[switch].intfs
        return tuple(str(intfs[port]) for port in sorted(intfs) if port > 0)

    async def start(self, role: str, name: str, *argv: str | Path) -> Process:
        """Start a process on a node, logging to ``name``.log."""
        return await Process.start(name, (*self.inside(role), *argv), self.logs / f"{name}.log")

    async def address(self, static: bool) -> None:
        """Give the hosts addresses and routes; ``static``: and neighbours, as nothing is flooded.

        Raises CommandFailed.
        """
        for host in HOSTS:
            prefix = self.inside(host.role)
            await run(*prefix, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            for each in ("all", "default"):
                await run(*prefix, "sysctl", "-qw", f"net.ipv4.conf.{each}.rp_filter=0")
            others = [other for other in HOSTS if other is not host]
            for command in host_commands(host, others):
                await run(*prefix, *command)
            if static:
                for other in others:
                    await self._neighbour(prefix, host, other, "eth0")
            self._net[host.role].intf("eth0").updateAddr()  # for Mininet's own commands

    async def use_access(self, interface: str) -> None:
        """Send what the attacker sends to the SIP server by this interface of its."""
        prefix = self.inside(ATTACKER.role)
        await run(*prefix, "ip", "link", "set", interface, "up")
        await self._neighbour(prefix, ATTACKER, SIP_SERVER, interface)

    async def _neighbour(
        self, prefix: Sequence[str], host: Host, other: Host, interface: str
    ) -> None:
        # By one neighbour, whose MAC address is known, to all of the network behind it.
        await run(
            *(*prefix, "ip", "neigh", "replace", other.address, "lladdr", _MACS[other.role]),
            *("nud", "permanent", "dev", interface),
        )
        await run(
            *(*prefix, "ip", "route", "replace", f"{other.address}/32"),
            *("dev", interface, "src", host.address),
        )
        if other.net:
            await run(
                *(*prefix, "ip", "route", "replace", other.net, "via", other.address),
                *("dev", interface, "onlink", "src", host.address),
            )


@dataclass
class Running:
    """A switch that Mininet starts and stops, as ``demo.protection`` wants to see one."""

    node: WhiteBoxSwitch
    processes: list[Process] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The switch's name."""
        return str(self.node.name)

    @property
    def config(self) -> str:
        """Its ``[[switch]]`` in the controller's configuration."""
        return self.node.recipe.config

    def said(self) -> str:
        """Nothing here: Mininet's classes keep the logs."""
        return ""

    async def start(self) -> None:
        """It runs already."""

    async def stop(self) -> None:
        """Mininet does."""
