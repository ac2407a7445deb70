"""A stage for attacks: the demo's network, server, phones and protection, with defaults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.attack import Ear, Heard
from demo.network import ENUMERATOR, SERVER, SERVER_NET, Network
from demo.phones import Phones
from demo.processes import Process, run
from demo.protection import Protection
from demo.server import start_gateway, start_server

SCENARIOS = Path(__file__).with_name("scenarios")

SETTINGS = """\
[safety]
own_prefixes = ["198.51.100.0/24"]
"""


@dataclass(frozen=True)
class Cut:
    """How an attack ended: what came through, and what convicted it."""

    sent: int
    leaked: int
    seconds: float
    """From the first packet sent to the last reply that came back; 0 without replies."""
    claims: list[dict[str, Any]]
    """Blocks of the source or a flow of it, as `block list` shows them."""
    said: list[str]
    """What the controller logged meanwhile about anything."""


class Stage:
    """One environment; each attack comes from an address of its own."""

    def __init__(self, directory: Path, settings: str, modules: str) -> None:
        self.directory = directory
        self._modules = modules
        self.network = Network(directory)
        self.phones = Phones(self.network, directory)
        self.protection = Protection(self.network, directory, SETTINGS + settings, beside="server")
        self._ear = Ear(self.network, ENUMERATOR, directory)
        self._server: Process | None = None
        self._gateway: Process | None = None
        self._numbers = iter(range(101, 250))

    async def open(self) -> None:
        """Start everything. Raises CommandFailed."""
        await self.network.create()
        self._server = await start_server(
            self.network, self.directory, ("WITH_OLD_REALM",), self._modules
        )
        self._gateway = await start_gateway(self.network)
        await self.protection.start()
        await self.phones.start(rate=1)
        await self._ear.start()

    async def close(self) -> None:
        """Stop and remove everything."""
        await self._ear.stop()
        await self.phones.stop()
        for process in (self._gateway, self._server):
            if process is not None:
                await process.stop(2)
        await self.protection.stop()
        await self.network.destroy()

    async def address(self) -> str:
        """A new address of the attacker's host, from which it now sends."""
        address = f"203.0.113.{next(self._numbers)}"
        inside, server = self.network.namespace(ENUMERATOR.role), self.network.namespace("server")
        await run("ip", "-n", inside, "addr", "add", f"{address}/32", "dev", "eth0")
        await run("ip", "-n", server, "route", "add", f"{address}/32", "dev", "eth0")
        route = ("route", "replace", SERVER_NET, "dev", "eth0", "src", address)
        await run("ip", "-n", inside, *route)
        return address

    async def sipp(
        self,
        address: str,
        scenario: str,
        *more: str | Path,
        fields: Mapping[str, str] | None = None,
    ) -> Process:
        """Sipp with a scenario of this folder, its ``{fields}`` filled in, from ``address``."""
        file = self.directory / f"{scenario}-{address}.xml"
        text = (SCENARIOS / f"{scenario}.xml").read_text()
        file.write_text(text.format(**fields) if fields else text)
        return await self.start(
            f"{scenario}-{address}", "sipp", f"{SERVER}:5060", "-sf", file,
            "-i", address, "-nostdin", "-recv_timeout", "1000", *more,
        )  # fmt: skip

    async def start(self, name: str, *argv: str | Path) -> Process:
        """A process on the attacker's host."""
        return await self.network.start(ENUMERATOR.role, name, *argv)

    def heard(self) -> Heard:
        """What the attacker's host sent and received so far."""
        return self._ear.heard()

    async def blocks(self, address: str) -> list[dict[str, Any]]:
        """Blocks of an address, and of its flows."""
        rows = json.loads(await self.protection.cli("block", "list", "-o", "json"))
        return [row for row in rows if address in row["target"]]

    async def attack(self, process: Process, address: str, seconds: float) -> Cut:
        """Let an attack that has just begun run for a while, and see what became of it."""
        began, before = time.time(), self.heard()
        lines = len(self._log())
        with contextlib.suppress(TimeoutError):
            await process.wait(seconds)
        await asyncio.sleep(0.5)
        await process.stop(1)
        await asyncio.sleep(0.5)
        after = self.heard()
        leaked = after.received - before.received
        last = (after.last_received or began) if leaked else began
        claims = await self.blocks(address)
        said = self._log()[lines:]
        return Cut(after.sent - before.sent, leaked, max(0.0, last - began), claims, said)

    def _log(self) -> list[str]:
        controller = self.protection.controller
        return controller.said().splitlines() if controller is not None else []


@contextlib.asynccontextmanager
async def stage(directory: Path, settings: str = "", modules: str = "") -> AsyncIterator[Stage]:
    """A stage, taken down at the end whatever happens; ``modules``: more that the SIP server
    loads. The controller runs beside it."""
    made = Stage(directory, settings, modules)
    try:
        await made.open()
        yield made
    finally:
        await asyncio.shield(made.close())
