"""Switches of several kinds under one controller at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from demo.network import SERVER_NET, Host, Network
from demo.protection import Protection
from demo.recipes import Place
from demo.whitebox import WhiteBox
from sdnblock.block import NEVER, Action, parse_target
from sdnblock.blocklist.claims import Claim
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.store import Store
from sdnblock.config import load_config
from tests.e2e.sockets import Wire
from tests.e2e.world import missing

IN_FORCE = 0.1
"""Seconds within which a block must be in force on every switch."""
BLOCKS = 40
UNPLUGGED = 10
"""Blocks while one switch is unplugged."""

CASES = [
    pytest.param(
        kinds,
        id="-".join(kinds),
        marks=[
            *(pytest.mark.skipif(bool(missing(k)), reason=missing(k)) for k in kinds),
            *([pytest.mark.bmv2] if "bmv2" in kinds else []),
        ],
    )
    for kinds in (("xdp", "ovs"), ("xdp", "ovs", "bmv2"))
]


class Switches:
    """A switch of each kind given, each between an outside and an inside of its own."""

    def __init__(self, kinds: Sequence[str], directory: Path) -> None:
        roles = [f"switch{number}" for number in range(len(kinds))]
        hosts = [
            host
            for number, role in enumerate(roles)
            for host in (
                Host(f"out{number}", "203.0.113.66", 1, "203.0.113.0/24", role),
                Host(f"in{number}", "198.51.100.10", 2, SERVER_NET, role),
            )
        ]
        self.network = Network(directory, hosts)
        self.boxes = [
            WhiteBox(
                *(self.network, role, kind),
                Place(
                    *(role, os.getpid() * 10 + number, directory),
                    *(self.network.ports(role), (2,)),
                ),
            )
            for number, (role, kind) in enumerate(zip(roles, kinds, strict=True))
        ]
        self.protection = Protection(self.network, directory, "", self.boxes)
        self.wires: list[Wire] = []
        self._store: Store | None = None

    async def open(self, stack: AsyncExitStack) -> None:
        """Start everything; ``stack`` gets what takes it down."""
        stack.push_async_callback(self.network.destroy)
        await self.network.create()
        stack.push_async_callback(self.protection.stop)
        await self.protection.start()
        settings = load_config(self.protection.config).redis
        client = await open_redis(settings)
        stack.push_async_callback(client.aclose)
        self._store = Store(client, settings.keys())
        for number in range(len(self.boxes)):
            names = (self.network.namespace(f"{side}{number}") for side in ("out", "in"))
            self.wires.append(Wire(*names))
            stack.callback(self.wires[-1].close)

    async def block(self, source: str) -> float:
        """Block a source as our own writers do; when that began, by the monotonic clock."""
        assert self._store is not None, "not open yet"
        began = time.monotonic()
        claim = Claim(parse_target(source), "operator", Action.DROP, NEVER, "a test")
        await self._store.add([claim])
        return began


@asynccontextmanager
async def switches(kinds: Sequence[str]) -> AsyncIterator[Switches]:
    """Several switches, taken down at the end whatever happens."""
    directory = Path(tempfile.mkdtemp(prefix="sdnblock-e2e-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        made = Switches(kinds, directory)
        await made.open(stack)
        yield made


async def delays(made: Switches, wires: Sequence[Wire], first: int, blocks: int) -> list[float]:
    """For each of some blocks: how long after the command it is in force on all of ``wires``."""
    found = []
    for number in range(first, first + blocks):
        source = f"203.0.113.{number}"
        assert all([await wire.passes(source) for wire in wires])
        began = await made.block(source)
        await asyncio.gather(*(wire.until(source, False, pause=0.002) for wire in wires))
        found.append(time.monotonic() - began)
    return found


def within(found: Sequence[float], what: str) -> None:
    """Print how long it took, and fail unless half of it was in time: machines have other work."""
    middle, most = statistics.median(found), max(found)
    print(
        f"{what}: a block is in force on all within {middle * 1000:.1f} ms (median),"
        f" {most * 1000:.1f} ms (worst of {len(found)})"
    )
    assert middle < IN_FORCE, found


@pytest.mark.root
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kinds", CASES)
async def test_one_block_on_all_switches_and_one_unplugged(kinds: tuple[str, ...]) -> None:
    async with switches(kinds) as made:
        within(await delays(made, made.wires, 1, BLOCKS), " + ".join(kinds))
        for number, box in enumerate(made.boxes):
            first = 100 + 20 * number
            others = [wire for wire in made.wires if wire is not made.wires[number]]
            box.processes[-1].signal(signal.SIGSTOP)  # unplugged: it says no good-bye
            found = await delays(made, others, first, UNPLUGGED)
            within(found, f"{box.kind} unplugged, on the others")
            await box.kill()
            await box.revive()
            wire, deadline = made.wires[number], time.monotonic() + 30
            while not await wire.alive():
                assert time.monotonic() < deadline, f"{box.kind} does not come back"
            for source in ("203.0.113.1", f"203.0.113.{first}"):
                await wire.until(source, False, seconds=30)
        assert made.protection.failures() == []
