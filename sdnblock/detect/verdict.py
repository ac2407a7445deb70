"""What a detector concludes: a block, with a reason that a person can read."""

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
