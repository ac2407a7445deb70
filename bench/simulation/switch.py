"""What a switch at our edge would tell: its request window and its walk over our answers.

The walk as ``p4/include/outcome.p4`` has it, without collisions of slots.
"""

from __future__ import annotations

from dataclasses import dataclass

from sdnblock.block import Prefix, Source
from sdnblock.detect.outcome_walk import OutcomeWalkSettings
from sdnblock.detect.request_rate import RequestRateSettings
from sdnblock.detect.site import site_of, site_target
from sdnblock.detect.window import RequestWindow
from sdnblock.evidence.events import OutcomeCrossed, RateCrossed, SipSeen

_CHALLENGES = (401, 407)


@dataclass(slots=True)
class _Walk:
    last: float
    score: int = 0
    challenged: bool = False


class Switch:
    """Feed it what passes; it answers with evidence."""

    def __init__(self) -> None:
        rate = RequestRateSettings()
        self._settings = OutcomeWalkSettings()
        self._window = RequestWindow(rate.threshold, rate.window)
        self._walks: dict[bytes, _Walk] = {}

    def see(self, event: SipSeen, inbound: bool) -> RateCrossed | OutcomeCrossed | None:
        """A message on its way in or out."""
        if inbound:
            return self._window.request(event) if event.message.is_request else None
        status = event.message.status
        return self._answer(event, status) if status >= 200 else None

    def _answer(self, event: SipSeen, status: int) -> OutcomeCrossed | None:
        settings, site = self._settings, site_of(event.destination)
        walk = self._walks.get(site)
        if walk is None or event.time - walk.last >= settings.memory:
            walk = self._walks[site] = _Walk(event.time)
        up = 0
        if status == 403:
            up = settings.forbidden
        elif status == 404:
            up = settings.not_found
        elif status in _CHALLENGES and walk.challenged:
            up = settings.challenged_again
        down = settings.success if status < 300 else 0
        walk.score = max(0, walk.score + up - down)
        walk.last, walk.challenged = event.time, status in _CHALLENGES
        if not up or walk.score < settings.threshold:
            return None
        score, walk.score = walk.score, 0
        source: Source | Prefix = site_target(event.destination)
        return OutcomeCrossed("edge", source, score, None, settings.hold, event.time)
