"""A step of each kind from every state of a slot, in both P4 programs, over small numbers.

The states of a slot (whose, how old, how much) are put into the registers of both programs
alike; a packet comes; both must say the same, and their slots must again mean the same. Since
that holds for every state and every packet, it holds for every sequence of packets, within the
numbers tried. Once with the clock in the middle of its range, once where Tofino's wraps.
"""

from __future__ import annotations

import itertools
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.dataplane import packets as p
from tests.dataplane.corpus import BASE, KINDS_2XX, KINDS_401, KINDS_404, collision, n4
from tests.dataplane.packets import Packet
from tests.dataplane.scenario import Scenario, TableEntry
from tests.p4model import tna, v1model
from tests.p4model.switch import Switch
from tests.p4model.values import Bits, Record

pytestmark = pytest.mark.skipif(shutil.which("clang") is None, reason="clang is the preprocessor")

ADDRESS = "203.0.113.7"
OTHER = collision(ADDRESS)
SLOT = zlib.crc32(bytes(10) + b"\xff\xff" + n4(ADDRESS).to_bytes(4, "big")) & 0xFFFF
NARROW = SLOT & 0x3FFF
"""Its slot in the registers of which a Tofino has fewer (SMALL of p4/tofino/sizes.h)."""
TICK, UNIT = 1024e-6, 65536e-9
WRAP = 2**48 / 1e9
"""Seconds after which Tofino's clock begins again."""
CLOCKS = (5000.0, WRAP, WRAP - 0.3)
LONG, SHORT = 2000, 500
"""Ticks: what is remembered or waited for, and an age well within it."""


@dataclass(frozen=True)
class Slot:
    """What a slot of the walk means."""

    owner: str | None
    old: bool
    score: int
    challenged: bool
    held: str
    """no, over, or yes"""


def slots() -> Iterator[Slot]:
    """Every state, over small numbers: a score reaches 4 at most."""
    for owner, old, score, challenged, held in itertools.product(
        (ADDRESS, OTHER), (False, True), range(4), (False, True), ("no", "over", "yes")
    ):
        yield Slot(owner, old, score, challenged, held)
    yield Slot(None, False, 0, False, "no")


def remote(address: str) -> int:
    return 0xFFFF << 32 | n4(address)


def cells(switch: Switch, register: str) -> dict[int, Any]:
    found: dict[int, Any] = getattr(switch.interpreter.externs[register], "cells")  # noqa: B009
    return found


def ticks(switch: Switch) -> int:
    return int(switch.clock.now * 1e6) >> 10


def units(switch: Switch) -> int:
    return int(switch.clock.now * 1e9) >> 16


def key(switch: Switch, address: str) -> Record:
    record = switch.interpreter.globals.find("key_t")
    value = remote(address)
    return Record(record, {"high": Bits(value >> 32, 32), "low": Bits(value, 32)})


def put_v1(switch: Switch, slot: Slot) -> None:
    if slot.owner is None:
        return
    now = ticks(switch)
    until = {"no": 0, "over": now - SHORT, "yes": now + SHORT}[slot.held]
    last = now - (2 * LONG if slot.old else SHORT)
    cells(switch, "walk_remote")[SLOT] = Bits(remote(slot.owner), 128)
    cells(switch, "walk_last")[SLOT] = Bits(last, 32)
    cells(switch, "walk_score")[SLOT] = Bits(slot.score, 16)
    cells(switch, "walk_challenged")[SLOT] = Bits(slot.challenged, 1)
    cells(switch, "walk_held")[SLOT] = Bits(until, 32)


def put_tofino(switch: Switch, slot: Slot) -> None:
    if slot.owner is None:
        return
    now = units(switch)
    # Not held is written as held until when it was claimed.
    last = now - 16 * (2 * LONG if slot.old else SHORT)
    until = {"no": last, "over": now - 16 * SHORT, "yes": now + 16 * SHORT}[slot.held]
    stamp = last & ~3 | (3 if slot.challenged else 1)
    cells(switch, "walk_remote")[SLOT] = key(switch, slot.owner)
    cells(switch, "walk_last")[SLOT] = Bits(stamp, 32, True)
    score_t = switch.interpreter.globals.find("score_t")
    left = {"left": Bits(0xFFFF - slot.score, 16), "score": Bits(0, 16)}
    cells(switch, "walk_score")[SLOT] = Record(score_t, left)
    cells(switch, "walk_held")[SLOT] = Bits(until, 32, True)


def meaning_v1(switch: Switch) -> tuple[Any, ...]:
    now = ticks(switch)
    owner = cells(switch, "walk_remote").get(SLOT, Bits(0, 128)).value
    if owner == 0:
        return (None,)
    age = now - cells(switch, "walk_last")[SLOT].value & 0xFFFFFFFF
    left = cells(switch, "walk_held")[SLOT].value - now & 0xFFFFFFFF
    until = cells(switch, "walk_held")[SLOT].value
    return (
        owner & 0xFFFFFFFF,
        age < LONG,
        cells(switch, "walk_score")[SLOT].value,
        bool(cells(switch, "walk_challenged")[SLOT].value),
        until != 0 and 0 < left < 1 << 31,
    )


def meaning_tofino(switch: Switch) -> tuple[Any, ...]:
    now = units(switch)
    owner = cells(switch, "walk_remote").get(SLOT)
    last = cells(switch, "walk_last").get(SLOT)
    if owner is None or last is None or last.raw & 3 == 0:
        return (None,)
    left = cells(switch, "walk_held")[SLOT].value - now & 0xFFFFFFFF
    return (
        owner.fields["low"].value,
        ((now | 3) - last.value & 0xFFFFFFFF) < 16 * LONG,
        0xFFFF - cells(switch, "walk_score")[SLOT].fields["left"].value,
        last.raw & 3 == 3,
        0 < left <= 16 * LONG,
    )


def answer(status: int) -> Packet:
    text = f"SIP/2.0 {status} Reason\r\n\r\n".encode()
    packet = p.ip4(p.udp(text), p.UDP, "198.51.100.9", ADDRESS)
    return Packet(3, p.ether(packet, 0x0800, to=p.STRANGER))


EVENTS = (Packet(1, p.v4()), *(answer(status) for status in (404, 401, 407, 200, 486, 180)))
WEIGHTS = ((0, 0, 1), (1, 2, 1), (3, 1, 2), (9, 4, 9))
"""Of 404, of 401 after a challenge, and of 200 downwards."""


def scenario(weights: tuple[int, int, int], response: int) -> Scenario:
    fail, again, succeed = weights
    entries = [
        TableEntry("outcome", (KINDS_404, 0), "fail", (fail,)),
        TableEntry("outcome", (KINDS_404, 1), "fail", (fail,)),
        TableEntry("outcome", (KINDS_401, 1), "fail", (again,)),
        TableEntry("outcome", (KINDS_2XX, 0), "succeed", (succeed,)),
        TableEntry("outcome", (KINDS_2XX, 1), "succeed", (succeed,)),
    ]
    policies: dict[str, tuple[int, ...]] = {"outcome_policy": (4, LONG, LONG, response)}
    return Scenario("a step", [*BASE, *entries], policies=policies)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("weights", "clock"),
    [*((each, CLOCKS[0]) for each in WEIGHTS), *((WEIGHTS[1], clock) for clock in CLOCKS[1:])],
)
def test_every_step_of_the_walk(weights: tuple[int, int, int], clock: float) -> None:
    reference, tofino = v1model.switch(), tna.switch()
    for each in (reference, tofino):
        each.set_up(scenario(weights, 2))
    for slot, event in itertools.product(slots(), EVENTS):
        reference.clock.now, tofino.clock.now = CLOCKS[0], clock
        for each, put in ((reference, put_v1), (tofino, put_tofino)):
            for register in ("walk_remote", "walk_last", "walk_score", "walk_held"):
                cells(each, register).clear()
            put(each, slot)
            each.answer.verdicts.clear()
            each.answer.digests.clear()
            each.send(event)
        where = f"{slot}, {event.frame[42:60]!r}"
        assert reference.answer.verdicts == tofino.answer.verdicts, where
        assert reference.answer.digests == tofino.answer.digests, where
        assert meaning_v1(reference) == meaning_tofino(tofino), where


@pytest.mark.parametrize("clock", CLOCKS)
def test_every_step_of_the_request_window(clock: float) -> None:
    reference, tofino = v1model.switch(), tna.switch()
    for each in (reference, tofino):
        policies: dict[str, tuple[int, ...]] = {"request_window": (3, LONG)}
        each.set_up(Scenario("a step", BASE, policies=policies))
    start = tofino.interpreter.globals.find("start_t")
    for owner, old, requests in itertools.product(
        (None, ADDRESS, OTHER), (False, True), (1, 2, 3, 4, 0xFFFF)
    ):
        reference.clock.now, tofino.clock.now = CLOCKS[0], clock
        for register in ("slot_remote", "slot_start", "slot_requests"):
            cells(reference, register).clear()
            cells(tofino, register).clear()
        if owner is not None:
            age = 2 * LONG if old else SHORT
            cells(reference, "slot_remote")[SLOT] = Bits(remote(owner), 128)
            cells(reference, "slot_start")[SLOT] = Bits(ticks(reference) - age, 32)
            cells(reference, "slot_requests")[SLOT] = Bits(requests, 16)
            cells(tofino, "slot_remote")[NARROW] = key(tofino, owner)
            begun = Bits(units(tofino) - 16 * age, 32, True)
            cells(tofino, "slot_start")[NARROW] = Record(
                start, {"time": begun, "used": Bits(1, 32, True)}
            )
            cells(tofino, "slot_requests")[NARROW] = Bits(requests, 16)
        for each in (reference, tofino):
            each.answer.digests.clear()
            each.send(EVENTS[0])
        where = f"{owner}, {old}, {requests}"
        assert reference.answer.digests == tofino.answer.digests, where
        assert (
            cells(reference, "slot_remote")[SLOT].value & 0xFFFFFFFF
            == cells(tofino, "slot_remote")[NARROW].fields["low"].value
        ), where
        assert (
            cells(reference, "slot_requests")[SLOT].value
            == cells(tofino, "slot_requests")[NARROW].value
        ), where
        fresh = (
            cells(reference, "slot_start")[SLOT].value == ticks(reference),
            cells(tofino, "slot_start")[NARROW].fields["time"].raw == units(tofino) & 0xFFFFFFFF,
        )
        assert owner is None or fresh[0] == fresh[1], where


@pytest.mark.parametrize("clock", CLOCKS)
def test_every_step_of_first_packets(clock: float) -> None:
    reference, tofino = v1model.switch(), tna.switch()
    for each in (reference, tofino):
        policies: dict[str, tuple[int, ...]] = {
            "first_policy": (2, 10),
            "outcome_policy": (4, LONG, LONG, 0),
        }
        each.set_up(Scenario("a step", BASE, policies=policies, sample=True))
    first = tofino.interpreter.globals.find("early_t")
    events = (EVENTS[0], answer(404), answer(180))
    for owner, same, count, event in itertools.product(
        (None, ADDRESS, OTHER), (False, True), (1, 2, 3, 0xFFFF), events
    ):
        reference.clock.now, tofino.clock.now = CLOCKS[0], clock
        for register in ("first_remote", "first_epoch", "first_count"):
            cells(reference, register).clear()
        for register in ("first_remote", "first_count"):
            cells(tofino, register).clear()
        if owner is not None:
            epoch = (ticks(reference) >> 10) - (0 if same else 1)
            cells(reference, "first_remote")[SLOT] = Bits(remote(owner), 128)
            cells(reference, "first_epoch")[SLOT] = Bits(epoch, 16)
            cells(reference, "first_count")[SLOT] = Bits(count, 16)
            began = (units(tofino) & 0xFFFFC000) - (0 if same else 1 << 14)
            cells(tofino, "first_remote")[NARROW] = key(tofino, owner)
            fields = {"epoch": Bits(began, 32), "count": Bits(count, 32)}
            cells(tofino, "first_count")[NARROW] = Record(first, fields)
        for each in (reference, tofino):
            each.answer.samples.clear()
            each.send(event)
        where = f"{owner}, {same}, {count}, {event.frame[42:60]!r}"
        assert reference.answer.samples == tofino.answer.samples, where
        assert bool(cells(reference, "first_count")) == bool(cells(tofino, "first_count")), where
        if cells(tofino, "first_count"):
            mine = min(cells(tofino, "first_count")[NARROW].fields["count"].value, 0xFFFF)
            assert cells(reference, "first_count")[SLOT].value == mine, where
