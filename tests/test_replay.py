"""Captures through the detectors: the attacks convicted, nobody in the benign one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdnblock.block import UDP, Action, Flow, Prefix, Source, parse_address, parse_prefix
from sdnblock.detect.decision import Decision
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.verdict import Lift, Verdict
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.grade import Grade
from sdnblock.evidence.sip import parse_message
from sdnblock.replay import read_events, replay
from sdnblock.replay.blocks import Blocks
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


SERVER, SCANNER = bytes((198, 51, 100, 9)), bytes((203, 0, 113, 7))


def seen(
    time: float, text: str, source: bytes = SCANNER, port: int = 5060, back: bool = False
) -> SipSeen:
    message = parse_message(text.replace("\n", "\r\n").encode())
    assert message is not None
    ends = (SERVER, 5060, source, port) if back else (source, port, SERVER, 5060)
    return SipSeen(time, UDP, *ends, message, "test")


def guess(time: float, number: int, port: int = 5060) -> list[SipSeen]:
    """A user who is not there, and the answer; the server answered whoever asked."""
    rest = (
        f"Via: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK{number}\nFrom: <sip:1@x>;tag=a\n"
        f"To: <sip:u{number}@x>\nCall-ID: {number}\nCSeq: 1 REGISTER\n\n"
    )
    return [
        seen(time, f"REGISTER sip:x SIP/2.0\n{rest}", port=port),
        seen(time + 0.01, f"SIP/2.0 404 Not Found\n{rest}", port=port, back=True),
    ]


def judged(events: list[SipSeen]) -> list[Decision]:
    return replay(events, [parse_prefix("198.51.100.0/24")], DetectSettings(), [])


def test_what_a_block_would_have_dropped_convicts_nobody_again() -> None:
    """One attempt each five seconds: after the ten minutes of the first block, evidence is
    gathered anew, as it would be behind the switch."""
    found = judged([each for number in range(140) for each in guess(number * 5.0, number)])
    needed = found[0].packets_before
    assert 1 < needed <= 4
    over = found[0].decided_at + found[0].verdict.seconds
    assert [each.decided_at >= over for each in found] == [False, True]
    came_through = found[1].packets_before - int(over / 5.0)
    assert came_through >= needed - 1, "one attempt is no evidence"
    assert found[1].decided_at < over + 5.0 * (needed + 1)


def test_only_the_flow_that_is_blocked_is_dropped() -> None:
    blocks = Blocks()
    flow = Flow(UDP, SCANNER, 5060, SERVER, 5060)
    verdict = Verdict(flow, Action.DROP, 60.0, "x", "y", Grade.PROVEN, SCANNER)
    assert blocks.put(verdict, 100.0)
    assert not blocks.put(verdict, 159.0), "it is in force"
    text = "OPTIONS sip:x SIP/2.0\nCall-ID: a\n\n"
    assert blocks.drops(seen(159.9, text))
    assert not blocks.drops(seen(160.0, text)), "it has expired"
    assert not blocks.drops(seen(159.9, text, port=5061))
    assert not blocks.drops(seen(159.9, text, source=bytes((203, 0, 113, 8))))
    blocks.lift(Lift(flow, "x", "z"))
    assert not blocks.drops(seen(159.9, text))
    assert blocks.put(verdict, 159.9)


def test_a_limit_lets_packets_through_and_a_drop_covers_it() -> None:
    blocks, text = Blocks(), "OPTIONS sip:x SIP/2.0\nCall-ID: a\n\n"
    flow = Flow(UDP, SCANNER, 5060, SERVER, 5060)

    def verdict(target: Source | Flow, action: Action) -> Verdict:
        return Verdict(target, action, 60.0, "x", "y", Grade.PROVEN, SCANNER)

    assert blocks.put(verdict(Source(SCANNER), Action.LIMIT), 0.0)
    assert not blocks.drops(seen(1.0, text))
    assert blocks.put(verdict(Source(SCANNER), Action.DROP), 2.0)
    assert not blocks.put(verdict(flow, Action.DROP), 3.0)
    assert blocks.drops(seen(3.0, text))


def test_a_site_of_ipv6_is_dropped_whole() -> None:
    blocks, text = Blocks(), "OPTIONS sip:x SIP/2.0\nCall-ID: a\n\n"
    one = parse_address("2001:db8:1:2::7")
    target = parse_prefix("2001:db8:1:2::/64")
    assert isinstance(target, Prefix)
    assert blocks.put(Verdict(target, Action.DROP, 60.0, "x", "y", Grade.PROVEN, one), 0.0)
    assert blocks.drops(seen(1.0, text, source=parse_address("2001:db8:1:2:3::9")))
    assert not blocks.drops(seen(1.0, text, source=parse_address("2001:db8:1:3::7")))
