"""Open vSwitch under our controller: rates, and a block's way while 100,000 others load.

    python -m bench.openflow_bench [--entries 100000] [--runs 3]

The switch is the distribution's, with the datapath in user space, in a network namespace. A
block is in force when packets of its source no longer come out at the other side; a process
of its own sends them (``bench.urgent``), so that no clock of the controller is believed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.lab import Lab
from bench.passing import source
from demo.processes import Process, run
from demo.recipes import SDNBLOCK
from sdnblock.block import NEVER, Action, Source
from sdnblock.blocklist.claims import Claim
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.store import Store
from sdnblock.config import load_config
from sdnblock.switches.driver import BlockChange, Op
from sdnblock.switches.openflow.driver import OpenFlowDriver
from sdnblock.switches.openflow.listener import Listener

_PORT = 6653
_TOGETHER = 1000
_FILTER = re.compile(r"table 1:?.*?active=(\d+)", re.DOTALL)


@contextlib.asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    """An Open vSwitch, and everything but the controller."""
    made = Lab("ovs")
    try:
        await made.open()
        yield made
    finally:
        await made.close()


def openvswitch(where: Lab) -> Path:
    """The directory of its sockets."""
    return where.directory / "edge1-ovs"


# --- rates ------------------------------------------------------------------------------


async def ours(entries: int) -> tuple[float, float]:
    """Seconds to write so many entries, and to read their counters."""
    async with lab() as where:
        settings = load_config(where.config).switches[0]
        driver = OpenFlowDriver(settings, Listener(settings.address))
        try:
            await driver.connect()
            await driver.read_installed()
            changes = [
                BlockChange(Op.INSERT, Source(source(number)), Action.DROP)
                for number in range(entries)
            ]
            began = time.monotonic()
            failures = await driver.write(changes)
            written = time.monotonic() - began
            assert not failures, failures[0]
            began = time.monotonic()
            read = sum([len(counts) async for counts in driver.read_counters()])
            counted = time.monotonic() - began
            assert read == entries, read
        finally:
            await driver.close()
    return written, counted


async def theirs(entries: int) -> float:
    """Seconds in which os-ken's controller writes as many."""
    async with lab() as where:
        peer = await where.start(
            *("switch", "osken", "env", "OSKEN_HUB_TYPE=eventlet"),  # the faster one of its two
            *(sys.executable, "-m", "bench.osken_peer", str(_PORT), str(entries)),
        )
        database = f"unix:{openvswitch(where)}/db.sock"
        await run(
            *(*where.inside("switch"), "ovs-vsctl", f"--db={database}"),
            *("set-controller", "br0", f"tcp:127.0.0.1:{_PORT}"),
        )
        if await peer.wait(120):
            raise SystemExit(f"os-ken: {peer.words()}")
        return float(peer.words(1))


async def rates(entries: int, runs: int) -> None:
    """Ours and theirs in turn."""
    written, counted, peer = [], [], []
    for _ in range(runs):
        write, count = await ours(entries)
        written.append(entries / write)
        counted.append(count)
        peer.append(entries / await theirs(entries))
    print(
        f"{entries:,} flow entries into Open vSwitch by the driver:"
        f" median {statistics.median(written):,.0f} a second, least {min(written):,.0f}"
        f" ({runs} times; the aim is 20,000)"
    )
    print(
        f"  by os-ken's own controller, without a look at errors:"
        f" median {statistics.median(peer):,.0f} a second, least {min(peer):,.0f}"
    )
    print(
        f"{entries:,} flow counters read back: median {statistics.median(counted):.2f} s,"
        f" worst {max(counted):.2f} s (the aim is 3 s)"
    )


# --- one block while others load ----------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """One load: seconds that it took, and of the blocks made before and meanwhile."""

    seconds: float
    before: list[float]
    meanwhile: list[float]


async def held(where: Lab) -> int:
    """Flows in the table of the blocks; a cheap question."""
    out = await run(
        *(*where.inside("switch"), "ovs-ofctl", "-O", "OpenFlow13", "dump-tables"),
        f"unix:{openvswitch(where)}/br0.mgmt",
    )
    found = _FILTER.search(out)
    return int(found.group(1)) if found else 0


async def probing(where: Lab) -> Process:
    """Blocks are made one after the other, and probed, until :func:`probed`."""
    return await where.start(
        "outside", "urgent", sys.executable, "-m", "bench.urgent", where.redis_socket
    )


async def probed(prober: Process) -> list[tuple[float, float]]:
    """When each block was written, and seconds until it was in force."""
    await prober.stop(60)
    try:
        found: list[tuple[float, float]] = json.loads(prober.words(1))
    except ValueError:
        raise SystemExit(f"the probe: {prober.words()}") from None
    return found


async def until_held(where: Lab, entries: int) -> float:
    """Wait until it holds so many; when that was."""
    began = time.monotonic()
    for _ in range(900):
        found = await held(where)
        now = time.monotonic()
        if found >= entries:
            return now
        await asyncio.sleep(0.2)
    raise SystemExit(f"not loaded within {now - began:.0f} s: {found} of {entries} entries")


async def imported(where: Lab, entries: int) -> float:
    """A running controller is given a feed's list by ``sdnblock block import``."""
    listed = where.directory / "feed.txt"
    addresses = (".".join(map(str, source(number))) for number in range(entries))
    listed.write_text("\n".join((*addresses, "")))
    began = time.monotonic()
    await run(
        *(SDNBLOCK, "--config", where.config, "block", "import", listed),
        *("--origin", "feed", "--for", "forever", "--force"),
        seconds=120,
    )
    return began


async def hinted(where: Lab, entries: int) -> float:
    """Another program writes the same by the library, with a hint for each."""
    settings = load_config(where.config).redis
    redis = await open_redis(settings)
    store = Store(redis, settings.keys())
    began = time.monotonic()
    for at in range(0, entries, _TOGETHER):
        numbers = range(at, min(at + _TOGETHER, entries))
        claims = [
            Claim(Source(source(number)), "feed", Action.DROP, NEVER, "bench") for number in numbers
        ]
        await store.add(claims)
    await redis.aclose()
    return began


Feed = Callable[[Lab, int], Awaitable[float]]
"""Writes so many claims into the block list; returns when it began."""


async def load(entries: int, quiet: float, feed: Feed) -> Load:
    """One load of so many entries."""
    async with lab() as where:
        controller = await where.controller()
        await controller.until_logged("in sync")
        idle = await held(where)
        prober = await probing(where)
        await asyncio.sleep(quiet)
        feeding = asyncio.ensure_future(feed(where, entries))
        ended = await until_held(where, idle + entries)
        began = await feeding
        found = await probed(prober)
    return Load(
        ended - began,
        [took for at, took in found if at < began],
        [took for at, took in found if began <= at <= ended],
    )


def line(what: str, seconds: Sequence[float]) -> str:
    """Median, 99th percentile and worst."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return (
        f"{what}: median {statistics.median(ordered) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms,"
        f" worst {ordered[-1] * 1000:.1f} ms ({len(ordered)} times)"
    )


async def comparing(entries: int, quiet: float) -> list[float]:
    """Blocks while the switch, which holds so many entries, is read and compared all the time."""
    async with lab() as where:
        with where.config.open("a") as config:
            config.write("[controller]\nresync_interval = 1.0\n")
        controller = await where.controller()
        await controller.until_logged("in sync")
        idle = await held(where)
        await imported(where, entries)
        await until_held(where, idle + entries)
        await asyncio.sleep(2.0)
        prober = await probing(where)
        await asyncio.sleep(quiet)
        return [took for _, took in await probed(prober)]


async def under_load(entries: int, runs: int, feed: Feed, name: str) -> None:
    """Several loads, each of a new switch."""
    found = [await load(entries, 3.0, feed) for _ in range(runs)]
    print(
        f"{entries:,} blocks by {name} -> all in Open vSwitch, others among them:"
        f" median {statistics.median(each.seconds for each in found):.1f} s"
    )
    print(line("one block -> in force, idle", [t for each in found for t in each.before]))
    print(
        line(
            f"one block -> in force, while {entries:,} others load by {name}",
            [t for each in found for t in each.meanwhile],
        )
        + " (the aim: p99 50 ms)"
    )


async def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=["rates", "import", "hints", "compare"])
    options = parser.parse_args()
    only = options.only
    if only in (None, "rates"):
        await rates(options.entries, options.runs)
    if only in (None, "import"):
        await under_load(options.entries, options.runs, imported, "sdnblock block import")
    if only in (None, "compare"):
        what = f"one block -> in force, while {options.entries:,} entries are read and compared"
        print(line(what, await comparing(options.entries, 30.0)))
    if only in (None, "hints"):
        await under_load(options.entries, options.runs, hinted, "a program, a hint for each")


if __name__ == "__main__":
    asyncio.run(main())
