"""Answers questions about sources: what is known of them is kept, where ``why`` reads it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from sdnblock.blocklist.store import Store
from sdnblock.detect.site import parse_site
from sdnblock.detect.stories import Stories
from sdnblock.errors import BlockListError, TargetError

_log = logging.getLogger(__name__)

_EVERY: Final = 0.5


class Telling:
    """Looks for questions, for ever."""

    def __init__(self, stories: Stories, store: Store) -> None:
        self._stories = stories
        self._store = store.asked

    async def run(self) -> None:
        """At once, then twice a second."""
        latest = time.time() - 60.0
        while True:
            latest = await self._look(latest)
            await asyncio.sleep(_EVERY)

    async def _look(self, latest: float) -> float:
        """Answer what was asked after ``latest``; the time of the latest question."""
        try:
            await self._store.listen()
            asked = await self._store.since(latest)
        except BlockListError as error:
            _log.debug("questions not read: %s", error)
            return latest
        for text, when in asked:
            latest = max(latest, min(when, time.time()))
            try:
                self._stories.look_at(parse_site(text))
            except (TargetError, ValueError):
                _log.debug("asked about %a, which is no source", text)
        return latest
