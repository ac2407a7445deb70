"""From findings to verdicts: the evidence's grade rules what may be done, and for how long.

Proven evidence drops, each time for longer. Spoofable evidence drops for ten minutes at most,
and never a source with credit: of that it only asks to see more (``watch``).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from sdnblock.block import Action, Prefix, Source, Target
from sdnblock.detect.credit import Credit
from sdnblock.detect.finding import Finding
from sdnblock.detect.verdict import Conclusion, Report, Verdict
from sdnblock.evidence.grade import Grade

LADDER: Final = (600.0, 3600.0, 86400.0, 604800.0, 2592000.0)
"""Seconds of the first, second, ... conviction of a source on proven evidence."""

SPOOFABLE_MOST: Final = 600.0

_MEMORY: Final = 2592000.0
_MOST: Final = 200_000
_REPEAT_AFTER: Final = 5.0
_REPORT_AFTER: Final = 86400.0
"""What was reported about a source is not reported again so soon."""


class Judge:
    """Remembers whom it convicted, for the ladder."""

    def __init__(self, credit: Credit) -> None:
        self._credit = credit
        self._past: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        self._last: OrderedDict[tuple[str, Target, bool], float] = OrderedDict()

    def judge(self, finding: Finding, now: float) -> Conclusion | None:
        """The verdict or report; None if the same was said not long ago."""
        target = finding.flow or target_of(finding.source)
        if self._said(finding, target, now):
            return None
        if finding.report_only:
            return Report(finding.source, finding.detector, finding.reason, finding.grade)
        action, seconds = self._measure(finding, now)
        return Verdict(
            target, action, seconds, finding.detector, finding.reason, finding.grade,
            finding.source,
        )  # fmt: skip

    def _measure(self, finding: Finding, now: float) -> tuple[Action, float]:
        """What is done, and for how many seconds."""
        credit = self._credit.has(finding.source, now)
        if finding.grade is Grade.SPOOFABLE:
            # Under a forged flood any limit is full of the forger's packets, and would cut off
            # whom he names: a customer is only watched, which the switch's own hold heeds too.
            action = Action.WATCH if credit else Action.DROP
            seconds = min(finding.seconds or SPOOFABLE_MOST, SPOOFABLE_MOST)
        else:
            # A source with credit loses its flow only; without a flow it is limited.
            spared = credit and finding.flow is None and not finding.despite_credit
            action = Action.LIMIT if spared else Action.DROP
            times = self._times(finding.source, now)
            seconds = finding.seconds or LADDER[min(times, len(LADDER) - 1)]
        if finding.at_most is not None and finding.at_most.strength < action.strength:
            action = finding.at_most
        return action, seconds

    def _said(self, finding: Finding, target: Target, now: float) -> bool:
        key = (finding.detector, target, finding.report_only)
        last = self._last.get(key)
        after = _REPEAT_AFTER
        if finding.report_only:
            after = _REPORT_AFTER if finding.seconds is None else finding.seconds
        if last is not None and now - last < after:
            return True
        self._last[key] = now
        self._last.move_to_end(key)
        if len(self._last) > _MOST:
            self._last.popitem(last=False)
        return False

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


def target_of(address: bytes) -> Target:
    """What to block: an IPv4 host, or the /64 of an IPv6 address."""
    return Source(address) if len(address) == 4 else Prefix(address[:8] + bytes(8), 64)
