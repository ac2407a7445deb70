"""XDP gives BMv2's answers: checked against the recording everywhere, live where BMv2 is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dataplane.corpus import corpus
from tests.dataplane.fingerprint import packets_and_tables, program
from tests.dataplane.random_scenarios import random_scenarios
from tests.dataplane.scenario import Answer, Scenario
from tests.dataplane.xdp_target import XdpTarget

RECORDING = Path(__file__).with_name("bmv2.json")
LIVE_PACKETS = int(os.environ.get("SDNBLOCK_LIVE_PACKETS", "100000"))

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="BPF needs root")
needs_bmv2 = pytest.mark.skipif(
    shutil.which("simple_switch_grpc") is None, reason="simple_switch_grpc is not on the PATH"
)


@pytest.fixture(scope="module")
def xdp() -> Iterator[XdpTarget]:
    target = XdpTarget()
    yield target
    target.close()


def recorded() -> dict[str, dict[str, object]]:
    answers: dict[str, dict[str, object]] = json.loads(RECORDING.read_text())["answers"]
    return answers


def check(scenario: Scenario, xdp: XdpTarget, expected: dict[str, object]) -> None:
    found = xdp.run(scenario).to_json()
    bmv2 = Answer(**expected)  # type: ignore[arg-type]
    for number, packet in enumerate(scenario.packets):
        assert found["verdicts"][number] == bmv2.verdicts[number], (
            f"{scenario.name}: packet {number}: {packet.frame.hex()}"
        )
    for part in ("direct", "indirect", "digests", "samples"):
        assert found[part] == getattr(bmv2, part), f"{scenario.name}: {part}"


def test_recording_is_of_this_corpus_and_program() -> None:
    recording = json.loads(RECORDING.read_text())
    again = "record BMv2 anew: python -m tests.dataplane record tests/dataplane/bmv2.json"
    assert list(recording["answers"]) == [each.name for each in corpus()], again
    assert recording["scenarios"] == packets_and_tables(corpus()), again
    assert recording["program"] == program(), again


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("scenario", corpus(), ids=lambda scenario: scenario.name)
def test_xdp_answers_as_bmv2_did(scenario: Scenario, xdp: XdpTarget) -> None:
    check(scenario, xdp, recorded()[scenario.name])


def ask_bmv2(mode: str, file: Path, *rest: str) -> dict[str, dict[str, object]]:
    """Run ``python -m tests.dataplane`` in a network namespace of its own."""
    namespace = f"sdnb-bmv2-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        subprocess.run(
            ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, "-m", "tests.dataplane",
             mode, str(file), *rest],
            check=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
    finally:
        subprocess.run(["ip", "netns", "del", namespace], check=True)
    answers: dict[str, dict[str, object]] = json.loads(file.read_text())["answers"]
    return answers


@pytest.mark.bmv2
@pytest.mark.root
@needs_root
@needs_bmv2
@pytest.mark.timeout(900)
def test_bmv2_still_answers_as_recorded(tmp_path: Path) -> None:
    assert ask_bmv2("record", tmp_path / "now.json") == recorded()


@pytest.mark.bmv2
@pytest.mark.root
@needs_root
@needs_bmv2
@pytest.mark.timeout(1800)
def test_random_packets_and_tables_live(tmp_path: Path, xdp: XdpTarget) -> None:
    seed = int(os.environ.get("SDNBLOCK_LIVE_SEED", "20261124"))
    answers = ask_bmv2("live", tmp_path / "live.json", str(seed), str(LIVE_PACKETS))
    packets = 0
    for scenario in random_scenarios(seed, LIVE_PACKETS):
        check(scenario, xdp, answers[scenario.name])
        packets += len(scenario.packets)
    print(f"{packets} random packets over {len(answers)} random tables: the same answers")
    assert packets == LIVE_PACKETS
