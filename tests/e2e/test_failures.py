"""What is killed comes back, and no drop is missing meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
    async with never_passing(it, stays):
        await it.protection.start_controller()
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
    async with never_passing(it, stays):
        await asyncio.sleep(0.5)
        await it.protection.start_redis()
        await it.feed(new)
        await it.wire.until(new, False, seconds=20)
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
    else:
        assert not await it.wire.alive(), "it has not been killed"
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


@asynccontextmanager
async def never_passing(it: World, source: str) -> AsyncIterator[None]:
    """No datagram of a blocked source passes meanwhile, nor within a second after it."""
    passed = sent = 0
    over: float | None = None

    async def watch() -> None:
        nonlocal passed, sent
        while over is None or time.monotonic() < over:
            passed += await it.wire.passing(source, 5)
            sent += 5
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    try:
        yield
        over = time.monotonic() + 1
        await watching
    finally:
        watching.cancel()
    assert sent > 50
    assert passed == 0, f"of {sent} datagrams"
