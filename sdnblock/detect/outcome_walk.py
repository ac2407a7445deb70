"""Detector ``outcome-walk``: the walk that switches do themselves, on our servers' answers.

Sees: 403 and 404 (and challenges on top of challenges) to one IPv4 host or IPv6 /64, weighed
against successes, in the data plane: the switch can limit or drop the remote from the next
packet on. Cannot see: whose requests they really were, and whom they were about. UDP requests
can be forged in somebody's name, and our answers go to him: so the evidence is spoofable.

A switch sees no users either: a monitor that asks for the same missing user all day, or an answer
that is lost and repeated, walks as far as a scan. So where the controller has seen what the
source asks for, failures about fewer than ``users`` different users only make it look closer
(``watch``, which also ends the switch's own hold); and if the source asks for others then, it
is convicted when it crosses again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Action, source_of
from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.finding import Finding
from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.events import OutcomeCrossed, SipSeen
from sdnblock.evidence.grade import Grade

NAME: Final = "outcome-walk"

_FAILURES: Final = frozenset({403, 404})
_MEMORY: Final = 3600.0
"""Seconds for which it counts what a source asked for."""
_WAIT: Final = 1.0
"""Seconds for the copies of its packets to arrive, which digests can overtake."""
_USERS: Final = 16
_MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class OutcomeWalkSettings:
    """``[detect.outcome_walk]``: weights and threshold of the walk in the switches."""

    enabled: bool = True
    threshold: int = field(default=256, metadata={"least": 0, "most": 65535})
    """The score that convicts; 0: off."""
    forbidden: int = field(default=64, metadata={"least": 0, "most": 65535})
    """What a 403 adds."""
    not_found: int = field(default=64, metadata={"least": 0, "most": 65535})
    """What a 404 adds."""
    challenged_again: int = field(default=1, metadata={"least": 0, "most": 65535})
    """What a 401 or 407 adds that follows another one; the first adds nothing. A switch cannot
    see whether a credential was rejected: an office of many phones must stay below."""
    success: int = field(default=48, metadata={"least": 0, "most": 65535})
    """What a 2xx takes away."""
    memory: float = field(default=600.0, metadata={"duration": True})
    """A remote that nothing was answered for so long is forgotten."""
    hold: float = field(default=60.0, metadata={"duration": True})
    """For how long the switch itself holds a remote that crossed."""
    response: Action = Action.LIMIT
    """What the switch does with it meanwhile: ``limit``, ``drop``, or ``watch`` (nothing)."""
    seconds: float = field(default=600.0, metadata={"duration": True, "key": "for"})
    """For how long the controller blocks it then."""
    users: int = field(default=3, metadata={"least": 0, "most": 16})
    """Different users that its failures must be about, where the controller has seen it."""


@dataclass(slots=True)
class _Seen:
    """What is known of a source besides the switches' word."""

    last: float
    unknown: set[str] = field(default_factory=set)
    """Users that it was refused or told of as missing."""
    known: set[str] = field(default_factory=set)
    """Users that it was told of as there."""
    excused: bool = False
    asked: set[str] = field(default_factory=set)
    """Users that it asked for after it was excused."""


class OutcomeWalk(Detector):
    """Makes findings of the switches' walks."""

    name = NAME

    def __init__(self, settings: OutcomeWalkSettings, shared: Shared) -> None:
        self._settings = settings
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._waiting: OrderedDict[bytes, OutcomeCrossed] = OrderedDict()

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """What became of a request."""
        site = site_of(outcome.remote)
        seen = self._seen.get(site)
        if seen is None or outcome.time - seen.last > _MEMORY:
            seen = self._seen[site] = _Seen(outcome.time)
            if len(self._seen) > _MOST:
                self._seen.popitem(last=False)
        seen.last = outcome.time
        self._seen.move_to_end(site)
        if outcome.status in _FAILURES and len(seen.unknown) < _USERS:
            seen.unknown.add(outcome.user)
        elif outcome.accepted and len(seen.known) < _USERS:
            seen.known.add(outcome.user)
        return ()

    def begun(self, event: SipSeen) -> Iterable[Finding]:
        """Whom an excused source asks for."""
        seen = self._seen.get(event.site)
        if seen is not None and seen.excused and len(seen.asked) < _USERS:
            message = event.message
            address = message.to if message.method == "REGISTER" else message.request_uri
            seen.asked.add(address.user if address is not None else "")
        return ()

    def crossed(self, event: OutcomeCrossed) -> Iterable[Finding]:
        """A walk crossed."""
        source, _ = source_of(event.source)
        seen = self._fresh(source, event.time)
        if seen is None or self._supported(seen):
            self._waiting.pop(source, None)
            yield self._finding(event, seen)
        elif len(self._waiting) < _MOST:
            self._waiting.setdefault(source, event)

    def tick(self, now: float) -> Iterable[Finding]:
        """Judge those whose packets have had time to arrive."""
        return self._judge_waiting(now) if self._waiting else ()

    def _judge_waiting(self, now: float) -> Iterator[Finding]:
        while self._waiting:
            source, event = next(iter(self._waiting.items()))
            if now - event.time < _WAIT:
                return
            del self._waiting[source]
            yield self._finding(event, self._fresh(source, now))

    def _fresh(self, source: bytes, now: float) -> _Seen | None:
        seen = self._seen.get(site_of(source))
        return seen if seen is not None and now - seen.last <= _MEMORY else None

    def _supported(self, seen: _Seen) -> bool:
        """Whether what the controller saw looks like a search, too."""
        if len(seen.unknown) >= self._settings.users:
            return True
        return seen.excused and len(seen.asked - seen.known) > self._settings.users

    def _finding(self, event: OutcomeCrossed, seen: _Seen | None) -> Finding:
        source, _ = source_of(event.source)
        held = f"; held there for {event.hold_seconds:.0f} s" if event.held else ""
        reason = (
            f"our answers to it scored {event.score} (403, 404 and repeated challenges against"
            f" successes; threshold {self._settings.threshold}) at switch {event.switch}{held}"
        )
        at_most = None
        if seen is not None and not self._supported(seen):
            at_most, seen.excused = Action.WATCH, True
            seen.asked.clear()
            reason += f"; but they are about {len(seen.unknown)} users: watched"
        return Finding(
            NAME, source, Grade.SPOOFABLE, reason,
            at_most=at_most, seconds=self._settings.seconds,
        )  # fmt: skip
