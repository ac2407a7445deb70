"""Hosts in network namespaces around one switch namespace, over veth pairs.

    sweeper    --- p1 [ switch ] p5 --- server
    enumerator --- p2 [        ]
    quiet      --- p3 [        ]
    phones     --- p4 [        ]

In the switch namespace the ports are also members of a Linux bridge: that is the
"stack" to which the XDP program hands what it does not drop or forward itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from demo.processes import CommandFailed, Process, run

SERVER = "198.51.100.10"
SERVER_NET = "198.51.100.0/24"


@dataclass(frozen=True)
class Host:
    """A host: its role, its address and the switch port it hangs on."""

    role: str
    address: str
    port: int


SWEEPER = Host("sweeper", "203.0.113.66", 1)
ENUMERATOR = Host("enumerator", "203.0.113.67", 2)
QUIET = Host("quiet", "203.0.113.99", 3)
PHONES = Host("phones", "192.0.2.10", 4)
SIP_SERVER = Host("server", SERVER, 5)
HOSTS = (SWEEPER, ENUMERATOR, QUIET, PHONES, SIP_SERVER)


class Network:
    """The namespaces; names carry our process id, so several demos can run at once."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._tag = f"sdnb{os.getpid()}"
        self._made: list[str] = []

    def namespace(self, role: str) -> str:
        """The namespace's name of a role (``switch`` or a host's)."""
        return f"{self._tag}-{role}"

    def inside(self, role: str) -> tuple[str, str]:
        """The command prefix that runs something in a role's network namespace.

        Not ``ip netns exec``: that also gives another /sys, without the BPF file system.
        """
        return ("nsenter", f"--net=/run/netns/{self.namespace(role)}")

    async def create(self) -> None:
        """Make namespaces, cables, addresses and routes. Raises CommandFailed."""
        for role in ("switch", *(host.role for host in HOSTS)):
            await run("ip", "netns", "add", self.namespace(role))
            self._made.append(role)
            await run("ip", "-n", self.namespace(role), "link", "set", "lo", "up")
            for family in ("all", "default"):  # no chatter that would blur the counts
                await run(
                    *self.inside(role), "sysctl", "-qw", f"net.ipv6.conf.{family}.disable_ipv6=1"
                )
        switch = self.namespace("switch")
        await run("ip", "-n", switch, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        await run("ip", "-n", switch, "link", "set", "br0", "up")
        for host in HOSTS:
            await self._cable(host, switch)

    async def _cable(self, host: Host, switch: str) -> None:
        namespace, port = self.namespace(host.role), f"p{host.port}"
        await run(
            *("ip", "link", "add", port, "netns", switch, "type", "veth"),
            *("peer", "name", "eth0", "netns", namespace),
        )
        await run("ip", "-n", switch, "link", "set", port, "master", "br0", "up")
        await run("ip", "-n", namespace, "link", "set", "eth0", "up")
        await run("ip", "-n", namespace, "addr", "add", f"{host.address}/32", "dev", "eth0")
        # Checksums are left to a network card that is not there: compute them.
        await run(*self.inside(host.role), "ethtool", "-K", "eth0", "tx", "off", ok=(0, 1))
        if host is SIP_SERVER:
            for other in HOSTS:
                if other is not host:
                    route = ("route", "add", f"{other.address}/32", "dev", "eth0")
                    await run("ip", "-n", namespace, *route)
            # A scanner sweeps the network: the server answers for all of it.
            await run("ip", "-n", namespace, "route", "add", "local", SERVER_NET, "dev", "lo")
        else:
            await run(
                *("ip", "-n", namespace, "route", "add", SERVER_NET),
                *("dev", "eth0", "src", host.address),
            )

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
