"""Answers what the command line asks about switches that only the controller can reach."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from sdnblock.blocklist.questions import Asked, Questions
from sdnblock.blocklist.store import Store
from sdnblock.errors import BlockListError, SwitchError
from sdnblock.switches.driver import Driver, Relay

_log = logging.getLogger(__name__)

_LOOK_EVERY: Final = 0.5
_AWAY: Final = 1.0


class Answering:
    """One question after the other: whoever asks without end delays only others who ask."""

    def __init__(self, drivers: Sequence[Driver], store: Store, redis_timeout: float) -> None:
        self._relays = {driver.name: driver for driver in drivers if isinstance(driver, Relay)}
        self._questions: Questions = store.questions
        self._wait = min(1.0, redis_timeout / 2)

    @property
    def needed(self) -> bool:
        """Whether there is a switch to ask about."""
        return bool(self._relays)

    async def run(self) -> None:
        """Answer for ever; while Redis is away nobody can ask."""
        while True:
            # Another controller may hold what we do not.
            held = [n for n, each in self._relays.items() if each.status.role != "disconnected"]
            try:
                asked = await self._questions.next(held, self._wait) if held else None
                if asked is not None:
                    await self._answer(asked)
                elif not held:
                    await asyncio.sleep(_LOOK_EVERY)
            except BlockListError as error:
                _log.debug("questions about switches not answered: %s", error)
                await asyncio.sleep(_AWAY)

    async def _answer(self, asked: Asked) -> None:
        try:
            parts = await self._relays[asked.switch].relay(asked.question)
        except SwitchError as error:
            await self._questions.refuse(asked, str(error), getattr(error, "details", ()))
        else:
            await self._questions.answer(asked, parts)
