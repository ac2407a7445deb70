"""What one detector finds about a source; the judge makes a verdict of it."""

from __future__ import annotations

from dataclasses import dataclass

from sdnblock.block import Action, Flow
from sdnblock.evidence.grade import Grade


@dataclass(frozen=True, slots=True)
class Finding:
    """``detector`` finds ``source`` guilty, because of ``reason``.

    ``source`` is a packed address; of an IPv6 address its /64 is meant (RFC 6177: a site has
    at least that much).
    """

    detector: str
    source: bytes
    grade: Grade
    reason: str
    flow: Flow | None = None
    """Only that flow is guilty, as far as is known; others may share the address."""
    report_only: bool = False
    """Worth telling, but nobody is blocked for it."""
    at_most: Action | None = None
    """The strongest action that the detector's settings allow; None: what the grade allows."""
    seconds: float | None = None
    """For how long; None: what the grade and the source's past say. Of a report: for how long
    the detector will not be told to say so again (None: a day)."""
    longest: float | None = None
    """Never for longer, whatever the source's past says."""
    user: str = ""
    """The user it is about, where there is one."""
    despite_credit: bool = False
    """The evidence is proven, and nobody else is behind the source: its credit, which the
    culprit earned himself, saves it not."""
