"""What the judge concludes from findings: a block, or a report, with a reason for people."""

from __future__ import annotations

from dataclasses import dataclass

from sdnblock.block import Action, Target
from sdnblock.evidence.grade import Grade


@dataclass(frozen=True, slots=True)
class Verdict:
    """Block ``target`` for ``seconds``, because of ``reason``, says ``detector``."""

    target: Target
    action: Action
    seconds: float
    detector: str
    reason: str
    grade: Grade
    source: bytes
    """The address that it is about, packed."""


@dataclass(frozen=True, slots=True)
class Report:
    """``detector`` has seen something about ``source`` that nobody is blocked for."""

    source: bytes
    detector: str
    reason: str
    grade: Grade


@dataclass(frozen=True, slots=True)
class Lift:
    """``detector``'s block of ``target`` is taken back, because of ``reason``."""

    target: Target
    detector: str
    reason: str


Conclusion = Verdict | Report | Lift
