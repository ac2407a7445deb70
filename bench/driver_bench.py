"""How fast the P4Runtime driver fills, reads and empties a switch.

    python bench/driver_bench.py [--address 127.0.0.1:9559] [--entries 100000]

Without an address it starts our own server over a data plane in memory, in a
process of its own. Everything in the switch's block tables that is not among the benchmark's own
targets is left alone; its own (11.0.0.0 and up) are deleted at the end. The
switch gets sdnblock's pipeline if it has another.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from multiprocessing.synchronize import Event

from sdnblock.block import Action, Source
from sdnblock.softswitch.device import Device
from sdnblock.softswitch.listen import listen
from sdnblock.softswitch.memory import MemoryDataplane
from sdnblock.switches.driver import BlockChange, Op
from sdnblock.switches.p4runtime.driver import P4RuntimeDriver
from sdnblock.switches.settings import SwitchSettings


class Stalls:
    """The longest time for which the event loop did nothing else."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self.worst = 0.0

    async def watch(self) -> None:
        """Measure for ever."""
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            self.worst = max(self.worst, time.perf_counter() - started - 0.001)


@contextlib.asynccontextmanager
async def timed(what: str, count: int, stalls: Stalls) -> AsyncIterator[None]:
    """Print how long the body took for ``count`` things."""
    await asyncio.sleep(0.01)
    stalls.worst = 0.0
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{what:28} {seconds:8.3f} s {count / seconds:10.0f} /s"
        f"   longest stall {stalls.worst * 1000:5.1f} ms   memory {memory} MB"
    )


async def bench(driver: P4RuntimeDriver, entries: int, stalls: Stalls) -> None:
    """Connect, insert, read, count, modify, write one by one, delete."""
    async with timed("connect", 1, stalls):
        await driver.connect()
    print(driver.status.description)
    targets = [Source((0x0B000000 + at * 7 + 1).to_bytes(4, "big")) for at in range(entries)]

    def changes(op: Op, action: Action) -> list[BlockChange]:
        return [BlockChange(op, target, action) for target in targets]

    for what, op, action in (
        ("insert (drop)", Op.INSERT, Action.DROP),
        ("modify (to watch)", Op.MODIFY, Action.WATCH),
    ):
        todo = changes(op, action)
        async with timed(what, entries, stalls):
            failures = await driver.write(todo)
        assert not failures, failures[0]
    async with timed("read installed", entries, stalls):
        installed = await driver.read_installed()
    assert len(installed.blocks) >= entries
    async with timed("read counters", entries, stalls):
        async for _ in driver.read_counters():
            pass
    limited = [BlockChange(Op.MODIFY, target, Action.LIMIT) for target in targets[:10_000]]
    async with timed("modify (10,000 to limit)", len(limited), stalls):
        assert not await driver.write(limited)
    todo = changes(Op.DELETE, Action.DROP)
    async with timed("delete", entries, stalls):
        failures = await driver.write(todo)
    assert not failures, failures[0]
    await one_by_one(driver)


async def one_by_one(driver: P4RuntimeDriver) -> None:
    """How long a single insert takes from call to return."""
    taken = []
    for at in range(1000):
        target = Source((0x0A000001 + at).to_bytes(4, "big"))
        started = time.perf_counter()
        await driver.write([BlockChange(Op.INSERT, target, Action.DROP)])
        taken.append(time.perf_counter() - started)
        await driver.write([BlockChange(Op.DELETE, target, Action.DROP)])
    taken.sort()
    print(
        f"one insert: median {taken[500] * 1000:.2f} ms, 99th percentile {taken[990] * 1000:.2f} ms"
    )


@contextlib.asynccontextmanager
async def connected(address: str, device_id: int) -> AsyncIterator[P4RuntimeDriver]:
    """A driver that is closed in the end."""
    driver = P4RuntimeDriver(SwitchSettings("bench", address, device_id))
    try:
        yield driver
    finally:
        await driver.close()


def serve(address: str, ready: Event) -> None:
    """Our server over a data plane in memory, for ever."""

    async def run() -> None:
        listener = await listen(Device(MemoryDataplane()), address)
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            await listener.stop()

    asyncio.run(run())


@contextlib.contextmanager
def memory_switch() -> Iterator[str]:
    """A switch in a process of its own; gives its address."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        address, ready = f"unix:{folder}/switch", spawn.Event()
        process = spawn.Process(target=serve, args=(address, ready), daemon=True)
        process.start()
        if not ready.wait(30):
            raise SystemExit("the switch in memory does not start")
        try:
            yield address
        finally:
            process.kill()
            process.join()


async def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--address")
    parser.add_argument("--device-id", type=int, default=1)
    parser.add_argument("--entries", type=int, default=100_000)
    options = parser.parse_args()
    print(f"{platform.node()}: {os.cpu_count()} x {platform.machine()}, {platform.release()}")
    stalls = Stalls()
    watching = asyncio.create_task(stalls.watch())
    with contextlib.ExitStack() as stack:
        address = options.address or stack.enter_context(memory_switch())
        async with connected(address, options.device_id) as driver:
            await bench(driver, options.entries, stalls)
    watching.cancel()


if __name__ == "__main__":
    asyncio.run(main())
