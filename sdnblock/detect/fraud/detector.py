"""Detector ``fraud``: who calls more, longer, or more at once than the profile of the number
allows (docs/detectors/fraud.md).

Counts calls as OpenSIPS's fraud_detection does, per user and prefix dialled. The user is that
of a credential which our server took; without one that of the From, at that source only, for
anybody can write a From. Warnings are reported. A critical level convicts the flow that the
call came by; and the whole source, in spite of its credit, if three of its flows were convicted
and no other user is known there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Action
from sdnblock.detect.detector import Detector, Shared, Sort
from sdnblock.detect.finding import Finding
from sdnblock.detect.fraud.calls import METHODS, Call, CallKey, Calls
from sdnblock.detect.fraud.profiles import ABROAD, Measure, Profile, Profiles
from sdnblock.detect.fraud.schedule import moment
from sdnblock.detect.fraud.statistics import Statistics
from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.grade import Grade

NAME: Final = "fraud"

_MOST: Final = 100_000
_EXPIRE_EVERY: Final = 10.0
_FLOWS: Final = 3


@dataclass(frozen=True, slots=True)
class FraudSettings:
    """``[detect.fraud]``. ``silence``: seconds after which a call of which nothing is heard
    has ended, for its BYE was missed."""

    enabled: bool = True
    utc: bool = False
    """Hours and days are those of UTC, not of local time."""
    silence: float = field(default=7200.0, metadata={"duration": True})
    action: Action = Action.DROP
    """The most that a critical level does."""
    profile: tuple[Profile, ...] = field(default=(ABROAD,), metadata={"kind": Profile})


@dataclass(frozen=True, slots=True)
class _Key:
    user: str
    source: bytes
    """Empty for the user of a credential: he is the same wherever he calls from."""
    prefix: str


@dataclass(slots=True)
class _Place:
    """What a call counts for."""

    prefix: str
    profile: Profile
    statistics: Statistics


class Fraud(Detector):
    """Calls of every user."""

    name = NAME
    begun_methods = METHODS

    def __init__(self, settings: FraudSettings, shared: Shared) -> None:
        self._settings = settings
        self._tenants = shared.tenants
        self._profiles = Profiles(settings.profile)
        self._calls = Calls(settings.silence)
        self._places: dict[CallKey, _Place] = {}
        self._statistics: OrderedDict[_Key, Statistics] = OrderedDict()
        self._convicted: OrderedDict[tuple[str, bytes], set[int]] = OrderedDict()
        self._last: tuple[Call, _Place] | None = None
        self._expired = 0.0

    def heeds(self, status: int, method: str) -> bool:
        """Answers to what calls are made of."""
        return method == "BYE" or (method == "INVITE" and status > 100)

    def begun(self, event: SipSeen) -> Iterable[Finding]:
        """A new request of a remote."""
        call = self._calls.request(event)
        return self._duration(call, event.time) if call is not None else ()

    def response(self, event: SipSeen) -> Iterable[Finding]:
        """An answer of ours."""
        began, ended = self._calls.response(event)
        return () if began is None and ended is None else self._answered(event, began, ended)

    def _answered(
        self, event: SipSeen, began: Call | None, ended: Call | None
    ) -> Iterator[Finding]:
        if began is not None:
            yield from self._begin(began)
        if ended is not None:
            yield from self._end(ended, event.time)

    def ours(self, event: SipSeen) -> Iterable[Finding]:
        """A request of ours."""
        ended = self._calls.ours(event) if event.message.is_request else None
        return self._end(ended, event.time) if ended is not None else ()

    def cares(self, sort: Sort) -> bool:
        """An answered call whose source is not proven waits for its ACK: without one there is no
        call."""
        return sort.method == "INVITE" and (sort.proven or not sort.accepted)

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """The same answer once more, with what it proves."""
        return self._decide(outcome)

    def proved(self, outcome: Outcome) -> Iterable[Finding]:
        """An ACK proves an answer of before."""
        return self._decide(outcome)

    def tick(self, now: float) -> Iterable[Finding]:
        """Calls end unheard."""
        if now - self._expired >= _EXPIRE_EVERY:
            self._expired = now
            for call in self._calls.expire(now):
                self._close(call)  # how long it really lasted, nobody knows
        return ()

    def _begin(self, call: Call) -> Iterator[Finding]:
        if not self._profiles.concern(call.number):
            return  # as nearly always: nobody needs to know the time of day
        now = moment(call.began, self._settings.utc)
        found = self._profiles.find(call.user, call.number, now)
        if found is None:
            return
        prefix, profile = found
        key = _Key(call.user, b"" if call.authenticated else call.source, prefix)
        statistics = self._statistics.get(key)
        if statistics is None:
            statistics = self._statistics[key] = Statistics()
            if len(self._statistics) > _MOST:
                self._statistics.popitem(last=False)
        self._statistics.move_to_end(key)
        statistics.begin(call.began, now.day, call.number)
        place = self._places[call.key] = _Place(prefix, profile, statistics)
        yield from self._warn(call, place, statistics.values(call.began))

    def _end(self, call: Call, now: float) -> Iterator[Finding]:
        yield from self._duration(call, now)
        place = self._close(call)
        if place is not None:
            self._last = call, place

    def _close(self, call: Call) -> _Place | None:
        place = self._places.pop(call.key, None)
        if place is not None:
            place.statistics.end()
        return place

    def _decide(self, outcome: Outcome) -> Iterator[Finding]:
        """Whether the counts that a call raised are critical, now that its source is as sure as
        it will be."""
        key = (outcome.remote, outcome.asked.call_id)
        call, place = self._calls.get(key), self._places.get(key)
        if call is None and self._last is not None and self._last[0].key == key:
            call, place = self._last  # it ended with this very answer
        if call is None or place is None or call.proven:
            return
        call.proven = outcome.proven
        yield from self._convict(call, place, place.statistics.values(outcome.time), outcome.time)

    def _duration(self, call: Call, now: float) -> Iterator[Finding]:
        place = self._places.get(call.key)
        if place is not None and call.answered is not None:
            lasted = {Measure.DURATION: int(now - call.answered)}
            yield from self._warn(call, place, lasted)
            yield from self._convict(call, place, lasted, now)

    def _warn(self, call: Call, place: _Place, values: dict[Measure, int]) -> Iterator[Finding]:
        for measure, value in values.items():
            level, critical = place.profile.levels(measure)
            beyond = critical and value >= critical
            if level and value >= level and not beyond and _is_news(place, measure, value):
                yield Finding(
                    NAME, call.source, Grade.SPOOFABLE,
                    f"warning: {_reason(call, place, measure, value, level)}",
                    report_only=True, seconds=0.0, user=call.user,
                )  # fmt: skip

    def _convict(
        self, call: Call, place: _Place, values: dict[Measure, int], now: float
    ) -> Iterator[Finding]:
        for measure, value in values.items():
            level = place.profile.levels(measure)[1]
            if not level or value < level:
                continue
            alone = call.proven and self._is_alone(call, now)
            yield Finding(
                NAME, call.source, Grade.PROVEN if call.proven else Grade.SPOOFABLE,
                _reason(call, place, measure, value, level),
                call.flow if call.proven and not alone else None,
                at_most=self._settings.action, user=call.user, despite_credit=alone,
            )  # fmt: skip
            return

    def _is_alone(self, call: Call, now: float) -> bool:
        """Whether he came by several flows, and nobody else is known at his address."""
        key = (call.user, site_of(call.source))
        ports = self._convicted.setdefault(key, set())
        self._convicted.move_to_end(key)
        if len(self._convicted) > _MOST:
            self._convicted.popitem(last=False)
        if len(ports) < _FLOWS:
            ports.add(call.flow.source_port)
        return len(ports) >= _FLOWS and self._tenants.alone(call.source, call.user, now)


def _reason(call: Call, place: _Place, measure: Measure, value: int, level: int) -> str:
    who = "user" if call.authenticated else "From user"
    where = f"numbers that begin with {place.prefix}" if place.prefix else "all numbers"
    profile = f" of profile {place.profile.name!a}" if place.profile.name else ""
    return (
        f"{value} {measure.words} by {who} {call.user[:40]!a} to {where}"
        f" (level {level}{profile}; last {call.number[:40]!a})"
    )


def _is_news(place: _Place, measure: Measure, value: int) -> bool:
    """Whether it was not told today, or is twice what was told."""
    said = place.statistics.said
    if value < 2 * said.get(measure, 0):
        return False
    said[measure] = value
    return True
