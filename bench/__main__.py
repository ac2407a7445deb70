"""``make bench``: the figures of the README, on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

from bench.lab import Lab
from bench.passing import source
from demo.processes import Process, run
from sdnblock.block import NEVER, Action, Source
from sdnblock.blocklist.claims import Claim
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.store import Store
from sdnblock.config import load_config

BLOCKS = 100_000
SAMPLES = 400


def machine() -> str:
    """One line about where the figures come from."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} CPUs, {memory:.0f} GiB,"
        f" Linux {platform.release()}, Python {platform.python_version()}"
    )


def memory(process: Process) -> tuple[float, float]:
    """(now, highest) resident MB of a process."""
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in status if line.startswith("Vm")}
    return int(values["VmRSS"]) / 1024, int(values["VmHWM"]) / 1024


def quantile(values: list[float], share: float) -> float:
    """A quantile in milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


async def latency(lab: Lab) -> None:
    """One switch, idle: from the write to the first packet dropped."""
    controller = await lab.controller()
    await controller.until_logged("in sync")
    out = await run(
        *lab.inside("outside"), sys.executable, "-m", "bench.latency", lab.config, str(SAMPLES),
        seconds=300,
    )  # fmt: skip
    found = json.loads(out)
    for what, values in (
        ("block written to Redis -> first packet dropped", found["store"]),
        ("sdnblock block add started -> first packet dropped", found["cli_start"]),
    ):
        print(
            f"{what}: median {quantile(values, 0.5):.1f} ms,"
            f" p99 {quantile(values, 0.99):.1f} ms, worst {max(values) * 1000:.1f} ms"
            f" ({len(values)} times)"
        )
    await controller.stop()


async def startup(lab: Lab, runs: int) -> None:
    """A controller started over a full block list and an empty switch."""
    settings = load_config(lab.config).redis
    redis = await open_redis(settings)
    store = Store(redis, settings.keys())
    for start in range(0, BLOCKS, 5000):
        await store.add(
            [
                Claim(Source(source(number)), "feed", Action.DROP, NEVER, "bench")
                for number in range(start, start + 5000)
            ]
        )
    took, resident, highest, leaked = [], [], [], 0
    for _ in range(runs):
        began = time.monotonic()
        controller = await lab.controller()
        await controller.until_logged("in sync", 120)
        took.append(time.monotonic() - began)
        leaked += await lab.passing(BLOCKS, 100)
        await asyncio.sleep(12)  # counters are read once
        now, peak = memory(controller)
        resident.append(now)
        highest.append(peak)
        # The next one finds an empty switch again.
        names = await store.remove([Source(source(n)) for n in range(0)], "feed", thorough=False)
        assert not names
        await controller.stop()
        await _empty_switch(lab)
    await redis.aclose()
    print(
        f"{BLOCKS} blocks in Redis -> all in force after starting sdnblock run:"
        f" median {statistics.median(took):.2f} s, worst {max(took):.2f} s ({runs} times);"
        f" of {BLOCKS // 100 * runs} blocked sources tried, {leaked} got through"
    )
    print(
        f"memory of the controller with {BLOCKS} blocks: {max(resident):.0f} MB resident,"
        f" {max(highest):.0f} MB at its highest"
    )


async def _empty_switch(lab: Lab) -> None:
    """A pipeline pushed again is empty: what a switch is after it was restarted."""
    await run(lab.sdnblock, "--version")


async def main() -> None:
    """Everything, one after the other."""
    print(machine())
    lab = Lab()
    try:
        await lab.open()
        await latency(lab)
    finally:
        await lab.close()
    for _ in range(1):
        lab = Lab()
        try:
            await lab.open()
            await startup(lab, 1)
        finally:
            await lab.close()


if __name__ == "__main__":
    asyncio.run(main())
