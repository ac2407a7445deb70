"""Which of several controllers writes: OpenFlow's master (1.3.5, 6.3.5 and 7.3.9).

OpenFlow 1.3 tells a slave neither that there is a master nor that it has gone. So a master
raises its generation id every second, and who waits takes over once it stands still.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from sdnblock.errors import SwitchError
from sdnblock.switches.openflow import answers, requests
from sdnblock.switches.openflow.answers import Type
from sdnblock.switches.openflow.channel import Channel, Refused
from sdnblock.switches.openflow.flows import BadAnswer
from sdnblock.switches.openflow.refusals import STALE, UNSUPPORTED

TICK: Final = 1.0
_GONE: Final = 10.0
"""Seconds without a tick after which a master is taken to be gone."""
_ABOVE: Final = 1 << 20
_UNSET: Final = (1 << 64) - 1


class Role:
    """Our claim to one switch, over all its sessions: the controller started last wins."""

    def __init__(self, standby: bool) -> None:
        self._generation = 1 if standby else time.time_ns()
        self._ticked = 0.0

    async def win(self, channel: Channel, waiting: Callable[[], None]) -> None:
        """Returns once we are master; ``waiting`` is called when we have to wait first.

        Raises SwitchLost, SwitchError.
        """
        while not await self._claim(channel):
            waiting()
            await self._until_still(channel)

    async def tick(self, channel: Channel) -> None:
        """Show that we are there, at most once a second. Raises SwitchLost."""
        channel.check()
        if time.monotonic() - self._ticked < TICK:
            return
        self._generation += 1
        if not await self._claim(channel):
            await channel.close("another controller has become its master")
            channel.check()

    async def _claim(self, channel: Channel) -> bool:
        self._ticked = time.monotonic()
        try:
            await channel.request(
                partial(requests.become_master, generation=self._generation), Type.ROLE_REPLY
            )
        except Refused as error:
            if (error.error.type, error.error.code) == STALE:
                return False
            if (error.error.type, error.error.code) == UNSUPPORTED:
                return True
            raise
        return True

    async def _until_still(self, channel: Channel) -> None:
        seen: int | None = None
        since = time.monotonic()
        while time.monotonic() - since < _GONE:
            try:
                _, generation = answers.parse_role(
                    await channel.request(requests.ask_role, Type.ROLE_REPLY)
                )
            except BadAnswer as error:
                raise SwitchError(f"{channel.label}: {error}") from None
            if generation != seen:
                seen, since = generation, time.monotonic()
            await asyncio.sleep(TICK)
        if seen is not None and seen != _UNSET:
            self._generation = max(self._generation, seen + _ABOVE)
