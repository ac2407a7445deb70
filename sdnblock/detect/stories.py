"""The story of every source that was found guilty of something, or that somebody asks about."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from sdnblock.block import Flow
from sdnblock.detect.decision import Decision
from sdnblock.detect.finding import Finding
from sdnblock.detect.kept import Kept, Memory
from sdnblock.detect.site import site_of
from sdnblock.detect.story import KIND, Story, count
from sdnblock.detect.transactions import Outcome
from sdnblock.detect.verdict import Conclusion, Lift, Report, Verdict
from sdnblock.detect.witness import Witness
from sdnblock.evidence.events import SipSeen

_LIGHT: Final = 20_000
"""Sources, those seen last, of which something is known should they be found guilty."""


class Stories(Witness):
    """Counts what each source does; keeps it of those that matter."""

    name = "stories"

    def __init__(self, memory: Memory) -> None:
        self._light: OrderedDict[bytes, Story] = OrderedDict()
        self._kept: Kept[bytes, Story] = memory.keep(KIND)
        self._touched: set[bytes] = set()
        """Those kept that have gone on since."""

    def request(self, event: SipSeen) -> Iterable[Finding]:
        """A message of a source."""
        site = event.site
        story = self._kept.get(site)
        if story is not None:
            story.last = event.time
            story.messages += 1
            self._touched.add(site)
            return ()
        story = self._light.get(site)
        if story is None:
            story = self._light[site] = Story(event.time, event.time)
            if len(self._light) > _LIGHT:
                self._light.popitem(last=False)
        else:
            self._light.move_to_end(site)
            story.last = event.time
        story.messages += 1
        return ()

    def begun(self, event: SipSeen) -> Iterable[Finding]:
        """A new request."""
        story = self._of(event.site)
        if story is not None:
            message = event.message
            count(story.methods, message.method[:16])
            if message.user_agent:
                story.count_agent(message.user_agent)
        return ()

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """What we answered."""
        site = site_of(outcome.remote)
        story = self._of(site)
        if story is not None:
            count(story.answers, str(outcome.status))
            if outcome.user:
                story.count_user(outcome.user)
            if site not in self._light:
                self._touched.add(site)
        return ()

    def tick(self, now: float) -> Iterable[Finding]:
        """Stories that have gone on are kept again, once a second."""
        for site in self._touched:
            story = self._kept.get(site)
            if story is not None:
                self._kept.put(site, story)
        self._touched.clear()
        return ()

    def concluded(self, conclusion: Conclusion, now: float, enforced: bool) -> None:
        """What came of it."""
        if isinstance(conclusion, Lift):
            target = conclusion.target
            address = target.source if isinstance(target, Flow) else target.address
            story = self._kept.get(site_of(address))
            if story is not None:
                story.found(now, conclusion.detector, "", conclusion.reason, "unblocked")
                self._keep(site_of(address), story)
            return
        site = site_of(conclusion.source)
        story = self._of(site) or Story(now, now)
        grade = conclusion.grade.value
        if isinstance(conclusion, Report):
            story.found(now, conclusion.detector, grade, conclusion.reason, "reported")
        else:
            self._decide(story, conclusion, now, enforced)
        self._keep(site, story)

    def look_at(self, site: bytes) -> None:
        """Somebody asks about a source: what is known of it is kept now."""
        story = self._of(site)
        if story is not None:
            self._keep(site, story)

    def _decide(self, story: Story, verdict: Verdict, now: float, enforced: bool) -> None:
        what = verdict.action.value if enforced else "allowlisted"
        story.found(now, verdict.detector, verdict.grade.value, verdict.reason, what)
        decision = Decision(verdict, verdict.source, story.first, now, story.messages)
        story.decided(decision.row(), now + verdict.seconds, enforced)

    def _of(self, site: bytes) -> Story | None:
        return self._kept.get(site) or self._light.get(site)

    def _keep(self, site: bytes, story: Story) -> None:
        self._light.pop(site, None)
        self._kept.put(site, story)
