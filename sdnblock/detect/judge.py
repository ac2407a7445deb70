"""From findings to verdicts: the evidence's grade rules what may be done, and for how long.

Proven evidence drops, each time for longer; for longer still where a feed names the source.
Spoofable evidence drops for ten minutes at most, whatever the past and the feeds say, and
never a source with credit: of that it only asks to see more (``watch``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from sdnblock.block import Action, Target
from sdnblock.detect.credit import Credit
from sdnblock.detect.finding import Finding
from sdnblock.detect.flood.spoofing import Spoofing
from sdnblock.detect.kept import Memory
from sdnblock.detect.past import LADDER, Past, Pasts
from sdnblock.detect.site import site_of, site_target
from sdnblock.detect.verdict import Conclusion, Lift, Report, Verdict
from sdnblock.evidence.grade import Grade

SPOOFABLE_MOST: Final = 600.0

_MOST: Final = 200_000
_REPEAT_AFTER: Final = 5.0
_REPORT_AFTER: Final = 86400.0
"""What was reported about a source is not reported again so soon."""

Named = Callable[[bytes], Sequence[str]]
"""The feeds that name a source (packed address)."""


def nobody_names(address: bytes) -> Sequence[str]:
    """There are no feeds."""
    return ()


Excepted = Callable[[Target], bool]
"""Whether the allowlist covers a target."""


def nothing_is_excepted(target: Target) -> bool:
    """There is no allowlist."""
    return False


class Judge:
    """Remembers whom it convicted, for the ladder."""

    def __init__(
        self,
        credit: Credit,
        memory: Memory,
        spoofing: Spoofing,
        named: Named = nobody_names,
        excepted: Excepted = nothing_is_excepted,
    ) -> None:
        self._excepted = excepted
        self._credit = credit
        self._spoofing = spoofing
        self._named = named
        self.pasts = Pasts(memory)
        self._last: OrderedDict[tuple[str, Target, int], float] = OrderedDict()
        self._forgeable: OrderedDict[bytes, dict[tuple[str, Target], float]] = OrderedDict()

    def judge(self, finding: Finding, now: float) -> Conclusion | None:
        """The verdict or report; None if the same was said not long ago."""
        target = finding.flow or site_target(finding.source)
        if finding.report_only:
            after = _REPORT_AFTER if finding.seconds is None else finding.seconds
            key = (finding.detector, target, 0)
            if self._said(key, after, now):
                return None
            self._say(key, now)
            return Report(finding.source, finding.detector, finding.reason, finding.grade)
        past = self.pasts.of(finding.source, now)
        named = self._named(finding.source)
        action, seconds = self._measure(finding, past, bool(named), now)
        key = (finding.detector, target, action.strength)
        if self._said(key, _REPEAT_AFTER, now):
            return None
        if finding.grade is Grade.SPOOFABLE and action is not Action.WATCH:
            if not self._spoofing.admits(target, now):
                return None
            self._keep(finding, target, now + seconds)
        self._say(key, now)
        verdict = Verdict(
            target, action, seconds, finding.detector, finding.reason + _known(past, named),
            finding.grade, finding.source,
        )  # fmt: skip
        # To be watched, or to have been excepted, is no conviction.
        if action is not Action.WATCH and not self._excepted(target):
            self.pasts.note(verdict, now)
        return verdict

    def pardon(self, source: bytes, now: float) -> list[Lift]:
        """The source has just earned credit: what it was blocked for on evidence that can be
        forged is taken back."""
        held = self._forgeable.pop(site_of(source), {})
        return [
            Lift(target, detector, "it has earned credit, and the evidence can be forged")
            for (detector, target), until in held.items()
            if until > now
        ]

    def _measure(
        self, finding: Finding, past: Past | None, named: bool, now: float
    ) -> tuple[Action, float]:
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
            rung = _rung(past, finding.flow is not None, now) + named
            seconds = finding.seconds or LADDER[min(rung, len(LADDER) - 1)]
        if finding.longest is not None:
            seconds = min(seconds, finding.longest)
        if finding.at_most is not None and finding.at_most.strength < action.strength:
            action = finding.at_most
        return action, seconds

    def _keep(self, finding: Finding, target: Target, until: float) -> None:
        """Remember a verdict that credit would undo."""
        site = site_of(finding.source)
        self._forgeable.setdefault(site, {})[finding.detector, target] = until
        self._forgeable.move_to_end(site)
        if len(self._forgeable) > _MOST:
            self._forgeable.popitem(last=False)

    def _said(self, key: tuple[str, Target, int], after: float, now: float) -> bool:
        """Whether the same was said within ``after`` seconds."""
        last = self._last.get(key)
        return last is not None and now - last < after

    def _say(self, key: tuple[str, Target, int], now: float) -> None:
        self._last[key] = now
        self._last.move_to_end(key)
        if len(self._last) > _MOST:
            self._last.popitem(last=False)


def _rung(past: Past | None, flow: bool, now: float) -> int:
    """How often the source has offended before; the offence that it is blocked for is no other."""
    if past is None:
        return 0
    if flow:
        return max(0, past.proven + past.flows - (now < past.flow_until))
    return max(0, past.proven - (now < past.until))


def _known(past: Past | None, feeds: Sequence[str]) -> str:
    """What else is known of the source, as the end of a reason."""
    told = ""
    if past is not None and past.convictions:
        times = past.convictions
        told += f"; convicted {times} time{'s' if times > 1 else ''} before"
    if feeds:
        told += f"; named by {', '.join(feeds[:3])}"
    return told
