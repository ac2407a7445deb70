"""Detector ``outcome-walk``: the walk that switches do themselves, on our servers' answers.

Sees: 403 and 404 (and challenges on top of challenges) to one IPv4 host or IPv6 /64, weighed
against successes, in the data plane: the switch can limit or drop the remote from the next
packet on. Cannot see: whose requests they really were. UDP requests can be forged in
somebody's name, and our answers go to him: so the evidence is spoofable, and a source with
credit is limited at worst.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Action, source_of
from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.finding import Finding
from sdnblock.evidence.events import OutcomeCrossed
from sdnblock.evidence.grade import Grade

NAME: Final = "outcome-walk"


@dataclass(frozen=True, slots=True)
class OutcomeWalkSettings:
    """``[detect.outcome_walk]``: weights and threshold of the walk in the switches."""

    enabled: bool = True
    threshold: int = field(default=256, metadata={"least": 0, "most": 65535})
    """The score that convicts; 0: off."""
    forbidden: int = field(default=64, metadata={"least": 0, "most": 65535})
    """What a 403 adds."""
    not_found: int = field(default=64, metadata={"least": 0, "most": 65535})
    """What a 404 adds."""
    challenged_again: int = field(default=1, metadata={"least": 0, "most": 65535})
    """What a 401 or 407 adds that follows another one; the first adds nothing. A switch cannot
    see whether a credential was rejected: an office of many phones must stay below."""
    success: int = field(default=48, metadata={"least": 0, "most": 65535})
    """What a 2xx takes away."""
    memory: float = field(default=600.0, metadata={"duration": True})
    """A remote that nothing was answered for so long is forgotten."""
    hold: float = field(default=60.0, metadata={"duration": True})
    """For how long the switch itself holds a remote that crossed."""
    response: Action = Action.LIMIT
    """What the switch does with it meanwhile: ``limit``, ``drop``, or ``watch`` (nothing)."""
    seconds: float = field(default=600.0, metadata={"duration": True, "key": "for"})
    """For how long the controller blocks it then."""


class OutcomeWalk(Detector):
    """Makes findings of the switches' walks."""

    name = NAME

    def __init__(self, settings: OutcomeWalkSettings, shared: Shared) -> None:
        self._settings = settings

    def crossed(self, event: OutcomeCrossed) -> Iterable[Finding]:
        """A walk crossed."""
        held = f"; held there for {event.hold_seconds:.0f} s" if event.held else ""
        reason = (
            f"our answers to it scored {event.score} (403, 404 and repeated challenges against"
            f" successes; threshold {self._settings.threshold}) at switch {event.switch}{held}"
        )
        source, _ = source_of(event.source)
        yield Finding(NAME, source, Grade.SPOOFABLE, reason, seconds=self._settings.seconds)
