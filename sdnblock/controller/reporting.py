"""What the controller says of its switches, for `sdnblock switch list`, and housekeeping."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Final

from sdnblock.blocklist.store import Store
from sdnblock.controller.hub import Hub
from sdnblock.controller.session import Session
from sdnblock.errors import BlockListError

_log = logging.getLogger(__name__)

_STATUS_EVERY: Final = 5.0
_LOOK_EVERY: Final = 0.25
"""A change of a switch's state is reported so soon."""
_STATUS_TTL: Final = 15.0
_PURGE_EVERY: Final = 60.0


def status_of(session: Session, wanted: int) -> dict[str, Any]:
    """A switch's state as plain values. ``wanted``: blocks in the block list."""
    status = session.driver.status
    return {
        "description": status.description,
        "role": status.role,
        "installed": len(session.ledger),
        "wanted": wanted,
        "unplaced": session.ledger.unplaced_count(),
        "withheld_allows": session.ledger.withheld,
        "refused": len(session.ledger.refused),
        "last_sync": session.last_sync,
        "last_error": session.last_error,
        "reported": time.time(),
    }


class Reporting:
    """Puts every switch's status into Redis, and clears away there what has expired."""

    def __init__(self, sessions: Sequence[Session], hub: Hub, store: Store) -> None:
        self._sessions = sessions
        self._hub = hub
        self._store = store

    async def run(self) -> None:
        """Report for ever; while Redis is away there is nobody to report to."""
        next_purge = time.monotonic() + _PURGE_EVERY
        told: list[tuple[str, str | None]] = []
        next_report = 0.0
        while True:
            now = [(s.driver.status.role, s.last_error) for s in self._sessions]
            if now == told and time.monotonic() < next_report:
                await asyncio.sleep(_LOOK_EVERY)
                continue
            told, next_report = now, time.monotonic() + _STATUS_EVERY
            try:
                for session in self._sessions:
                    status = status_of(session, len(self._hub.blocks))
                    await self._store.put_switch_status(session.name, status, _STATUS_TTL)
                if time.monotonic() >= next_purge and self._hub.ready:
                    next_purge = time.monotonic() + _PURGE_EVERY
                    await self._store.purge(time.time())
                    await self._store.prune_counters(self._hub.blocks)
            except BlockListError as error:
                _log.debug("status not reported: %s", error)
