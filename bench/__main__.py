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
from typing import Final

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
RUNS = 3

_ROOT: Final = Path(__file__).resolve().parent.parent
_NATIVE: Final = _ROOT / ".venv-native/bin/python"
_BOTH: Final = frozenset({"replay_bench", "hep_bench"})
"""Benchmarks that are run as machine code, too."""


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


def peak_memory(process: Process) -> float:
    """The most resident MB that a process had."""
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


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


async def startup(lab: Lab) -> tuple[float, int, float]:
    """A controller started over a full block list and an empty switch.

    Returns (seconds until all is in force, blocked sources that got through, MB at most).
    """
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
    await redis.aclose()
    began = time.monotonic()
    controller = await lab.controller()
    await controller.until_logged("in sync", 120)
    took = time.monotonic() - began
    leaked = await lab.passing(BLOCKS, 100)
    await asyncio.sleep(12)  # the counters are read once meanwhile
    return took, leaked, peak_memory(controller)


async def whole_loop() -> None:
    """Latency and start, on a switch of their own each."""
    lab = Lab()
    try:
        await lab.open()
        await latency(lab)
    finally:
        await lab.close()
    found = []
    for _ in range(RUNS):
        lab = Lab()
        try:
            await lab.open()
            found.append(await startup(lab))
        finally:
            await lab.close()
    times = [took for took, _, _ in found]
    print(
        f"{BLOCKS:,} blocks in Redis -> all in force after starting sdnblock run:"
        f" median {statistics.median(times):.2f} s, worst {max(times):.2f} s ({RUNS} times);"
        f" of {BLOCKS // 100 * RUNS:,} blocked sources tried,"
        f" {sum(leaked for _, leaked, _ in found)} got through"
    )
    print(
        f"memory of the controller with {BLOCKS:,} blocks:"
        f" {max(most for _, _, most in found):.0f} MB at its highest"
    )


async def parts() -> None:
    """The parts, each by its own benchmark."""
    for name in (
        *("xdp_bench", "switchd_bench", "driver_bench", "redis_bench", "replay_bench"),
        *("hep_bench", "codec_bench", "openflow_bench"),
    ):
        print(f"\n{name}")
        print((await run(sys.executable, "-m", f"bench.{name}", seconds=600)).strip())
        if name in _BOTH:
            found = await run(_NATIVE, _ROOT / "bench/native.py", f"bench.{name}", seconds=600)
            print(f"the same as machine code (make native)\n{found.strip()}")


async def main() -> None:
    """Everything, one after the other."""
    if not _NATIVE.exists():
        sys.exit(
            "there is no machine code to measure: make native builds it (make bench does, too)"
        )
    print(machine())
    await whole_loop()
    await parts()


if __name__ == "__main__":
    asyncio.run(main())
