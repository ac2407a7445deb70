"""Evidence, wherever it comes from, through the detectors to verdicts that are enforced."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sdnblock.block import format_address
from sdnblock.blocklist.claims import Claim
from sdnblock.controller.hub import Hub
from sdnblock.controller.saver import Saver
from sdnblock.detect.engine import Engine
from sdnblock.detect.verdict import Conclusion, Lift, Report, Verdict
from sdnblock.detect.witness import Witness
from sdnblock.evidence.events import Evidence, FirstPacket
from sdnblock.evidence.first_packet import read_first_packet
from sdnblock.switches.driver import Driver

_log = logging.getLogger(__name__)

_TICK: Final = 1.0

Ready = Callable[[], Awaitable[None]]


class Judging:
    """Feeds evidence to the detectors and makes blocks of their verdicts.

    ``ready`` waits until detection knows what it knew before the controller started;
    ``witnesses`` are told all of it.
    """

    def __init__(
        self,
        hub: Hub,
        saver: Saver,
        engine: Engine,
        ready: Ready,
        witnesses: Sequence[Witness] = (),
    ) -> None:
        self._hub = hub
        self._saver = saver
        self._engine = engine
        self._ready = ready
        self._witnesses = witnesses
        for each in witnesses:
            engine.add(each)

    async def wait_ready(self) -> None:
        """Wait until evidence can be judged."""
        await self._ready()

    async def run(self) -> None:
        """Let the detectors know, for ever, that time passes."""
        await self.wait_ready()
        while True:
            await asyncio.sleep(_TICK)
            self._conclude(self._engine.tick(time.time()))

    async def follow(self, driver: Driver) -> None:
        """Judge the evidence of one switch for ever."""
        await self.wait_ready()
        async for event in driver.evidence():
            if not isinstance(event, FirstPacket):
                self.see(event)
                continue
            message = read_first_packet(event)
            if message is not None:
                self.see(message)

    def see(self, event: Evidence) -> None:
        """Judge one piece of evidence."""
        self._conclude(self._engine.observe(event))

    def _conclude(self, conclusions: list[Conclusion]) -> None:
        now = time.time()
        for each in conclusions:
            enforced = isinstance(each, Report) or not self._hub.allows.allows(each.target)
            for witness in self._witnesses:
                witness.concluded(each, now, enforced)
            if isinstance(each, Report):
                _log.warning("%s: %s: %s", each.detector, format_address(each.source), each.reason)
            elif isinstance(each, Lift):
                self._lift(each)
            else:
                self.enforce(each)

    def _lift(self, lift: Lift) -> None:
        """Take a block back, if it is in force."""
        if any(claim.origin == lift.detector for claim in self._hub.blocks.claims_on(lift.target)):
            _log.warning("unblocked %s: %s: %s", lift.target, lift.detector, lift.reason)
            self._saver.lift(lift.detector, lift.target)

    def enforce(self, verdict: Verdict) -> None:
        """Block, unless the allowlist covers it, or the same is in force already."""
        now = time.time()
        claim = Claim(
            verdict.target, verdict.detector, verdict.action, now + verdict.seconds,
            verdict.reason, now,
        )  # fmt: skip
        if self._hub.allows.allows(verdict.target):
            _log.info("allowlisted %s not blocked: %s", verdict.target, verdict.reason)
            return
        if self._hub.holds(claim.key, verdict.target, now + verdict.seconds - 5.0):
            return
        _log.warning(
            "%s %s for %.0f s: %s: %s", verdict.action.value, verdict.target, verdict.seconds,
            verdict.detector, verdict.reason,
        )  # fmt: skip
        self._saver.save([claim])
