"""HEP messages a second through codec, admission, parser and detectors, on one core.

    python -m bench.hep_bench

The callers of the replay bench, as Kamailio reports them, with a key. Measured in CPU time: it
is one thread that never waits.
"""

from __future__ import annotations

import statistics
import time

from bench.replay_bench import frames
from sdnblock.block import parse_address, parse_prefix
from sdnblock.detect.engine import Engine
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.sides import Sides
from sdnblock.evidence.frames import ETHERNET, decode
from sdnblock.evidence.hep import HepStream
from sdnblock.evidence.hep_intake import HepIntake
from sdnblock.evidence.senders import LOOPBACK, HepSettings
from tests.hep_kit import hep

_HERE = parse_address("127.0.0.1")
_NOW = 1_700_000_000.0
_KEY = b"a key of some length"


def packets() -> list[bytes]:
    """The messages of the replay bench, each in a packet."""
    found = []
    for number, frame in enumerate(frames()):
        segment = decode(ETHERNET, frame)
        if segment is not None:
            made = hep(
                segment.payload, source=segment.source, source_port=segment.source_port,
                destination=segment.destination, key=_KEY, time=_NOW + number / 1000,
            )  # fmt: skip
            found.append(made)
    return found


def main() -> None:
    """Measure and print."""
    made = packets()
    admitted, whole = [], []
    for _ in range(5):
        intake = HepIntake(HepSettings(senders=LOOPBACK), _KEY)
        began = time.process_time()
        events = [intake.take(_HERE, each, _NOW + n / 1000) for n, each in enumerate(made)]
        admitted.append(len(made) / (time.process_time() - began))
        engine = Engine(DetectSettings(), Sides([parse_prefix("198.51.100.0/24")]))
        for event in events:
            assert event is not None, intake.tally.refused
            engine.observe(event)
        whole.append(len(made) / (time.process_time() - began))
    stream = b"".join(made)
    began = time.process_time()
    split = HepStream()
    count = sum(
        1 for at in range(0, len(stream), 16384) for _ in split.feed(stream[at : at + 16384])
    )
    assert count == len(made)
    cut = len(made) / (time.process_time() - began)
    print(f"HEP: codec, key, SIP parser: median {statistics.median(admitted):,.0f} messages/s")
    print(f"HEP: the same and detectors: median {statistics.median(whole):,.0f} messages/s")
    print(f"HEP: packets out of a TCP connection: {cut:,.0f}/s")


if __name__ == "__main__":
    main()
