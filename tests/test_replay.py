"""Captures through the detectors: the attacks convicted, nobody in the benign one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdnblock.block import parse_prefix
from sdnblock.detect.decision import Decision
from sdnblock.detect.registry import DetectSettings
from sdnblock.replay import read_events, replay
from tests.captures import write_pcap
from tests.dataplane import packets as p

TRACES = Path(os.environ.get("SDNBLOCK_TRACES", Path(__file__).parents[2] / "shared" / "traces"))
needs_traces = pytest.mark.skipif(
    not TRACES.is_dir(), reason="the captures of others are not beside this checkout"
)


def decisions(path: Path, *trusted: str) -> list[Decision]:
    prefixes = [parse_prefix(text) for text in trusted]
    events = list(read_events(path))
    return replay(events, prefixes, DetectSettings(), [])


@needs_traces
def test_the_slow_scan_of_eleven_sources() -> None:
    found = decisions(TRACES / "BadUserAgent-sipvicious.pcap")
    assert len({each.source for each in found}) == 11
    first = {each.source: each.packets_before for each in reversed(found)}
    assert set(first.values()) == {1}


@needs_traces
def test_the_dial_prefix_hunt() -> None:
    found = decisions(TRACES / "SIP-3700-unauthorized-401.pcap")
    assert {str(each.verdict.target) for each in found} == {"40.129.198.250"}
    assert found[0].packets_before == 1


@needs_traces
def test_nobody_in_the_benign_capture() -> None:
    path = TRACES / "benign-wireshark-sip.pcap"
    assert decisions(path) == []
    assert decisions(path, "212.242.33.35", "200.68.120.81") == []


def flood(path: Path, count: int) -> Path:
    frame = p.v4(b"OPTIONS sip:x SIP/2.0\r\nCall-ID: %d\r\n\r\n")
    return write_pcap(path, [(1700000000 + n * 0.002, frame) for n in range(count)])


def test_a_flood_trips_the_rate_and_is_decided_once(tmp_path: Path) -> None:
    found = decisions(flood(tmp_path / "c.pcap", 500), "198.51.100.0/24")
    (decision,) = found
    assert decision.verdict.detector == "request-rate"
    assert decision.packets_before == 60


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sdnblock", "replay", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )  # fmt: skip


def test_the_command(tmp_path: Path) -> None:
    path = flood(tmp_path / "c.pcap", 100)
    done = command(path, "--trusted", "198.51.100.0/24", "-o", "json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert set(row) == {"source", "target", "action", "grade", "detector", "reason", "first_seen",
                        "decided_at", "packets_before"}  # fmt: skip
    assert row["source"] == "203.0.113.7"
    assert row["grade"] == "spoofable"
    quiet = command(flood(tmp_path / "d.pcap", 5), "-o", "json")
    assert (quiet.returncode, quiet.stdout.strip()) == (0, "[]")


def test_what_is_no_capture(tmp_path: Path) -> None:
    bad = tmp_path / "x"
    bad.write_bytes(b"hello")
    done = command(bad)
    assert done.returncode == 1
    assert done.stderr == f"sdnblock: {bad} is neither pcap nor pcapng\n"
