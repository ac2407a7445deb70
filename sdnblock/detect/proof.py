"""What only the one who received an answer of ours can know: nonces and To tags.

Who repeats such a secret has shown that he receives what we send to his address. It is a
secret only if nobody else can get at it, and that depends on the server. Kamailio with its
defaults gives the same nonce to everybody who asks within the same second, and makes its To
tags of a constant and a checksum of the request: an attacker asks once for himself and knows
what was sent to the address that he forges. Both are noticed here, and prove nothing then.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

_MOST: Final = 100_000
_SERVERS: Final = 1024
_LONGEST: Final = 256
_HEAD: Final = 8
"""Letters at the beginning of a tag that no two random tags have in common."""
_HEADS: Final = 3
"""Different beginnings after which a server's tags are taken for random."""
_SHARING: Final = 86400.0
"""For how long a server that was seen to share nonces is not trusted again."""


@dataclass(frozen=True, slots=True)
class ProofSettings:
    """``[detect.proof]``: what is known about our servers' nonces and To tags."""

    nonces: str = field(default="auto", metadata={"choices": ("auto", "bound", "shared")})
    """``bound``: a nonce is good for the address only that it was sent to, or random;
    ``shared``: others can get the same; ``auto``: shared, once that was seen."""
    tags: str = field(default="auto", metadata={"choices": ("auto", "random", "predictable")})
    """``auto``: random, if no two of them begin alike."""


class Nonces:
    """Nonces of ours by the address that they were sent to, the oldest forgotten first."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, _Sent] = OrderedDict()
        self._sharing: OrderedDict[bytes, float] = OrderedDict()

    def sent(
        self, nonce: str, server: bytes, remote: bytes, now: float, *, sampled: bool = False
    ) -> None:
        """``server`` sent ``nonce`` to ``remote``. ``sampled``: not all that it sends is seen,
        so that nobody can say whom else it gave the same one."""
        if not nonce or len(nonce) > _LONGEST:
            return
        known = self._sent.get(nonce)
        if known is None:
            self._sent[nonce] = _Sent(server, remote, sampled)
            if len(self._sent) > _MOST:
                self._sent.popitem(last=False)
            return
        known.sampled &= sampled
        self._sent.move_to_end(nonce)
        if known.remote != remote:
            known.remote = None
            self._sharing[server] = now
            self._sharing.move_to_end(server)
            if len(self._sharing) > _SERVERS:
                self._sharing.popitem(last=False)

    def known(self, nonce: str) -> bool:
        """Whether it is one of ours, whoever was sent it."""
        return nonce in self._sent

    def proves(self, nonce: str, remote: bytes, now: float, how: str) -> bool:
        """Whether only ``remote`` can know ``nonce``. ``how``: as ProofSettings.nonces."""
        sent = self._sent.get(nonce)
        if sent is None or sent.remote != remote or how == "shared":
            return False
        if how == "bound":
            return True
        shared = self._sharing.get(sent.server)
        return not sent.sampled and (shared is None or now - shared > _SHARING)


@dataclass(slots=True)
class _Sent:
    server: bytes
    remote: bytes | None
    """None: to several."""
    sampled: bool


class Tags:
    """Beginnings of our To tags, to tell random ones from others."""

    def __init__(self) -> None:
        self._heads: OrderedDict[str, str | None] = OrderedDict()

    def sent(self, tag: str) -> None:
        """We sent a response with ``tag``."""
        head = tag[:_HEAD]
        if self._heads.setdefault(head, tag[:_LONGEST]) != tag[:_LONGEST]:
            self._heads[head] = None
        self._heads.move_to_end(head)
        if len(self._heads) > _MOST:
            self._heads.popitem(last=False)

    def proves(self, tag: str, how: str) -> bool:
        """Whether nobody can guess ``tag``. ``how``: as ProofSettings.tags."""
        if not tag or how == "predictable":
            return False
        if how == "random":
            return True
        alone = self._heads.get(tag[:_HEAD]) == tag[:_LONGEST]
        return alone and len(tag) >= _HEAD and len(self._heads) >= _HEADS
