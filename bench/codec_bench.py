"""How long the P4Runtime codec takes for an entry, beside what protobuf itself takes.

    python -m bench.codec_bench

In CPU time, of IPv4 sources.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from finsy.proto import p4r

from sdnblock.block import Action, Source
from sdnblock.switches.driver import Op, TableKind
from tests import p4runtime_kit as kit

ENTRIES: Final = 100_000
_ROUNDS: Final = 3


class Times(NamedTuple):
    """CPU seconds for all entries."""

    encoding: float
    """Targets to updates of a write request."""
    decoding: float
    """Table entries to targets."""
    protobuf: float
    """The same updates to bytes and back: protobuf alone, that works in C."""


def measure(entries: int) -> Times:
    """The best of three rounds: a busy neighbour on the core makes CPU seconds longer too."""
    rounds = [_once(entries) for _ in range(_ROUNDS)]
    return Times(*map(min, zip(*rounds, strict=True)))


def _once(entries: int) -> Times:
    targets = [Source((0x0B000000 + at * 7).to_bytes(4, "big")) for at in range(entries)]
    codec, key = kit.codec(), (TableKind.SOURCE, 4)
    began = time.process_time()
    batch = p4r.WriteRequest()
    for target in targets:
        codec.add_block(batch.updates, Op.INSERT, target, Action.DROP, None)
    encoded = time.process_time()
    found = [codec.block(key, update.entity.table_entry)[0] for update in batch.updates]
    decoded = time.process_time()
    for update in batch.updates:
        p4r.Update.FromString(update.SerializeToString())
    copied = time.process_time()
    assert found == targets
    return Times(encoded - began, decoded - encoded, copied - decoded)


def main() -> None:
    """Measure and print."""
    times = measure(ENTRIES)
    print(
        f"{ENTRIES:,} entries: encoded in {times.encoding:.2f} s, decoded in"
        f" {times.decoding:.2f} s (to bytes and back by protobuf alone: {times.protobuf:.2f} s)"
    )


if __name__ == "__main__":
    main()
