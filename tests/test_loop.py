"""The first whole loop on real packets: one Redis command to a drop in a switch, and its
counter back; over a real switchd on XDP, and the same over a real BMv2."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator

import pytest

from bench.lab import Lab
from demo.processes import Process, run

SOURCES = 40
"""11.0.0.0 to 11.0.0.39 send a frame each in every round."""

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

no_bmv2 = shutil.which("simple_switch_grpc") is None
KINDS = [
    "xdp",
    pytest.param(
        "bmv2",
        marks=[
            pytest.mark.bmv2,
            pytest.mark.skipif(no_bmv2, reason="simple_switch_grpc is not on the PATH"),
        ],
    ),
]


@pytest.fixture(params=KINDS)
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    made = Lab(request.param)
    try:
        await made.open()
        yield made
    finally:
        await made.close()


async def started(lab: Lab) -> Process:
    controller = await lab.controller()
    await controller.until_logged("in sync")
    return controller


async def until_passing(lab: Lab, expected: int, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while (found := await lab.passing(SOURCES)) != expected:
        assert time.monotonic() < deadline, f"{found} of {SOURCES} pass, not {expected}"


async def show(lab: Lab, target: str) -> dict[str, object]:
    out = await run(
        *lab.inside("switch"), lab.sdnblock, "--config", lab.config, "block", "show", target,
        "-o", "json",
    )  # fmt: skip
    found: dict[str, object] = json.loads(out)
    return found


async def test_one_redis_command_to_a_dropped_packet_and_its_counter_back(lab: Lab) -> None:
    await started(lab)
    assert await lab.passing(SOURCES) == SOURCES
    await lab.redis("ZADD", "sdnblock:origin:honeypot", "+inf", "11.0.0.5")
    await until_passing(lab, SOURCES - 1)
    assert await lab.passing(SOURCES) == SOURCES - 1
    for _ in range(100):
        counted = (await show(lab, "11.0.0.5"))["packets"]
        if counted:
            break
        await asyncio.sleep(0.2)
    assert isinstance(counted, int) and counted >= 1
    # A prefix over it, an exception within it.
    await lab.redis("ZADD", "sdnblock:origin:honeypot", "+inf", "11.0.0.0/28")
    await until_passing(lab, SOURCES - 16)
    await lab.redis("ZADD", "sdnblock:allow", "+inf", "11.0.0.8/29")
    await until_passing(lab, SOURCES - 8)
    await lab.redis("DEL", "sdnblock:allow")
    await until_passing(lab, SOURCES - 16)
    # A flow: the bench's frames all go from port 40000 to 198.51.100.9:5060.
    flow = "udp:11.0.0.30:40000>198.51.100.9:5060"
    await lab.redis("ZADD", "sdnblock:origin:operator", str(time.time() + 4), flow)
    await until_passing(lab, SOURCES - 17)
    await lab.redis("DEL", "sdnblock:origin:honeypot")
    await until_passing(lab, SOURCES)  # the flow's block has expired by itself


async def test_drops_outlive_the_controller(lab: Lab) -> None:
    controller = await started(lab)
    await lab.redis("ZADD", "sdnblock:origin:feed", "+inf", "11.0.0.5", "+inf", "11.0.0.6")
    await until_passing(lab, SOURCES - 2)
    os.kill(controller.pid, signal.SIGKILL)
    await controller.wait(5)
    assert await lab.passing(SOURCES) == SOURCES - 2
    await lab.redis("ZREM", "sdnblock:origin:feed", "11.0.0.6")
    assert await lab.passing(SOURCES) == SOURCES - 2
    await started(lab)
    await until_passing(lab, SOURCES - 1)


async def test_a_killed_switch_comes_back_with_every_drop() -> None:
    """XDP goes on dropping while nobody is there, and the next switchd takes it over."""
    lab = Lab("xdp")
    try:
        await lab.open()
        controller = await started(lab)
        switchd = next(p for p in lab.processes if p.name.startswith("switch-"))
        await lab.redis("ZADD", "sdnblock:origin:feed", "+inf", "11.0.0.5")
        await until_passing(lab, SOURCES - 1)
        os.kill(switchd.pid, signal.SIGKILL)
        await switchd.wait(5)
        assert await lab.passing(SOURCES) == SOURCES - 1
        await lab.switch()
        assert await lab.passing(SOURCES) == SOURCES - 1
        await lab.redis("ZADD", "sdnblock:origin:feed", "+inf", "11.0.0.6")
        await until_passing(lab, SOURCES - 2, 20)
        assert controller.running
        assert "pipeline replaced" not in controller.log.read_text().split("in sync", 1)[1]
    finally:
        await lab.close()
