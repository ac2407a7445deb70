"""Our SIP servers, as far as others see them: nonces, To tags, and who exists."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import parse_address

NONCE_LIFE: Final = 300.0
"""Seconds; Kamailio's default."""
REFUSED: Final = (401, 404, 407, 484, 503)
"""Answers to calls that our server makes itself."""


@dataclass(slots=True)
class Server:
    """``like_kamailio``: the same nonce for all within a second, and To tags that begin alike."""

    address: bytes
    like_kamailio: bool
    restarts: list[float] = field(default_factory=list)
    """When it was started anew: nonces of before are none of its own any more."""

    def nonce(self, now: float, rng: random.Random) -> str:
        """A challenge's nonce; its age can be read from it."""
        own = "" if self.like_kamailio else f"-{rng.getrandbits(64):016x}"
        return f"{int(now):010d}{own}"

    def fresh(self, nonce: str, now: float) -> bool:
        """Whether an answer with ``nonce`` is taken."""
        made = float(nonce[:10])
        return now - made < NONCE_LIFE and not any(made < at <= now for at in self.restarts)

    def tag(self, rng: random.Random, status: int = 0) -> str:
        """A To tag. Of a call that reached somebody it is his: a proxy passes it on."""
        if status and status not in REFUSED:
            return f"{rng.getrandbits(64):016x}"
        if self.like_kamailio:
            return f"b27e1a1d33761e85846fc98f5f3a7e58.{rng.getrandbits(16):04x}"
        return f"{rng.getrandbits(64):016x}"


def servers() -> tuple[Server, ...]:
    """Two, with little in common."""
    return (
        Server(parse_address("198.51.100.10"), True),
        Server(parse_address("198.51.100.11"), False),
    )
