"""The demo's course: what happens, what must hold, and the table at the end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import click

from demo.attack import Ear, enumerate_users, probe_quietly, sweep
from demo.network import ENUMERATOR, QUIET, SWEEPER, Network
from demo.phones import Phones
from demo.processes import CommandFailed, Process
from demo.protection import DEMO, RATE_THRESHOLD, Protection
from demo.server import start_server


@dataclass
class Result:
    """Rows of the final table and whether each promise held."""

    rows: list[tuple[str, str, bool]] = field(default_factory=list)

    def row(self, what: str, value: str, held: bool = True) -> None:
        """Add a row; ``held`` False fails the demo."""
        self.rows.append((what, value, held))

    @property
    def held(self) -> bool:
        """Whether every promise held."""
        return all(held for _, _, held in self.rows)

    def render(self) -> str:
        """The table."""
        width = max(len(what) for what, _, _ in self.rows)
        value_width = max(len(value) for _, value, _ in self.rows)
        return "\n".join(
            f"  {what:<{width}}  {value:<{value_width}}  {'ok' if held else 'FAILED'}"
            for what, value, held in self.rows
        )


class Story:
    """One run. ``directory`` holds logs and sockets and is removed by the caller."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._network = Network(directory)
        self._phones = Phones(self._network, directory)
        self._protection = Protection(self._network, directory, DEMO)
        self._sweeper = Ear(self._network, SWEEPER, directory)
        self._enumerator = Ear(self._network, ENUMERATOR, directory)
        self._quiet = Ear(self._network, QUIET, directory)
        self._others: list[Process] = []
        self._began = time.monotonic()

    def _say(self, text: str, **style: str | bool) -> None:
        click.echo(f"{time.monotonic() - self._began:6.1f}s  " + click.style(text, **style))  # type: ignore[arg-type]

    async def run(self) -> Result:
        """Tell the story. Raises CommandFailed if the stage cannot be set."""
        try:
            await self._set_stage()
            result = Result()
            await self._scanners(result)
            await self._feed(result)
            await self._balance(result)
            return result
        finally:
            # Shielded: a second Ctrl-C must not leave namespaces behind.
            await asyncio.shield(self._clear())

    async def _set_stage(self) -> None:
        self._say("network namespaces: attacker, second attacker, phones, SIP server, switch")
        await self._network.create()
        self._others.append(await start_server(self._network, self._directory))
        self._say("Kamailio answers on 198.51.100.10, with authentication")
        modes = await self._protection.start()
        self._say("Redis, switchd and the controller run")
        for line in modes.splitlines():
            self._say("  " + line.strip())
        await self._phones.start(rate=1)
        self._say("phones 1001 and 1002 are registered; 1001 calls 1002 once a second")
        for ear in (self._sweeper, self._enumerator, self._quiet):
            await ear.start()
        await asyncio.sleep(4)
        if self._phones.calls().completed == 0:
            raise CommandFailed("no honest call completes, even without an attack")

    async def _scanners(self, result: Result) -> None:
        self._say(f"{SWEEPER.address} starts svmap: OPTIONS to 254 addresses", fg="red")
        self._others.append(await sweep(self._network))
        await self._watch(self._sweeper)
        self._say(f"{ENUMERATOR.address} starts svwar: REGISTER for 400 extensions", fg="red")
        self._others.append(await enumerate_users(self._network))
        await self._watch(self._enumerator)
        await self._judge("svmap", self._sweeper, result)
        await self._judge("svwar", self._enumerator, result)

    async def _watch(self, ear: Ear) -> None:
        """Six seconds of an attack, and the block when it comes."""
        told = False
        for _ in range(6):
            await asyncio.sleep(1)
            heard, calls = ear.heard(), self._phones.calls()
            self._say(
                f"probes {heard.sent:4d}   replies {heard.received:3d}   "
                f"honest calls {calls.completed:3d} completed, {calls.failed} failed"
            )
            block = None if told else await self._protection.show(ear.host.address)
            for claim in block["claims"] if block else ():
                told = True
                self._say(f"blocked by {claim['origin']}: {claim['reason']}", fg="green")

    async def _judge(self, name: str, ear: Ear, result: Result) -> None:
        heard, block = ear.heard(), await self._protection.show(ear.host.address)
        since = min((claim["since"] for claim in block["claims"]), default=0.0) if block else 0.0
        took = since - (heard.first_sent or 0.0)
        dropped = int(block["packets"]) if block else 0
        result.row(f"{name}: probes sent", str(heard.sent), heard.sent > 2 * RATE_THRESHOLD)
        result.row(
            f"{name}: replies that leaked",
            str(heard.received),
            heard.received <= 3,
        )
        # Our ear may wake later than the controller: then it is less than nothing.
        result.row(
            f"{name}: first probe to block",
            f"{max(took, 0.0) * 1000:.0f} ms",
            block is not None and took < 1,
        )
        result.row(f"{name}: packets dropped in the switch", str(dropped), dropped > 0)

    async def _feed(self, result: Result) -> None:
        self._say(f"{QUIET.address} probes quietly, five OPTIONS a second", fg="red")
        self._others.append(await probe_quietly(self._network))
        await asyncio.sleep(3)
        before = self._quiet.heard()
        result.row("replies to the quiet prober, before", str(before.received), before.received > 5)
        expiry = int(time.time()) + 600
        self._say(f"redis-cli ZADD sdnblock:origin:honeypot {expiry} {QUIET.address}", fg="cyan")
        added = time.time()
        await self._protection.redis("ZADD", "sdnblock:origin:honeypot", str(expiry), QUIET.address)
        await asyncio.sleep(4)
        blocked = self._quiet.heard()
        stopped = (blocked.last_received or 0.0) - added
        silent = (blocked.last_sent or 0.0) - (blocked.last_received or 0.0) > 2
        result.row("ZADD to silence", f"{max(stopped, 0.0):.2f} s", silent and stopped < 1.2)
        self._say(f"redis-cli ZREM sdnblock:origin:honeypot {QUIET.address}", fg="cyan")
        await self._protection.redis("ZREM", "sdnblock:origin:honeypot", QUIET.address)
        await asyncio.sleep(3)
        after = self._quiet.heard()
        result.row(
            "replies after ZREM", str(after.received - blocked.received),
            after.received > blocked.received,
        )  # fmt: skip

    async def _balance(self, result: Result) -> None:
        calls = await self._phones.finish()
        result.row(
            "honest calls completed, failed", f"{calls.completed}, {calls.failed}",
            calls.completed >= 10 and calls.failed == 0,
        )  # fmt: skip
        for failure in self._protection.failures():
            result.row(failure, "", False)
        click.echo(await self._protection.cli("block", "list"))

    async def _clear(self) -> None:
        for ear in (self._sweeper, self._enumerator, self._quiet):
            await ear.stop()
        await self._phones.stop()
        for process in reversed(self._others):
            await process.stop(2)
        await self._protection.stop()
        for failure in await self._network.destroy():
            click.echo(failure, err=True)
