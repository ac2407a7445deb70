"""The hub: everything told again, part by part, while somebody goes on telling."""

from __future__ import annotations

import asyncio
import gc
import math
import time
from contextlib import suppress

import pytest

from sdnblock.block import Action, Source, Target, parse_prefix
from sdnblock.blocklist.claims import ClaimKey
from sdnblock.blocklist.safety import Safety, SafetySettings
from sdnblock.controller import sweeping
from sdnblock.controller.hub import Hub
from sdnblock.controller.sweeping import Sweeping
from sdnblock.detect.registry import NAMES

FEED, SCANNER = ClaimKey("feed", Action.DROP), ClaimKey("scanner", Action.DROP)
OLD = ClaimKey("old", Action.WATCH)


def host(number: int) -> Source:
    return Source((0x0B000000 + number).to_bytes(4, "big"))


class Listening:
    """What a switch would hear."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.parts: list[set[Target]] = []
        self.urgent: set[Target] = set()
        self.actions: dict[Target, Action | None] = {}
        hub.listen(self.hear)

    def hear(self, targets: set[Target], allows: bool, urgent: bool) -> None:
        self.parts.append(targets)
        if urgent:
            self.urgent |= targets
        self.actions |= {target: self.hub.plan.action(target) for target in targets}


def made() -> tuple[Hub, Listening]:
    hub = Hub(Safety(SafetySettings()), (), NAMES, time.time)
    listening = Listening(hub)
    claims: dict[ClaimKey, dict[Target, float]] = {OLD: {host(9): math.inf}}
    claims[FEED] = {host(number): math.inf for number in range(3000)}
    hub.load(claims, {})
    return hub, listening


async def test_everything_again_is_told_in_parts_and_only_what_differs() -> None:
    hub, listening = made()
    listening.parts.clear()
    wanted: dict[Target, float] = {host(number): math.inf for number in range(1000, 4000)}
    await hub.load_again({FEED: wanted}, {parse_prefix("11.0.8.0/32"): math.inf})
    assert set(hub.blocks.targets()) == wanted.keys()
    told = [target for part in listening.parts for target in part]
    assert set(told) == {*map(host, range(1000)), *map(host, range(3000, 4000)), host(2048)}
    assert max(map(len, listening.parts)) <= 100 and not listening.urgent
    assert hub.plan.action(host(2048)) is None  # on the allowlist


async def test_what_is_put_while_everything_is_told_again_stays() -> None:
    """Redis came back; meanwhile a detector convicts, and an operator takes back."""
    hub, listening = made()
    again = asyncio.create_task(hub.load_again({FEED: {host(1): math.inf, host(2): math.inf}}, {}))
    await asyncio.sleep(0)
    hub.put(SCANNER, host(70_000), math.inf)  # of a key that Redis does not know of
    hub.put(FEED, host(2999), math.inf)
    hub.put(FEED, host(1), None)
    await again
    assert set(hub.blocks.targets()) == {host(2), host(2999), host(70_000)}
    assert listening.urgent == {host(70_000), host(1)}
    held = {target for target, action in listening.actions.items() if action is not None}
    assert held == set(hub.blocks.targets())


async def test_a_key_that_is_no_sorted_set_any_more_is_let_go_in_parts() -> None:
    hub, listening = made()
    listening.parts.clear()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    await hub.replace(FEED, {})
    task.cancel()
    assert set(hub.blocks.targets()) == {host(9)}
    assert turns >= 50 and max(map(len, listening.parts)) <= 100


def test_a_detector_without_end_is_not_urgent() -> None:
    hub, listening = made()
    for number in range(10_000, 10_500):
        hub.put(SCANNER, host(number), math.inf)
    assert 100 <= len(listening.urgent) < 300
    hub.put(FEED, host(20_000), math.inf)
    assert host(20_000) in listening.urgent
    assert len(listening.actions) >= 3500


async def test_the_collector_is_left_as_it_was() -> None:
    before = gc.get_threshold()
    task = asyncio.create_task(Sweeping(lambda: False).run())
    await asyncio.sleep(0)
    assert gc.get_threshold()[:2] == before[:2] and gc.get_threshold()[2] > 1_000_000
    assert gc.get_freeze_count() > 0
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0


async def test_everything_is_collected_after_work_and_not_in_the_middle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swept: list[float] = []
    monkeypatch.setattr(sweeping, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(sweeping, "_QUIET", 0.1)
    monkeypatch.setattr(sweeping, "_sweep", lambda: swept.append(time.monotonic()))
    busy = True
    task = asyncio.create_task(Sweeping(lambda: busy).run())
    await asyncio.sleep(0.3)
    assert len(swept) == 1  # at the start
    busy, ended = False, time.monotonic()
    await asyncio.sleep(0.5)
    assert len(swept) == 2 and swept[1] - ended >= 0.05  # once, when it has been quiet
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
