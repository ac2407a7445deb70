"""What is killed comes back, and no drop is missing meanwhile."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.e2e.world import World

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="session")]

FREE = "203.0.113.2"


async def test_drops_outlive_a_killed_controller_and_the_next_one_catches_up(it: World) -> None:
    stays, goes, new = "203.0.113.81", "203.0.113.82", "203.0.113.83"
    for source in (stays, goes):
        await it.feed(source)
        await it.wire.until(source, False)
    await it.protection.kill_controller()
    await it.unfeed(goes)
    await it.feed(new)
    await asyncio.sleep(0.5)
    assert [await it.wire.passes(s) for s in (stays, goes, new, FREE)] == [
        *(False, False, True, True)
    ]
    watching = asyncio.create_task(never_passes(it, stays))
    await it.protection.start_controller()
    assert await watching == 0
    assert [await it.wire.passes(s) for s in (stays, goes, new, FREE)] == [
        *(False, True, False, True)
    ]
    for source in (stays, new):
        await it.unfeed(source)
        await it.wire.until(source, True)


async def test_drops_outlive_an_emptied_redis(it: World) -> None:
    stays, new = "203.0.113.85", "203.0.113.86"
    await it.feed(stays)
    await it.wire.until(stays, False)
    await it.protection.kill_redis()
    await asyncio.sleep(0.5)
    watching = asyncio.create_task(never_passes(it, stays))
    await it.protection.start_redis()
    await it.feed(new)
    await it.wire.until(new, False, seconds=20)
    assert await watching == 0
    assert await it.wire.passes(FREE)
    shown = await it.protection.show(stays)
    assert shown is not None and shown["effective"] == "drop", "it is in the new Redis too"
    for source in (stays, new):
        await it.protection.cli("block", "remove", source)
        await it.wire.until(source, True)


async def test_a_killed_switch_comes_back_with_every_drop(it: World) -> None:
    stays, new = "203.0.113.88", "203.0.113.89"
    switch = it.switch
    await it.feed(stays)
    await it.wire.until(stays, False)
    await switch.kill()
    if switch.kind == "xdp":  # its drops are the kernel's, and the next switchd takes them over
        assert [await it.wire.passes(s) for s in (stays, FREE)] == [False, True]
    await it.feed(new)
    await switch.revive()
    deadline = time.monotonic() + 30
    while not await it.wire.alive():
        assert time.monotonic() < deadline, "nothing passes any more"
    await it.wire.until(new, False, seconds=20)
    assert not await it.wire.passes(stays)
    assert await it.wire.passing(FREE, 10) == 10
    if switch.kind == "xdp":
        controller = it.protection.controller
        assert controller is not None
        assert "pipeline replaced" not in controller.said().split("in sync", 1)[1]
    for source in (stays, new):
        await it.unfeed(source)
        await it.wire.until(source, True)


async def never_passes(it: World, source: str, seconds: float = 2.5) -> int:
    """How many datagrams of a blocked source pass within some time."""
    passed, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        passed += await it.wire.passing(source, 5)
        await asyncio.sleep(0.01)
    return passed
