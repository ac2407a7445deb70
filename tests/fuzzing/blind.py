"""The parsers as machine code, which atheris cannot look into, with damaged inputs.

    .venv-native/bin/python bench/native.py tests.fuzzing.blind [SECONDS [SEED]]

Each target of ``tests.fuzzing`` in turn, for its share of the seconds: what it is known to take,
cut, joined and spoilt. Exit status 1 and the input, as soon as one raises.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Final

from tests.fuzzing.seeds import seeds
from tests.fuzzing.targets import TARGETS

_MOST: Final = 8192
_CORPUS: Final = Path(__file__).parents[1] / "corpus"
_PIECES: Final = (
    b"", b"\n", b"\r\n\r\n", b"\n\n", b"\0", b"\xff", b" ", b":", b";tag=", b'"', b"\\", b"<", b">",
    b"HEP3", b"\0\0", b"\xff\xff", b"SIP/2.0 ", b"=",
)  # fmt: skip


def main(seconds: float, seed: int) -> int:
    """All of them."""
    rng = random.Random(seed)
    for name, target in TARGETS.items():
        known = [*seeds(name), *(file.read_bytes() for file in (_CORPUS / name).glob("*"))]
        end, count = time.monotonic() + seconds / len(TARGETS), 0
        while time.monotonic() < end:
            data = damaged(known, rng)
            count += 1
            try:
                target(data)
            except Exception:
                print(f"{name}: {data!r}", file=sys.stderr)
                raise
        print(f"{name}: {count:,} inputs")
    return 0


def damaged(known: list[bytes], rng: random.Random) -> bytes:
    """One of them, no longer as it was."""
    data = rng.choice(known)
    for _ in range(rng.randrange(1, 6)):
        at, luck = rng.randrange(len(data) + 1), rng.random()
        if luck < 0.3:
            data = data[:at] + rng.choice(_PIECES) + data[at + rng.choice((0, 1, 2, 9)) :]
        elif luck < 0.6:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif luck < 0.8:
            other = rng.choice(known)
            data = data[:at] + other[rng.randrange(len(other) + 1) :]
        else:
            data = data[:at]
    return data[:_MOST]


if __name__ == "__main__":
    given = [float(each) for each in sys.argv[1:]]
    sys.exit(main(given[0] if given else 60.0, int(given[1]) if len(given) > 1 else 1))
