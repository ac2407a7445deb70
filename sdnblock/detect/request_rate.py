"""Detector ``request-rate``: a source sent too many SIP requests within a window.

Sees: what a switch counts for itself, per IPv4 host or IPv6 /64, whatever the requests
are. Cannot see: scans slower than the threshold, and who really sent a UDP packet. The
evidence is spoofable, so the configured action is ``limit`` unless somebody who knows the
network says otherwise.

A source behind which many phones sit trips it honestly, after a power cut for instance. Where so
many phones are seen that each would send few, it is only watched, until it has gone on
for longer than phones take to come back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Action, source_of
from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.finding import Finding
from sdnblock.evidence.events import RateCrossed
from sdnblock.evidence.grade import Grade

NAME: Final = "request-rate"

_MOST: Final = 100_000
_PAUSE: Final = 5.0
"""Seconds of quiet after which it begins anew: phones that send their keepalives all at once, twice
a minute, never go on for long."""


@dataclass(frozen=True, slots=True)
class RequestRateSettings:
    """``[detect.request_rate]``: ``threshold`` requests within ``window`` seconds (0: off)."""

    enabled: bool = True
    threshold: int = field(default=60, metadata={"least": 0, "most": 65535})
    window: float = field(default=1.0, metadata={"least": 0.01, "most": 86400.0})
    action: Action = Action.LIMIT
    seconds: float = field(default=600.0, metadata={"duration": True, "key": "for"})
    each_phone: int = field(default=15, metadata={"least": 1, "most": 65535})
    """Of the threshold, so much for each phone that is seen there."""
    patience: float = field(default=30.0, metadata={"duration": True})
    """For how long many phones may go on so."""


class RequestRate(Detector):
    """Makes findings of what switches count."""

    name = NAME

    def __init__(self, settings: RequestRateSettings, shared: Shared) -> None:
        self._settings = settings
        self._tenants = shared.tenants
        self._excused: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def rate(self, event: RateCrossed) -> Iterable[Finding]:
        """A switch counted to the threshold."""
        reason = (
            f"{event.requests} SIP requests within {event.window_seconds:.3g} s"
            f" (threshold {self._settings.threshold})"
            f" {_where(event)}"
        )
        source, _ = source_of(event.source)
        action = self._settings.action
        phones = self._tenants.phones(source, event.time)
        if event.requests <= phones * self._settings.each_phone and self._excuse(
            source, event.time
        ):
            action, reason = Action.WATCH, f"{reason}; of {phones} phones: watched"
        yield Finding(
            NAME, source, Grade.SPOOFABLE, reason,
            at_most=action, seconds=self._settings.seconds,
        )  # fmt: skip

    def _excuse(self, source: bytes, now: float) -> bool:
        """Whether this has only just begun."""
        since, last = self._excused.get(source, (now, now))
        if now - last > _PAUSE:
            since = now
        self._excused[source] = since, now
        self._excused.move_to_end(source)
        if len(self._excused) > _MOST:
            self._excused.popitem(last=False)
        return now - since <= self._settings.patience


def _where(event: RateCrossed) -> str:
    if not event.port:  # no switch has counted them
        return f"seen by {event.switch}"
    return f"at switch {event.switch}, port {event.port}"
