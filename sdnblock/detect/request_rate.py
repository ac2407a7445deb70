"""Detector ``request-rate``: a source sent too many SIP requests within a window.

Sees: what a switch counts for itself, per IPv4 host or IPv6 /64, whatever the requests
are. Cannot see: scans slower than the threshold, and who really sent a UDP packet. The
evidence is spoofable, so the configured action is ``limit`` unless somebody who knows the
network says otherwise; and a source behind which many phones sit can trip it honestly,
after a power cut for instance: under ``limit`` they still get through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sdnblock.block import Action, Prefix, Source
from sdnblock.detect.verdict import Verdict
from sdnblock.evidence.events import RateCrossed
from sdnblock.evidence.grade import Grade

NAME: Final = "request-rate"

_REPEAT_AFTER: Final = 5.0
_REMEMBERED: Final = 65536


@dataclass(frozen=True, slots=True)
class RequestRateSettings:
    """``[detect.request_rate]``: ``threshold`` requests within ``window`` seconds (0: off)."""

    threshold: int = 60
    window: float = 1.0
    action: Action = Action.LIMIT
    seconds: float = 600.0


class RequestRate:
    """Turns :class:`RateCrossed` into verdicts; remembers only whom it convicted just now."""

    def __init__(self, settings: RequestRateSettings) -> None:
        self.settings = settings
        self._last: dict[Source | Prefix, float] = {}

    def judge(self, event: RateCrossed, now: float) -> Verdict | None:
        """A verdict, or None if the same was said within the last seconds.

        ``now`` is in Unix seconds.
        """
        last = self._last.get(event.source)
        if last is not None and now - last < _REPEAT_AFTER:
            return None
        if len(self._last) >= _REMEMBERED:  # a flood of forged sources
            self._last = {s: at for s, at in self._last.items() if now - at < _REPEAT_AFTER}
            if len(self._last) >= _REMEMBERED:
                self._last.clear()
        self._last[event.source] = now
        reason = (
            f"{event.requests} SIP requests within {event.window_seconds:.3g} s"
            f" (threshold {self.settings.threshold})"
            f" at switch {event.switch}, port {event.port}"
        )
        return Verdict(
            event.source, self.settings.action, self.settings.seconds, NAME, reason, Grade.SPOOFABLE
        )
