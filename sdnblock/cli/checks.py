"""What must not be blocked: the allowlist and the safety rules, asked before anything is written.

The controller applies both again, whoever writes. Asking here as well tells people at
once, and not in the controller's log.
"""

from __future__ import annotations

import math
import time

from sdnblock.block import Prefix, Source, Target, covers, source_of
from sdnblock.blocklist.allow import AllowView
from sdnblock.blocklist.claims import Allowed
from sdnblock.blocklist.safety import Safety
from sdnblock.blocklist.store import Store
from sdnblock.config import Config


class Checks:
    """The allowlist of Redis and of the configuration, and the safety rules, at one moment."""

    def __init__(self, config: Config, allowed: list[Allowed]) -> None:
        self._safety = Safety(config.safety)
        self._notes: dict[Source | Prefix, str] = {entry.prefix: entry.note for entry in allowed}
        self._notes.update(dict.fromkeys(config.allow, "in the configuration"))
        self._view = AllowView()
        self._view.replace(dict.fromkeys(self._notes, math.inf), time.time())

    @classmethod
    async def read(cls, config: Config, store: Store) -> Checks:
        """With the allowlist as it is in Redis now."""
        return cls(config, await store.allowed())

    def refusal(self, target: Target, origin: str, force: bool) -> str | None:
        """Why ``target`` may not be blocked, None if it may.

        ``force`` leaves out the allowlist: the block then takes effect once that lets go.
        """
        reason = self._safety.check(target, origin)
        if reason is not None:
            return f"{target}: {reason}"
        if force or not self._view.allows(target):
            return None
        covering = next(p for p in self._view.overlapping(target) if _covers(p, target))
        return f"{target} is on the allowlist ({self.describe(covering)})"

    def unenforced(self, target: Target, origin: str) -> str | None:
        """Why a claim that stands in the block list has no effect; None: it has."""
        reason = self._safety.check(target, origin)
        if reason is None and self._view.allows(target):
            covering = next(p for p in self._view.overlapping(target) if _covers(p, target))
            reason = f"on the allowlist ({self.describe(covering)})"
        return reason

    def covering(self, target: Target) -> list[Source | Prefix]:
        """Allowlist entries that cover all of ``target``, widest first."""
        return [p for p in self._view.overlapping(target) if _covers(p, target)]

    def exceptions(self, target: Target) -> list[Source | Prefix]:
        """Allowlist entries that cover a part of ``target`` only."""
        return [p for p in self._view.overlapping(target) if not _covers(p, target)]

    def describe(self, prefix: Source | Prefix) -> str:
        """An allowlist entry and its note."""
        note = self._notes.get(prefix)
        return f"{prefix}: {note}" if note else str(prefix)


def _covers(prefix: Source | Prefix, target: Target) -> bool:
    return covers(source_of(prefix), source_of(target))
