"""Whom our servers sent which nonce: only he can answer it, so his answer proves an address.

A nonce that went to two addresses proves neither: some servers give the same nonce to
everybody who asks within the same second, and an attacker could use the one he was given
under the address of another.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_MOST: Final = 100_000
_LONGEST: Final = 256


class Nonces:
    """Nonces of ours by the address that they were sent to, the oldest forgotten first."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, bytes | None] = OrderedDict()

    def sent(self, nonce: str, remote: bytes) -> None:
        """A challenge with ``nonce`` went to ``remote``."""
        if not nonce or len(nonce) > _LONGEST:
            return
        if self._sent.setdefault(nonce, remote) != remote:
            self._sent[nonce] = None
        self._sent.move_to_end(nonce)
        if len(self._sent) > _MOST:
            self._sent.popitem(last=False)

    def prove(self, nonce: str, remote: bytes) -> bool:
        """Whether only ``remote`` can know ``nonce``."""
        return self._sent.get(nonce) == remote

    def known(self, nonce: str) -> bool:
        """Whether it is one of ours, whoever was sent it."""
        return nonce in self._sent
