"""From findings to verdicts: the evidence's grade rules what may be done, and for how long.

Proven evidence drops, each time for longer. Spoofable evidence drops for ten minutes at most,
and never a source with credit: that is limited, to a rate at which a phone still works.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from sdnblock.block import Action, Source, Target
from sdnblock.detect.credit import Credit
from sdnblock.detect.finding import Finding
from sdnblock.detect.verdict import Verdict
from sdnblock.evidence.grade import Grade

LADDER: Final = (600.0, 3600.0, 86400.0, 604800.0, 2592000.0)
"""Seconds of the first, second, ... conviction of a source on proven evidence."""

SPOOFABLE_MOST: Final = 600.0

_MEMORY: Final = 2592000.0
_MOST: Final = 200_000
_REPEAT_AFTER: Final = 5.0


class Judge:
    """Remembers whom it convicted, for the ladder."""

    def __init__(self, credit: Credit) -> None:
        self._credit = credit
        self._past: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        self._last: OrderedDict[tuple[str, Target], float] = OrderedDict()

    def judge(self, finding: Finding, now: float) -> Verdict | None:
        """The verdict; None if the same was said within the last seconds."""
        target = finding.flow or Source(finding.source)
        key = (finding.detector, target)
        last = self._last.get(key)
        if last is not None and now - last < _REPEAT_AFTER:
            return None
        self._last[key] = now
        self._last.move_to_end(key)
        if len(self._last) > _MOST:
            self._last.popitem(last=False)
        credit = self._credit.has(finding.source, now)
        if finding.grade is Grade.SPOOFABLE:
            action = Action.LIMIT if credit else Action.DROP
            seconds = SPOOFABLE_MOST
        else:
            # A source with credit loses its flow only; without a flow it is limited.
            action = Action.LIMIT if credit and finding.flow is None else Action.DROP
            seconds = LADDER[min(self._times(finding.source, now), len(LADDER) - 1)]
        return Verdict(target, action, seconds, finding.detector, finding.reason, finding.grade)

    def _times(self, source: bytes, now: float) -> int:
        """How often the source has been convicted before; counts this time."""
        times, last = self._past.get(source, (0, now))
        if now - last > _MEMORY:
            times = 0
        self._past[source] = (times + 1, now)
        self._past.move_to_end(source)
        if len(self._past) > _MOST:
            self._past.popitem(last=False)
        return times
