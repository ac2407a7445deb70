"""From the block list's watcher to the hub, and what to do when Redis has lost its data.

The mark ``meta`` tells. A database that had it and has it no more (or has another) was
emptied or replaced: nothing is unblocked; what we hold is put back. A database that never
had it, met at the start while switches hold entries, lost it while nobody looked: what is
found on the switches is adopted, as origin ``recovered``, for a bounded time.
"""

from __future__ import annotations

import itertools
import logging
from typing import Final

from sdnblock.block import NEVER, Prefix, Source, Target
from sdnblock.blocklist.claims import Claim, ClaimKey, Meta
from sdnblock.blocklist.store import Store
from sdnblock.blocklist.watch import (
    Disconnected,
    Ready,
    RefusedMembers,
    RefusedNow,
    Single,
    SingleAllow,
    Watcher,
    WatchEvent,
    Whole,
    WholeAllow,
)
from sdnblock.controller.hub import RECOVERED, Hub
from sdnblock.controller.saver import Saver
from sdnblock.errors import BlockListError
from sdnblock.switches.driver import Installed

_log = logging.getLogger(__name__)

_MOST_LOGGED: Final = 10_000


class Feed:
    """Applies what the watcher says; decides what an absent mark means."""

    def __init__(
        self,
        watcher: Watcher,
        store: Store,
        hub: Hub,
        saver: Saver,
        switches: frozenset[str],
        recovered_for: float,
    ) -> None:
        self._watcher = watcher
        self._store = store
        self._hub = hub
        self._saver = saver
        self._recovered_for = recovered_for
        self._instance: str | None = None
        # What a reading of everything has brought so far; None: changes come one by one.
        self._claims: dict[ClaimKey, dict[Target, float]] | None = {}
        self._allows: dict[Source | Prefix, float] = {}
        self._unmarked = False
        self._not_adopted = set(switches)
        self._logged: set[tuple[ClaimKey | None, str]] = set()

    async def run(self) -> None:
        """Follow the block list for ever."""
        async for events in self._watcher.events():
            # Allowlist first: a block that came with it must not act before it.
            for kind, group in itertools.groupby(sorted(events, key=_order), type):
                if kind is Single:
                    self._take_singles([each for each in group if isinstance(each, Single)])
                elif kind is SingleAllow:
                    self._take_allows([each for each in group if isinstance(each, SingleAllow)])
                else:
                    for event in group:
                        await self._take(event)

    async def adopt(self, switch: str, installed: Installed, now: float) -> None:
        """A switch's entries, before anything is written to it for the first time."""
        if switch not in self._not_adopted:
            return
        self._not_adopted.discard(switch)
        if self._unmarked:
            self._adopt(switch, installed, now)
            if not self._not_adopted:
                await self._mark()

    def _take_singles(self, events: list[Single]) -> None:
        if not events:
            return
        if self._claims is None:
            changes = [(event.key, event.target, event.expires) for event in events]
            self._hub.put_all(changes, urgent=all(event.urgent for event in events))
            return
        for event in events:
            if event.expires is not None:
                self._claims.setdefault(event.key, {})[event.target] = event.expires

    def _take_allows(self, events: list[SingleAllow]) -> None:
        if self._claims is None:
            self._hub.put_allows((event.prefix, event.expires) for event in events)
            return
        for event in events:
            if event.expires is not None:
                self._allows[event.prefix] = event.expires

    async def _take(self, event: WatchEvent) -> None:
        match event:
            case Whole(key, members, refused):
                self._log_refused(key, refused)
                if self._claims is None:
                    await self._hub.replace(key, members)
                else:
                    self._claims[key] = members
            case WholeAllow(allows, refused):
                self._log_refused(None, refused)
                if self._claims is None:
                    self._hub.replace_allows(allows)
                else:
                    self._allows = allows
            case RefusedNow(where, refused):
                self._log_refused(where, refused)
            case Disconnected(message):
                if self._hub.ready:
                    _log.error("%s; all blocks stay in force", message)
                else:
                    _log.error("%s; waiting for it", message)
                self._claims, self._allows = {}, {}
            case Ready(meta):
                await self._complete(meta)

    def _log_refused(self, key: ClaimKey | None, refused: RefusedMembers) -> None:
        """Log what is not understood, each once: the lists are told whole, again and again."""
        for member, why in refused:
            if (key, member) in self._logged or len(self._logged) >= _MOST_LOGGED:
                continue
            self._logged.add((key, member))
            if key is None:
                _log.error("refused %s on the allowlist: %s", member, why)
            else:
                _log.warning("refused %s from origin %s: %s", member, key.origin, why)

    async def _complete(self, meta: Meta | None) -> None:
        """The whole block list has been read."""
        claims, self._claims = self._claims or {}, None
        allows, self._allows = self._allows, {}
        for claim in self._saver.unsaved():
            claims.setdefault(claim.key, {})[claim.target] = claim.expires
        allows |= self._saver.unsaved_allows()
        lost = self._instance is not None and (meta is None or meta.instance != self._instance)
        if lost:
            _log.error(
                "Redis has lost its data: %d blocks stay in force and are put back;"
                " to unblock, remove them with sdnblock block remove",
                len(self._hub.blocks),
            )
            for claim in self._hub.all_claims():
                claims.setdefault(claim.key, {}).setdefault(claim.target, claim.expires)
            for prefix, expires in self._hub.all_allows():
                allows.setdefault(prefix, expires)
        if self._hub.ready:
            await self._hub.load_again(claims, allows)
        else:
            self._hub.load(claims, allows)
        if lost:
            self._saver.put_back()
            await self._mark()
        elif meta is not None:
            self._instance = meta.instance
        else:
            self._unmarked = True
            if not self._not_adopted:
                await self._mark()

    async def _mark(self) -> None:
        """Everything that was known is written: mark the database as ours."""
        try:
            await self._saver.flush()
            self._instance = (await self._store.ensure_meta()).instance
            self._unmarked = False
        except BlockListError as error:
            _log.warning("the block list is not marked yet: %s", error)

    def _adopt(self, switch: str, installed: Installed, now: float) -> None:
        for prefix in installed.allows:
            if prefix not in self._hub.allows:
                self._saver.save_allow(prefix, NEVER, f"recovered from switch {switch}")
        orphans = [
            Claim(
                target, RECOVERED, action, now + self._recovered_for,
                f"found on switch {switch} when Redis had no block list",
            )
            for target, action in installed.blocks.items()
            if target not in self._hub.blocks and not self._hub.allows.allows(target)
        ]  # fmt: skip
        if orphans:
            _log.error(
                "Redis has no block list but switch %s holds %d entries: kept for %.0f hours"
                " as origin %s; to unblock: sdnblock block remove --all --origin %s",
                switch, len(orphans), self._recovered_for / 3600, RECOVERED, RECOVERED,
            )  # fmt: skip
            self._saver.save(orphans)


def _order(event: WatchEvent) -> int:
    """Allowlist before blocks; what marks a beginning or an end keeps its place."""
    match event:
        case Disconnected():
            return 0
        case WholeAllow() | SingleAllow():
            return 1
        case Ready():
            return 3
        case _:
            return 2
