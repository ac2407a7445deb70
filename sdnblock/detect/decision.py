"""A verdict with what was seen before it: what `sdnblock replay` and `sdnblock why` tell."""

from __future__ import annotations

from dataclasses import dataclass

from sdnblock.block import format_address
from sdnblock.detect.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Decision:
    """A block, and when and after how much it was decided."""

    verdict: Verdict
    source: bytes
    first_seen: float
    decided_at: float
    packets_before: int
    """SIP messages of the source up to and with the one that decided."""

    def row(self) -> dict[str, object]:
        """Plain values, times in Unix seconds."""
        verdict = self.verdict
        return {
            "source": format_address(self.source),
            "target": str(verdict.target),
            "action": verdict.action.value,
            "grade": verdict.grade.value,
            "detector": verdict.detector,
            "reason": verdict.reason,
            "first_seen": self.first_seen,
            "decided_at": self.decided_at,
            "packets_before": self.packets_before,
        }
