"""Mininet topologies: where attackers, phones and the SIP server stand."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mininet.topo import Topo
from switches import WhiteBoxSwitch

ATTACKER_MAC, SECOND_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
PHONES_MAC, SERVER_MAC = "02:00:00:00:00:03", "02:00:00:00:00:04"
_HOSTS = ("attacker", "phones", "server")


class _LabTopo(Topo):
    """What both have in common: the hosts, and how switches are made."""

    accesses: int
    """How many the attacker has."""

    def build(self, kind: type[WhiteBoxSwitch], directory: Path, number: int) -> None:
        """Called by Mininet with what the constructor was given; ``number``: see session."""
        self._kind, self._directory = kind, directory
        self._numbers = itertools.count(number + 1)
        for host in _HOSTS:
            self.addHost(host, ip=None)
        self.lay()

    def lay(self) -> None:
        """Add switches and links."""
        raise NotImplementedError

    def box(
        self, name: str, trusted: tuple[int, ...], forward: Mapping[str, int] | None = None
    ) -> None:
        """Add a switch."""
        self.addSwitch(
            name, cls=self._kind, directory=self._directory, number=next(self._numbers),
            trusted=trusted, forward=forward,
        )  # fmt: skip

    def cable(self, switch: str, port: int, host: str, **more: Any) -> None:
        """A host's eth0 (or ``intfName2``) on a switch's port."""
        names = {"intfName1": f"p{port}", "intfName2": "eth0"}
        self.addLink(switch, host, port1=port, **{**names, **more})


class EdgeTopo(_LabTopo):
    """One switch between attacker and phones on one side and the SIP server on the other."""

    accesses = 1

    def lay(self) -> None:
        """Ports 1 to 3."""
        self.box("edge1", trusted=(3,))
        for port, host in enumerate(_HOSTS, 1):
            self.cable("edge1", port, host)


class LeafSpineTopo(_LabTopo):
    """Three leaves with an uplink to each of two spines; every MAC address has its one way.

    The attacker has two accesses with one address: eth0 at leaf1, eth1 at leaf2. Phones are
    at leaf2, the SIP server at leaf3. Nothing is flooded, so the loops are none.
    """

    accesses = 2

    def lay(self) -> None:
        """Leaves' uplinks are their last two ports; spines' ports are numbered as leaves."""
        first, second = {ATTACKER_MAC: 1, PHONES_MAC: 2, SECOND_MAC: 2}, {SERVER_MAC: 3}
        for spine in ("spine1", "spine2"):
            self.box(spine, trusted=(1, 2, 3), forward={**first, **second})
        self.box("leaf1", (2, 3), {ATTACKER_MAC: 1, SERVER_MAC: 2, PHONES_MAC: 3, SECOND_MAC: 3})
        self.box("leaf2", (3, 4), {SECOND_MAC: 1, PHONES_MAC: 2, SERVER_MAC: 4, ATTACKER_MAC: 3})
        self.box("leaf3", (1, 2, 3), {SERVER_MAC: 1, ATTACKER_MAC: 2, SECOND_MAC: 3, PHONES_MAC: 3})
        self.cable("leaf1", 1, "attacker", addr2=ATTACKER_MAC)
        self.cable("leaf2", 1, "attacker", addr2=SECOND_MAC, intfName2="eth1")
        self.cable("leaf2", 2, "phones", addr2=PHONES_MAC)
        self.cable("leaf3", 1, "server", addr2=SERVER_MAC)
        for leaf, (name, uplinks) in enumerate(
            {"leaf1": (2, 3), "leaf2": (3, 4), "leaf3": (2, 3)}.items(), 1
        ):
            for spine, port in zip(("spine1", "spine2"), uplinks, strict=True):
                self.addLink(
                    name, spine, port1=port, port2=leaf, intfName1=f"p{port}", intfName2=f"p{leaf}"
                )


TOPOLOGIES: Mapping[str, type[_LabTopo]] = {"edge": EdgeTopo, "leafspine": LeafSpineTopo}
