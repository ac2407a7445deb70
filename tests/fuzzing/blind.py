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

from tests.damage import damaged
from tests.fuzzing.seeds import seeds
from tests.fuzzing.targets import TARGETS

_MOST: Final = 8192
_CORPUS: Final = Path(__file__).parents[1] / "corpus"


def main(seconds: float, seed: int) -> int:
    """All of them."""
    rng = random.Random(seed)
    for name, target in TARGETS.items():
        known = [*seeds(name), *(file.read_bytes() for file in (_CORPUS / name).glob("*"))]
        end, count = time.monotonic() + seconds / len(TARGETS), 0
        while time.monotonic() < end:
            data = damaged(known, rng)[:_MOST]
            count += 1
            try:
                target(data)
            except Exception:
                print(f"{name}: {data!r}", file=sys.stderr)
                raise
        print(f"{name}: {count:,} inputs")
    return 0


if __name__ == "__main__":
    given = [float(each) for each in sys.argv[1:]]
    sys.exit(main(given[0] if given else 60.0, int(given[1]) if len(given) > 1 else 1))
