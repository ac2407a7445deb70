"""What one detector finds about a source; the judge makes a verdict of it."""

from __future__ import annotations

from dataclasses import dataclass

from sdnblock.block import Flow
from sdnblock.evidence.grade import Grade


@dataclass(frozen=True, slots=True)
class Finding:
    """``detector`` finds ``source`` guilty, because of ``reason``.

    ``flow``: only that flow is guilty, as far as is known; others may share the address.
    """

    detector: str
    source: bytes
    grade: Grade
    reason: str
    flow: Flow | None = None
