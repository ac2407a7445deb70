"""The stage of framing: registered peers with addresses of their own, and a forger.

attacker --- p1 [ switch ] p4 --- server (Kamailio)
peers    --- p2 [        ]
phones   --- p3 [        ]   where all calls are answered
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Literal

from bench.framing.requests import Victim
from demo.network import SERVER, SERVER_NET, Host, Network
from demo.phones import SCENARIOS, Calls, read_calls
from demo.processes import Process, run
from demo.protection import Protection
from demo.server import start_server

ATTACKER: Final = Host("attacker", "203.0.113.66", 1)
PEERS: Final = Host("peers", "12.34.0.1", 2, "12.34.0.0/16")
PHONES: Final = Host("phones", "192.0.2.10", 3)
HOSTS: Final = (ATTACKER, PEERS, PHONES, Host("server", SERVER, 4, SERVER_NET))
_CALLEE_PORT: Final = 5070

_SETTINGS: Final = """\
[safety]
own_prefixes = ["198.51.100.0/24"]
"""


class Callers:
    """Peers that call."""

    def __init__(self, process: Process, stats: Path, errors: Path) -> None:
        self._process, self._stats, self._errors = process, stats, errors

    async def finish(self) -> Calls:
        """No more calls; how those ended that there were."""
        self._process.signal(signal.SIGUSR1)
        with contextlib.suppress(TimeoutError):
            await self._process.wait(60)
        await self._process.stop(1)  # a call that hangs must not keep the port
        return read_calls(self._stats)

    def errors(self) -> str:
        """What sipp says of calls that failed."""
        return self._errors.read_text()[:2000] if self._errors.exists() else ""


class Stage:
    """Everything, with ``count`` peers (users 1000 and on, each at an address in a /24 that it
    shares with few)."""

    def __init__(self, directory: Path, count: int, nonce_seconds: int) -> None:
        self.directory = directory
        self.peers = [
            Victim(f"12.34.{number % 250}.{10 + number // 250}", str(1000 + number))
            for number in range(count)
        ]
        self.network = Network(directory, HOSTS)
        self.protection = Protection(self.network, directory, _SETTINGS)
        self._nonce_seconds = nonce_seconds
        self._processes: list[Process] = []

    async def open(self) -> None:
        """Start everything, and register the peers. Raises CommandFailed."""
        await self.network.create()
        # One neighbour for all peers: the kernel's table of neighbours holds a thousand.
        via = ("via", PEERS.address, "dev", "eth0", "onlink")
        for role in ("server", "phones", "attacker"):
            await run(*self.network.inside(role), "ip", "route", "replace", PEERS.net, *via)
        defines = (f"LAST_USER={1000 + len(self.peers)}", f"NONCE_EXPIRE={self._nonce_seconds}")
        self._processes.append(await start_server(self.network, self.directory, defines))
        await self.protection.start()
        self._processes.append(
            await self.network.start(
                *("phones", "callee", "sipp", f"{SERVER}:5060", "-sf", SCENARIOS / "answer.xml"),
                *("-i", PHONES.address, "-p", str(_CALLEE_PORT), "-nostdin"),
            )
        )
        self._write_peers()

    async def close(self) -> None:
        """Stop and remove everything."""
        for process in reversed(self._processes):
            await process.stop(1)
        await self.protection.stop()
        await self.network.destroy()

    async def register(self, rate: int) -> None:
        """Every peer registers once, ``rate`` a second. Raises CommandFailed."""
        text = (SCENARIOS / "register.xml").read_text()
        text = text.replace("[local_ip]:[contact_port]", f"{PHONES.address}:{_CALLEE_PORT}")
        text = text.replace("[local_ip]", "[field3]").replace("Expires: 600", "Expires: 3600")
        count = len(self.peers)
        await run(
            *self.network.inside("peers"), *self._sipp("register", text),
            *("-r", str(rate), "-m", str(count), "-timeout", f"{60 + 4 * count // rate}s"),
            seconds=90 + 4 * count / rate,
        )  # fmt: skip

    async def call(self, rate: float, count: Literal[1] | None = None) -> Callers:
        """From now on all peers call each other, one after the other; or the first one alone."""
        name = f"calls-{count or 'all'}"
        text = (SCENARIOS / "call.xml").read_text().replace("[local_ip]", "[field3]")
        stats, errors = (self.directory / f"{name}.{end}" for end in ("csv", "errors"))
        process = await self.network.start(
            *("peers", name), *self._sipp("call", text, count), *("-r", f"{rate:g}"),
            *("-trace_stat", "-stf", stats, "-fd", "1", "-trace_err", "-error_file", errors),
            # On a busy machine a 180 can come behind its 200; a phone does not mind.
            *("-default_behaviors", "all,-abortunexp"),
        )  # fmt: skip
        self._processes.append(process)
        return Callers(process, stats, errors)

    async def forge(self, rate: int, count: int, order: str) -> str:
        """Send so many requests in the peers' names; what the forger says of it."""
        forger = await self.network.start(
            *("attacker", f"forge-{order}", sys.executable, "-m", "bench.framing.forge"),
            *(ATTACKER.address, SERVER, self.directory / "peers.txt", str(rate), str(count), order),
        )
        self._processes.append(forger)
        if await forger.wait(120 + 10 * count / rate):
            raise RuntimeError(f"the forger failed: {forger.words()}")
        return forger.words().strip()

    async def credited(self) -> int:
        """Sources whose credit the controller has kept; waits until all peers are among them, or
        no more come."""
        found, quiet = 0, 0
        while found < len(self.peers) and quiet < 20:
            await asyncio.sleep(0.5)
            now = int(await self.protection.redis("ZCARD", "sdnblock:memory:1:credit"))
            found, quiet = now, quiet + 1 if now == found else 0
        return found

    def alarms(self) -> list[str]:
        """What the flood detector reported."""
        log = self.directory / "controller.log"
        return [line for line in log.read_text().splitlines() if " flood: " in line]

    async def harmed(self) -> list[dict[str, Any]]:
        """Blocks of peers that stop packets."""
        return [row for row in await self._blocks() if row["action"] != "watch"]

    async def watched(self) -> int:
        """Peers that the detectors watch."""
        return len({row["target"] for row in await self._blocks() if row["action"] == "watch"})

    async def verdicts(self) -> dict[str, int]:
        """Packets from the untrusted side, by what the switch did with them."""
        rows = json.loads(await self.protection.cli("switch", "counters", "-o", "json"))
        return {row["name"]: row["packets"] for row in rows if row["group"] == "verdict"}

    async def _blocks(self) -> list[dict[str, Any]]:
        rows = json.loads(await self.protection.cli("block", "list", "-o", "json"))
        return [row for row in rows if "12.34." in row["target"]]

    def _write_peers(self) -> None:
        lines = [f"{peer.address} {peer.user}\n" for peer in self.peers]
        (self.directory / "peers.txt").write_text("".join(lines))
        rows = ["SEQUENTIAL\n"]
        for number, peer in enumerate(self.peers):
            other = self.peers[(number + 1) % len(self.peers)].user
            secret = f"[authentication username={peer.user} password=secret-{peer.user}]"
            rows.append(f"{peer.user};{secret};{other};{peer.address}\n")
        for name, count in (("all", len(rows)), ("1", 2)):
            (self.directory / f"peers-{name}.csv").write_text("".join(rows[:count]))

    def _sipp(
        self, name: str, scenario: str, count: Literal[1] | None = None
    ) -> tuple[str | Path, ...]:
        file = self.directory / f"{name}.xml"
        file.write_text(scenario)
        return (
            *("sipp", f"{SERVER}:5060", "-sf", file, "-t", "ui", "-ip_field", "3"),
            *("-inf", self.directory / f"peers-{count or 'all'}.csv", "-p", "5060", "-nostdin"),
            *("-max_socket", str(len(self.peers) + 100)),
        )


@contextlib.asynccontextmanager
async def stage(directory: Path, count: int, nonce_seconds: int = 3600) -> AsyncIterator[Stage]:
    """A stage, taken down at the end whatever happens."""
    made = Stage(directory, count, nonce_seconds)
    try:
        await made.open()
        yield made
    finally:
        await asyncio.shield(made.close())
