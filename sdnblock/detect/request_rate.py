"""Detector ``request-rate``: a source sent too many SIP requests within a window.

Sees: what a switch counts for itself, per IPv4 host or IPv6 /64, whatever the requests
are. Cannot see: scans slower than the threshold, and who really sent a UDP packet. The
evidence is spoofable, so the configured action is ``limit`` unless somebody who knows the
network says otherwise; and a source behind which many phones sit can trip it honestly,
after a power cut for instance: under ``limit`` they still get through.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Action, source_of
from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.finding import Finding
from sdnblock.evidence.events import RateCrossed
from sdnblock.evidence.grade import Grade

NAME: Final = "request-rate"


@dataclass(frozen=True, slots=True)
class RequestRateSettings:
    """``[detect.request_rate]``: ``threshold`` requests within ``window`` seconds (0: off)."""

    enabled: bool = True
    threshold: int = field(default=60, metadata={"least": 0, "most": 65535})
    window: float = field(default=1.0, metadata={"least": 0.01, "most": 86400.0})
    action: Action = Action.LIMIT
    seconds: float = field(default=600.0, metadata={"duration": True, "key": "for"})


class RequestRate(Detector):
    """Makes findings of what switches count."""

    name = NAME

    def __init__(self, settings: RequestRateSettings, shared: Shared) -> None:
        self._settings = settings

    def rate(self, event: RateCrossed) -> Iterable[Finding]:
        """A switch counted to the threshold."""
        reason = (
            f"{event.requests} SIP requests within {event.window_seconds:.3g} s"
            f" (threshold {self._settings.threshold})"
            f" at switch {event.switch}, port {event.port}"
        )
        source, _ = source_of(event.source)
        yield Finding(
            NAME, source, Grade.SPOOFABLE, reason,
            at_most=self._settings.action, seconds=self._settings.seconds,
        )  # fmt: skip
