"""The P4 programs, run from their source, against what a real BMv2 answered.

The v1model program holds the interpreter to BMv2; then the Tofino program is held to both.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.dataplane import packets as p
from tests.dataplane.corpus import BASE, KINDS_404, corpus
from tests.dataplane.packets import Packet
from tests.dataplane.random_scenarios import random_scenarios
from tests.dataplane.scenario import Scenario, TableEntry
from tests.p4model import tna, v1model
from tests.p4model.differences import counted_bytes, difference
from tests.p4model.switch import Switch

RECORDING = Path(__file__).parent / "dataplane" / "bmv2.json"
PARTS = ("direct", "indirect", "digests", "samples")
SEED, PACKETS = 20261125, 1500

pytestmark = pytest.mark.skipif(shutil.which("clang") is None, reason="clang is the preprocessor")


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    answers: dict[str, Any] = json.loads(RECORDING.read_text())["answers"]
    return answers


@pytest.mark.parametrize("scenario", corpus(), ids=lambda scenario: scenario.name)
def test_the_interpreter_answers_as_bmv2_did(scenario: Scenario, recorded: dict[str, Any]) -> None:
    found = v1model.switch().run(scenario).to_json()
    expected = recorded[scenario.name]
    assert found["verdicts"] == expected["verdicts"]
    for part in PARTS:
        assert found[part] == expected[part], part


@pytest.mark.parametrize("scenario", corpus(), ids=lambda scenario: scenario.name)
def test_tofino_answers_as_bmv2_did(scenario: Scenario, recorded: dict[str, Any]) -> None:
    found = tna.switch().run(scenario).to_json()
    expected = recorded[scenario.name]
    assert found["verdicts"] == expected["verdicts"], "no verdict may differ"
    if any(difference(packet.frame) for packet in scenario.packets):
        compare(scenario)
        return
    direct = {
        table: {key: [count, counted_bytes(table, size)] for key, (count, size) in counts.items()}
        for table, counts in expected["direct"].items()
    }
    for part in PARTS:
        assert found[part] == (direct if part == "direct" else expected[part]), part


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "scenario", list(random_scenarios(SEED, PACKETS)), ids=lambda each: each.name
)
def test_random_packets_over_random_tables(scenario: Scenario) -> None:
    compare(scenario)


def compare(scenario: Scenario) -> None:
    """Both programs packet by packet: they differ where a rule says so, and nowhere else."""
    reference, tofino = v1model.switch(), tna.switch()
    for each in (reference, tofino):
        each.set_up(scenario)
    for number, packet in enumerate(scenario.packets):
        told = [_send(each, packet) for each in (reference, tofino)]
        told[0][1][:] = [
            (label, counted_bytes(label.split()[0], length)) for label, length in told[0][1]
        ]
        where = f"{scenario.name}: packet {number}: {packet.frame.hex()}"
        assert told[0][0] == told[1][0], where
        if difference(packet.frame) is None:
            assert told[0] == told[1], where


def _send(switch: Switch, packet: Packet) -> tuple[Any, ...]:
    """The verdict of a packet, what it counted, and what was told of it."""
    answer = switch.answer
    digests, samples = len(answer.digests), len(answer.samples)
    switch.send(packet)
    return (
        answer.verdicts[-1],
        sorted(switch.counted),
        answer.digests[digests:],
        answer.samples[samples:],
    )


def test_every_difference_is_seen_in_the_corpus() -> None:
    """A rule that nothing falls under would hide what it was written for."""
    frames = [packet.frame for scenario in corpus() for packet in scenario.packets]
    assert len({difference(frame) for frame in frames} - {None}) == 4


DAYS = 24 * 3600


@pytest.mark.parametrize("program", [v1model, tna], ids=["v1model", "tofino"])
@pytest.mark.parametrize("days", [1, 2, 20, 30, 45])
def test_who_was_held_once_is_not_held_again(program: Any, days: int) -> None:
    """However long after: clocks of 32 bits come round."""
    weights = [TableEntry("outcome", (KINDS_404, 0), "fail", (4,))]
    policies: dict[str, tuple[int, ...]] = {"outcome_policy": (4, 600_000, 60_000, 2)}
    text = b"SIP/2.0 404 Not Found\r\n\r\n"
    reply = p.ether(p.ip4(p.udp(text), p.UDP, "198.51.100.9", "203.0.113.7"), 0x0800)
    packets = [Packet(3, reply), Packet(1, p.v4()), Packet(1, p.v4(), days * DAYS)]
    scenario = Scenario("long after", [*BASE, *weights], packets, policies=policies)
    assert program.switch().run(scenario).verdicts[1:] == ["drop", "3"]
