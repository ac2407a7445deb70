"""Hosts in network namespaces around switch namespaces, over veth pairs. The demo's:

sweeper    --- p1 [ switch ] p5 --- server
enumerator --- p2 [        ]
quiet      --- p3 [        ]
phones     --- p4 [        ]
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final, Protocol

from demo.processes import CommandFailed, Process, run

SERVER = "198.51.100.10"
SERVER_NET = "198.51.100.0/24"


class Stage(Protocol):
    """Named network namespaces in which things can be started."""

    def inside(self, role: str) -> tuple[str, ...]:
        """The command prefix that runs something in a role's network namespace."""

    def ports(self, switch: str = "switch") -> tuple[str, ...]:
        """A switch's interfaces, port 1 first."""

    async def start(self, role: str, name: str, *argv: str | Path) -> Process:
        """Start a process in a role's namespace, logging to ``name``.log."""


@dataclass(frozen=True)
class Host:
    """A host: its role, its address and the switch port it hangs on."""

    role: str
    address: str
    port: int
    net: str = ""
    """A network around the address, all of which the host answers for."""
    switch: str = "switch"
    """The role of the switch."""

    def networks(self) -> list[str]:
        """What the others need routes to."""
        if self.net and ip_address(self.address) in ip_network(self.net):
            return [self.net]
        return [f"{self.address}/32", *([self.net] if self.net else [])]


SWEEPER = Host("sweeper", "203.0.113.66", 1)
ENUMERATOR = Host("enumerator", "203.0.113.67", 2)
QUIET = Host("quiet", "203.0.113.99", 3)
PHONES = Host("phones", "192.0.2.10", 4)
SIP_SERVER = Host("server", SERVER, 5, SERVER_NET)
"""A scanner sweeps the network: the server answers for all of it."""
HOSTS = (SWEEPER, ENUMERATOR, QUIET, PHONES, SIP_SERVER)

_numbers: Final = itertools.count()


class Network:
    """The namespaces; names carry our process id, so several demos can run at once."""

    def __init__(self, logs: Path, hosts: Sequence[Host] = HOSTS) -> None:
        self._logs = logs
        self._hosts = hosts
        number = next(_numbers)
        self._tag = f"sdnb{os.getpid()}" + (f"x{number}" if number else "")
        self._made: list[str] = []

    def namespace(self, role: str) -> str:
        """The namespace's name of a role (a switch's or a host's)."""
        return f"{self._tag}-{role}"

    def inside(self, role: str) -> tuple[str, ...]:
        """The command prefix that runs something in a role's network namespace.

        Not ``ip netns exec``: that also gives another /sys, without the BPF file system.
        """
        return ("nsenter", f"--net=/run/netns/{self.namespace(role)}")

    def ports(self, switch: str = "switch") -> tuple[str, ...]:
        """A switch's interfaces, port 1 first."""
        numbers = sorted(host.port for host in self._hosts if host.switch == switch)
        return tuple(f"p{number}" for number in numbers)

    async def create(self) -> None:
        """Make namespaces, cables, addresses and routes. Raises CommandFailed."""
        switches = dict.fromkeys(host.switch for host in self._hosts)
        for role in (*switches, *(host.role for host in self._hosts)):
            await run("ip", "netns", "add", self.namespace(role))
            self._made.append(role)
            await run("ip", "-n", self.namespace(role), "link", "set", "lo", "up")
            for family in ("all", "default"):  # no chatter that would blur the counts
                await run(
                    *self.inside(role), "sysctl", "-qw", f"net.ipv6.conf.{family}.disable_ipv6=1"
                )
        for host in self._hosts:
            await self._cable(host)

    async def _cable(self, host: Host) -> None:
        switch, namespace = self.namespace(host.switch), self.namespace(host.role)
        port = f"p{host.port}"
        await run(
            *("ip", "link", "add", port, "netns", switch, "type", "veth"),
            *("peer", "name", "eth0", "netns", namespace),
        )
        await run("ip", "-n", switch, "link", "set", port, "up")
        await run("ip", "-n", namespace, "link", "set", "eth0", "up")
        neighbours = [each for each in self._hosts if each.switch == host.switch]
        for command in host_commands(host, [each for each in neighbours if each is not host]):
            await run(*self.inside(host.role), *command)

    async def start(self, role: str, name: str, *argv: str | Path) -> Process:
        """Start a process in a role's namespace, logging to ``name``.log."""
        return await Process.start(name, (*self.inside(role), *argv), self._logs / f"{name}.log")

    async def destroy(self) -> list[str]:
        """Delete every namespace made; returns what could not be."""
        failed = []
        for role in reversed(self._made):
            try:
                await run("ip", "netns", "del", self.namespace(role))
            except CommandFailed as error:
                failed.append(str(error))
        self._made.clear()
        return failed


def host_commands(host: Host, others: Sequence[Host]) -> list[tuple[str, ...]]:
    """What gives a host, in its namespace, its addresses on eth0 and routes to the others."""
    commands: list[tuple[str, ...]] = [
        ("ip", "addr", "add", f"{host.address}/32", "dev", "eth0"),
        # Checksums are left to a network card that is not there: compute them. And frames
        # that XDP redirects to a veth arrive only where GRO is on.
        ("ethtool", "-K", "eth0", "tx", "off", "gro", "on"),
    ]
    if host.net:
        commands.append(("ip", "route", "add", "local", host.net, "dev", "lo"))
    routes = dict.fromkeys(net for other in others for net in other.networks())
    return commands + [
        ("ip", "route", "add", route, "dev", "eth0", "src", host.address) for route in routes
    ]
