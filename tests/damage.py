"""Inputs that are no longer as they were."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

_PIECES: Final = (
    b"", b"\n", b"\r\n\r\n", b"\n\n", b"\0", b"\0\0", b"\xff", b"\xff\xff", b" ", b":", b"=",
    b";tag=", b'"', b"\\", b"<", b">", b"From: ", b"To: ", b"f: <sip:a@b>",
    b"Authorization: Digest ", b"Contact: *", b"CSeq: 1 ", b"SIP/2.0 ", b"SIP/2.0 200 OK\n", b"%00",
    b"' or 1=1--", b"A" * 300, b"HEP3",
)  # fmt: skip
"""What is put in."""


def damaged(known: Sequence[bytes], rng: random.Random) -> bytes:
    """One of ``known``: cut, spoilt, with holes, joined with another."""
    data = rng.choice(known)
    for _ in range(rng.randrange(1, 6)):
        at, luck = rng.randrange(len(data) + 1), rng.random()
        if luck < 0.4:
            gone = rng.choice((0, 0, 1, 2, 9, 40, len(data)))
            data = data[:at] + rng.choice(_PIECES) + data[at + gone :]
        elif luck < 0.7:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif luck < 0.85:
            other = rng.choice(known)
            data = data[:at] + other[rng.randrange(len(other) + 1) :]
        else:
            data = data[:at]
    return data
