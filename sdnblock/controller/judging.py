"""Evidence of one switch, through the detectors, to verdicts that are enforced."""

from __future__ import annotations

import logging
import time

from sdnblock.blocklist.claims import Claim
from sdnblock.controller.hub import Hub
from sdnblock.controller.saver import Saver
from sdnblock.detect.request_rate import RequestRate
from sdnblock.detect.verdict import Verdict
from sdnblock.evidence.events import RateCrossed
from sdnblock.switches.driver import Driver

_log = logging.getLogger(__name__)


class Judging:
    """Feeds evidence to the detectors and makes blocks of their verdicts."""

    def __init__(self, hub: Hub, saver: Saver, request_rate: RequestRate) -> None:
        self._hub = hub
        self._saver = saver
        self._request_rate = request_rate

    async def run(self, driver: Driver) -> None:
        """Judge the evidence of one switch for ever."""
        async for event in driver.evidence():
            if isinstance(event, RateCrossed):
                verdict = self._request_rate.judge(event, time.time())
                if verdict is not None:
                    self.enforce(verdict)

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
