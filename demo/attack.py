"""Attackers: sipvicious as scanners run it, a quiet prober, and a count of what each got."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from demo import sniff
from demo.network import ENUMERATOR, QUIET, SERVER, SERVER_NET, SWEEPER, Host, Network, Stage
from demo.phones import SCENARIOS
from demo.processes import Process


@dataclass(frozen=True)
class Heard:
    """SIP packets that a host sent and received, and when (Unix seconds)."""

    sent: int = 0
    received: int = 0
    first_sent: float | None = None
    last_sent: float | None = None
    last_received: float | None = None
    statuses: dict[str, int] = field(default_factory=dict)
    """Status code of a reply -> how many."""


class Ear:
    """Counts SIP on a host's own interface."""

    def __init__(self, network: Stage, host: Host, directory: Path) -> None:
        self._network = network
        self.host = host
        self._file = directory / f"heard-{host.role}.json"
        self._process: Process | None = None

    async def start(self) -> None:
        """Begin to count; from its return on nothing is missed. Raises CommandFailed."""
        self._process = await self._network.start(
            *(self.host.role, f"ear-{self.host.role}", sys.executable, "-P"),
            *(str(sniff.__file__), "eth0", self._file),
        )
        await self._process.until_logged("listening")

    def heard(self) -> Heard:
        """The count so far, 0.2 s old at most."""
        if not self._file.exists():
            return Heard()
        return Heard(**json.loads(self._file.read_text()))

    async def settled(self) -> Heard:
        """The count of all until now."""
        await asyncio.sleep(0.5)  # it is written down five times a second
        return self.heard()

    async def stop(self) -> None:
        """Stop counting."""
        if self._process is not None:
            await self._process.stop(0)


async def sweep(network: Network) -> Process:
    """Svmap: OPTIONS to every address of the server's network, of which one answers."""
    return await network.start(SWEEPER.role, "svmap", "svmap", SERVER_NET)


async def enumerate_users(network: Network) -> Process:
    """Svwar: REGISTER for four hundred extensions, to learn which exist."""
    return await network.start(
        *(ENUMERATOR.role, "svwar", "svwar", "-e", "1000-1399", "--maximumtime", "8", SERVER)
    )


async def probe_quietly(network: Network) -> Process:
    """Five OPTIONS a second: below every threshold, known only to a threat feed."""
    return await network.start(
        *(QUIET.role, "prober", "sipp", f"{SERVER}:5060", "-sf", SCENARIOS / "options.xml"),
        *("-i", QUIET.address, "-p", "5061", "-r", "5", "-m", "600", "-nostdin"),
    )
