"""Writing our own claims into the block list, and holding on to them while Redis is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from sdnblock.block import Action, Prefix, Source, Target
from sdnblock.blocklist.claims import Claim, ClaimKey
from sdnblock.blocklist.store import Store
from sdnblock.controller.hub import Hub
from sdnblock.errors import BlockListError

_log = logging.getLogger(__name__)

_MOST: Final = 100_000
"""Claims held for a Redis that is away; more are enforced but not kept."""


class Saver:
    """Puts claims into force at once and into Redis as soon as it takes them."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._claims: dict[tuple[ClaimKey, Target], Claim] = {}
        self._allows: dict[Source | Prefix, tuple[float, str]] = {}
        self._lifted: dict[tuple[str, Target], None] = {}
        self._wake = asyncio.Event()

    def save(self, claims: Sequence[Claim]) -> None:
        """Enforce ``claims`` now; write them when Redis can be reached."""
        for claim in claims:
            if self._hub.refusal(claim.target, claim.origin) is None:
                self._hub.put(claim.key, claim.target, claim.expires)
                if len(self._claims) < _MOST:
                    self._claims[claim.key, claim.target] = claim
        self._wake.set()

    def lift(self, origin: str, target: Target) -> None:
        """Take back ``origin``'s claims on ``target``, now and in Redis."""
        for action in Action:
            key = ClaimKey(origin, action)
            self._hub.put(key, target, None)
            self._claims.pop((key, target), None)
        self._lifted[origin, target] = None
        self._wake.set()

    def save_allow(self, prefix: Source | Prefix, expires: float, note: str) -> None:
        """The same for an allowlist entry."""
        self._hub.put_allow(prefix, expires)
        self._allows[prefix] = (expires, note)
        self._wake.set()

    def put_back(self) -> None:
        """Redis lost its data: write all that we hold, and let go of nothing."""
        for prefix, expires in self._hub.all_allows():
            self._allows[prefix] = (expires, "put back: Redis had lost it")
        for claim in self._hub.all_claims():
            known = self._claims.get((claim.key, claim.target))
            self._claims[claim.key, claim.target] = known or Claim(
                claim.target, claim.origin, claim.action, claim.expires,
                "put back: Redis had lost it",
            )  # fmt: skip
        self._wake.set()

    def unsaved(self) -> list[Claim]:
        """Claims that Redis does not have yet."""
        return list(self._claims.values())

    def unsaved_allows(self) -> dict[Source | Prefix, float]:
        """Allowlist entries that Redis does not have yet."""
        return {prefix: expires for prefix, (expires, _) in self._allows.items()}

    async def run(self) -> None:
        """Write what waits, again and again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.flush()
            except BlockListError as error:
                _log.warning("%d claims wait for Redis: %s", len(self._claims), error)
                await asyncio.sleep(1.0)
                self._wake.set()

    async def flush(self) -> None:
        """Write what waits now. Raises BlockListError; what is not written still waits."""
        while self._allows:
            prefix, (expires, note) = next(iter(self._allows.items()))
            await self._store.allow_add(prefix, expires, note)
            if self._allows.get(prefix) == (expires, note):
                del self._allows[prefix]
        while self._lifted:  # before claims: those are younger
            origin, target = next(iter(self._lifted))
            await self._store.remove([target], origin, thorough=False)
            self._lifted.pop((origin, target), None)
        while self._claims:
            batch = list(self._claims.items())[:1000]
            await self._store.add([claim for _, claim in batch])
            for key, claim in batch:
                if self._claims.get(key) is claim:
                    del self._claims[key]
