"""Who listens to evidence and to what came of it, and convicts nobody."""

from __future__ import annotations

from sdnblock.detect.detector import Detector
from sdnblock.detect.verdict import Conclusion


class Witness(Detector):
    """A detector without findings, which is also told what was concluded."""

    def concluded(self, conclusion: Conclusion, now: float, enforced: bool) -> None:
        """A verdict, report or lift. ``enforced``: not excepted by the allowlist."""
