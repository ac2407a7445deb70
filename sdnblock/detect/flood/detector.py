"""Detector ``flood``: requests faster than so many phones send them, and floods whose sources are
forged (docs/detectors/flood.md).

Rates are those of each method and source; a source behind which ten phones are seen may send
ten times as much. Whoever floods under forged sources is not them: many
new sources that never answer, or many customers that seem to misbehave at the same moment, raise
an alarm that says what to do, and convict nobody.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import TCP, Action, source_of
from sdnblock.detect.detector import Detector, Shared, Sort
from sdnblock.detect.finding import Finding
from sdnblock.detect.flood.crowd import WINDOW, Crowd, Flood
from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.events import OutcomeCrossed, RateCrossed, SipSeen
from sdnblock.evidence.grade import Grade

NAME: Final = "flood"

_MOST: Final = 100_000
_ALARM_AGAIN: Final = 600.0
_TOGETHER: Final = 60.0
_NAMED: Final = {
    "INVITE": "invite",
    "REGISTER": "register",
    "OPTIONS": "options",
    "SUBSCRIBE": "subscribe",
    "MESSAGE": "message",
}
_ADVICE: Final = (
    "nobody is blocked for it. What helps: have your providers drop what does not come from where"
    " it says (BCP 38, RFC 2827), turn on reverse path filters at your own edge (RFC 3704), ask"
    " for a rate limit on SIP upstream"
)


@dataclass(frozen=True, slots=True)
class FloodSettings:
    """``[detect.flood]``: new requests of one phone within ``window`` seconds; 0: off."""

    enabled: bool = True
    window: float = field(default=10.0, metadata={"least": 1.0, "most": 3600.0})
    invite: int = field(default=300, metadata={"least": 0, "most": 1_000_000})
    register: int = field(default=300, metadata={"least": 0, "most": 1_000_000})
    options: int = field(default=300, metadata={"least": 0, "most": 1_000_000})
    subscribe: int = field(default=600, metadata={"least": 0, "most": 1_000_000})
    """A phone with fifty lamps subscribes to fifty users when it starts, twice each."""
    message: int = field(default=300, metadata={"least": 0, "most": 1_000_000})
    other: int = field(default=600, metadata={"least": 0, "most": 1_000_000})
    """Of all other methods together."""
    repeated: int = field(default=8, metadata={"least": 1, "most": 1000})
    """So many times the largest of these of messages altogether, retransmissions included."""
    action: Action = Action.LIMIT
    seconds: float = field(default=600.0, metadata={"duration": True, "key": "for"})
    spoofed_sources: int = field(default=200, metadata={"least": 0, "most": 1_000_000})
    """New sources without proof in ten seconds that make a flood of forged ones; 0: off."""
    framed_sources: int = field(default=20, metadata={"least": 0, "most": 1_000_000})
    """Sources with credit that switches report within a minute, which means the same; 0: off."""


@dataclass(slots=True)
class _Counts:
    began: float
    messages: int = 0
    new: dict[str, int] = field(default_factory=dict)
    """New requests by the name of their limit."""
    answers: int = 0
    """Answers to challenges of ours: who gives those is no flood, but waits for us."""
    told: set[str] = field(default_factory=set)


class Floods(Detector):
    """Counts of every source, and the crowd."""

    name = NAME

    def __init__(self, settings: FloodSettings, shared: Shared) -> None:
        self._settings = settings
        self._credit = shared.credit
        self._tenants = shared.tenants
        self._spoofing = shared.spoofing
        self._withheld = 0
        self._window = settings.window
        self._limits = {name: getattr(settings, name) for name in (*_NAMED.values(), "other")}
        self._most_messages = settings.repeated * max(self._limits.values())
        self._sources: OrderedDict[bytes, _Counts] = OrderedDict()
        self._counted: tuple[SipSeen | None, _Counts] = (None, _Counts(0.0))
        """The last message, and the counts of its source: a new request is told twice."""
        self._crowd = Crowd(shared.credit, settings.spoofed_sources)
        self._framed: OrderedDict[bytes, float] = OrderedDict()
        self._server = b""

    def request(self, event: SipSeen) -> Iterable[Finding]:
        """A message, perhaps once more."""
        counts = self._of(event)
        self._counted = event, counts
        counts.messages = count = counts.messages + 1
        if count < self._most_messages:
            return ()
        return self._judge("messages", count, self._most_messages, counts, event)

    def begun(self, event: SipSeen) -> Iterable[Finding]:
        """A new request."""
        self._server = event.destination
        self._crowd.request(event)
        name = _NAMED.get(event.message.method, "other")
        told, counts = self._counted
        if told is not event:
            counts = self._of(event)
        counts.new[name] = count = counts.new.get(name, 0) + 1
        limit = self._limits[name]
        if count < limit or not limit:
            return ()
        return self._judge(name, count, limit, counts, event)

    def cares(self, sort: Sort) -> bool:
        """Answers that prove something."""
        return sort.proven or sort.challenged

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """Who answers is no invention."""
        self._crowd.outcome(outcome)
        if outcome.challenged:
            counts = self._sources.get(site_of(outcome.remote))
            if counts is not None:
                counts.answers += 1
        return ()

    def proved(self, outcome: Outcome) -> Iterable[Finding]:
        """Nor is who acknowledges."""
        self._crowd.outcome(outcome)
        return ()

    def rate(self, event: RateCrossed) -> Iterable[Finding]:
        """A switch reports a source."""
        return self._frame(source_of(event.source)[0], event.time)

    def crossed(self, event: OutcomeCrossed) -> Iterable[Finding]:
        """A switch reports a source."""
        return self._frame(source_of(event.source)[0], event.time)

    def tick(self, now: float) -> Iterable[Finding]:
        """Looks at the crowd."""
        found = self._crowd.tick(now)
        if found is not None:
            self._spoofing.mark(now)
            yield self._alarm(found.server, _describe(found))
        if self._spoofing.withheld > self._withheld and self._server:
            count = self._spoofing.withheld - self._withheld
            yield self._alarm(
                self._server,
                f"{count} verdicts on evidence that can be forged were withheld: so many sources"
                f" at once are forged, or a scan by very many hosts; {_ADVICE}",
            )
        self._withheld = self._spoofing.withheld

    def _of(self, event: SipSeen) -> _Counts:
        """The counts of its source, new ones where the window is over."""
        site, now = event.site, event.time
        counts = self._sources.get(site)
        if counts is None or not 0.0 <= now - counts.began < self._window:
            counts = self._sources[site] = _Counts(now)
            self._sources.move_to_end(site)
            if len(self._sources) > _MOST:
                self._sources.popitem(last=False)
        return counts

    def _judge(
        self, name: str, count: int, limit: int, counts: _Counts, event: SipSeen
    ) -> Iterable[Finding]:
        """A count has reached the limit of one phone."""
        if not limit or name in counts.told:
            return ()
        phones = self._tenants.phones(event.site, event.time)
        if count - 2 * counts.answers < limit * phones:
            return ()
        counts.told.add(name)
        seconds = event.time - counts.began
        return (self._finding(name, count, limit, phones, event, seconds),)

    def _finding(
        self, name: str, count: int, limit: int, phones: int, event: SipSeen, seconds: float
    ) -> Finding:
        what = "messages" if name == "messages" else f"new {event.message.method[:16]} requests"
        of = f" of {phones} phones" if phones > 1 else ""
        reason = (
            f"{count} {what}{of} within {seconds:.1f} s"
            f" (level {limit} for each phone in {self._settings.window:g} s)"
        )
        proven = event.protocol == TCP and event.established
        grade = Grade.PROVEN if proven else Grade.SPOOFABLE
        if self._credit.has(event.source, event.time):
            return Finding(
                NAME, event.source, grade, f"{reason}; it has credit, so nobody is blocked",
                report_only=True, seconds=3600.0,
            )  # fmt: skip
        return Finding(
            NAME, event.source, grade, reason,
            at_most=self._settings.action, seconds=self._settings.seconds,
        )  # fmt: skip

    def _frame(self, source: bytes, now: float) -> Iterator[Finding]:
        """A switch's evidence about a customer; of many customers at once it says something
        else."""
        if not self._settings.framed_sources or not self._credit.has(source, now):
            return
        self._framed[source] = now
        self._framed.move_to_end(source)
        while now - next(iter(self._framed.values())) > _TOGETHER or len(self._framed) > _MOST:
            self._framed.popitem(last=False)
        if len(self._framed) < self._settings.framed_sources or not self._server:
            return
        self._spoofing.mark(now)
        yield self._alarm(
            self._server,
            f"{len(self._framed)} sources with credit flood, or are refused again and again,"
            f" within {_TOGETHER:.0f} s: that is sent under their names, or our servers refuse"
            f" everybody; {_ADVICE}",
        )

    @staticmethod
    def _alarm(server: bytes, reason: str) -> Finding:
        return Finding(
            NAME, server, Grade.SPOOFABLE, reason, report_only=True, seconds=_ALARM_AGAIN
        )


def _describe(flood: Flood) -> str:
    return (
        f"spoofed flood: {flood.sources} new sources sent {flood.requests} requests"
        f" ({flood.methods}) within {WINDOW:.0f} s, and none of them ever answered;"
        f" {flood.alike * 100:.0f} % look the same ({flood.mark}); {_ADVICE}"
    )
