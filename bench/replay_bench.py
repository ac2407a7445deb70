"""SIP packets a second that ``sdnblock replay`` reads, understands and judges, on one core.

    python -m bench.replay_bench
    .venv-native/bin/python bench/native.py bench.replay_bench      # as machine code (make native)

Two captures of :mod:`bench.replay_traffic`, written to a temporary place and read by the
command's reader. Measured in CPU time: it is one thread that never waits. The command as a whole
(Python's start, configuration and table included) is measured beside it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.replay_traffic import SERVER, Packet, everyday, worst, write
from sdnblock.block import parse_prefix
from sdnblock.collecting import rare_collections
from sdnblock.detect.engine import Engine
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.sides import Sides, guess_ours
from sdnblock.evidence.capture import read_capture
from sdnblock.evidence.sip import parse_message
from sdnblock.replay import read_events, replay

_COUNT = 50_000
_ROUNDS = 5


def frames() -> list[bytes]:
    """Those of the worst capture."""
    return [frame for _, frame in worst(_COUNT)]


def main() -> None:
    """Measure and print."""
    for name, made in (
        ("only new REGISTERs", worst(_COUNT)),
        ("registrations, keepalives, calls, two attackers", everyday(_COUNT)),
    ):
        with tempfile.TemporaryDirectory() as place:
            _measure(name, Path(place) / "capture.pcap", made)


def _measure(name: str, path: Path, packets: Iterator[Packet]) -> None:
    write(path, packets)
    rates = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        with rare_collections():
            events = list(read_events(path))
            decisions = replay(events, (), DetectSettings(), ())
        rates.append(len(events) / (time.process_time() - began))
        assert len(events) == _COUNT
        del events
    print(
        f"replay, {name}: median {statistics.median(rates):,.0f} packets/s"
        f" ({min(rates):,.0f} to {max(rates):,.0f}; {len(decisions)} decisions)"
    )
    print(f"  of each packet, in us: {_stages(path)}")
    print(f"  the command as a whole: {_COUNT / _command(path):,.0f} packets/s")


def _stages(path: Path) -> str:
    """What the time goes to; each stage by itself, so that the sum is not the whole."""
    with rare_collections():
        payloads = [segment.payload for _, segment in read_capture(path)]
        events = list(read_events(path))

        def judge() -> None:
            engine = Engine(DetectSettings(), Sides([parse_prefix(SERVER)]))
            for event in events:
                engine.observe(event)

        stages: dict[str, Callable[[], object]] = {
            "capture and frames": lambda: sum(1 for _ in read_capture(path)),
            "SIP parser": lambda: [parse_message(each) for each in payloads],
            "guess of our side": lambda: guess_ours(events),
            "detectors": judge,
        }
        return ", ".join(f"{name} {_best(run) * 1e6:.1f}" for name, run in stages.items())


def _best(run: Callable[[], object]) -> float:
    """CPU seconds a packet, of the best of three rounds."""
    found = []
    for _ in range(3):
        began = time.process_time()
        run()
        found.append((time.process_time() - began) / _COUNT)
    return min(found)


def _command(path: Path) -> float:
    """CPU seconds of ``sdnblock replay`` on a file."""
    before = os.times()
    subprocess.run(
        [sys.executable, "-P", "-m", "sdnblock", "replay", str(path), "-o", "json"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system
    )


if __name__ == "__main__":
    main()
