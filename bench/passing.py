"""How many of the bench's blocked sources get through (run in the outside namespace).

``python -m bench.passing COUNT STEP``: one of every STEP of the first COUNT sources.
"""

from __future__ import annotations

import sys

from bench.probe import Probe


def source(number: int) -> bytes:
    """The bench's blocked sources: 11.0.0.0 upwards."""
    return (0x0B000000 + number).to_bytes(4, "big")


if __name__ == "__main__":
    count, step = int(sys.argv[1]), int(sys.argv[2])
    print(Probe().passing([source(number) for number in range(0, count, step)]))
