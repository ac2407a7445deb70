"""One shard of the simulation: its people, an engine, and what that made of them."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from bench.simulation.phone import DAY
from bench.simulation.population import Population
from bench.simulation.server import servers
from bench.simulation.switch import Switch
from sdnblock.block import Action, Flow, format_address, parse_prefix
from sdnblock.detect.engine import Engine
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.sides import Sides
from sdnblock.detect.verdict import Conclusion, Lift, Report, Verdict

START: Final = 1_700_006_400.0
"""A Wednesday, at midnight UTC."""
_STORIES: Final = 40
_ATTACKERS: Final = 3
"""Of every kind and pace, in each shard."""


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of one attacker."""

    kind: str
    pace: float
    """Seconds between two attempts."""
    shared_nonces: bool
    """Its server hands the same nonce to all within a second: an answer to one proves nothing."""
    before_cut: int | None
    """Failures of it before its packets were dropped; None: never."""
    failures: int
    """All failures of it, of all days."""


@dataclass
class Tally:
    """What happened."""

    source_days: int = 0
    messages: int = 0
    watched: Counter[str] = field(default_factory=Counter)
    """Detector -> verdicts that only watch."""
    due: Counter[str] = field(default_factory=Counter)
    """Detector -> blocks of a phone with a wrong password that hit nobody else."""
    false: Counter[str] = field(default_factory=Counter)
    """Detector -> all other blocks."""
    blocked_days: int = 0
    """Source-days with a false block."""
    reports: Counter[str] = field(default_factory=Counter)
    lifts: int = 0
    caught: list[Caught] = field(default_factory=list)
    stories: list[str] = field(default_factory=list)
    """False blocks, and the first of the others, in words."""

    def add(self, other: Tally) -> None:
        """Both together."""
        self.source_days += other.source_days
        self.messages += other.messages
        for name in ("watched", "due", "false", "reports"):
            getattr(self, name).update(getattr(other, name))
        self.blocked_days += other.blocked_days
        self.lifts += other.lifts
        self.caught += other.caught
        self.stories += other.stories


def run(seed: str, addresses: int, days: int, settings: DetectSettings | None = None) -> Tally:
    """Live through ``days`` days with ``addresses`` honest addresses; None: the defaults."""
    rng = random.Random(seed)
    end = START + days * DAY
    ours = servers()
    for server in ours:
        server.restarts = [START + rng.uniform(0, days * DAY)]
    people = Population(rng, ours, START, end)
    people.fill(addresses)
    people.attack(_ATTACKERS)
    engine = Engine(settings or DetectSettings(), Sides([parse_prefix("198.51.100.0/24")]))
    judge = _Judge(people)
    switch = Switch()
    server_addresses = {server.address for server in ours}
    seen: set[tuple[bytes, int]] = set()
    streams = (actor.events(end) for actor in people.actors)
    for event in heapq.merge(*streams, key=lambda event: event.time):
        judge.tally.messages += 1
        inbound = event.source not in server_addresses
        if inbound and event.source not in people.attackers:
            seen.add((event.source, int((event.time - START) // DAY)))
        judge.take(engine.observe(event), event.time)
        told = switch.see(event, inbound)
        if told is not None:
            judge.take(engine.observe(told), event.time)
    judge.tally.source_days = len(seen)
    judge.tally.blocked_days = len(judge.days)
    judge.tally.caught = [
        Caught(each.kind, each.pace, each.line.server.like_kamailio, each.before_cut, each.failures)
        for each in people.attackers.values()
    ]
    return judge.tally


class _Judge:
    """Says which blocks were due."""

    def __init__(self, people: Population) -> None:
        self._people = people
        self.tally = Tally()
        self.days: set[tuple[bytes, int]] = set()

    def take(self, conclusions: list[Conclusion], now: float) -> None:
        """What the engine concluded at ``now``."""
        for each in conclusions:
            if not isinstance(each, Lift) and self._attacker(each, now):
                continue
            if isinstance(each, Report):
                self.tally.reports[each.detector] += 1
                self._tell("report", each, now)
            elif isinstance(each, Lift):
                self.tally.lifts += 1
            elif each.action is Action.WATCH:
                self.tally.watched[each.detector] += 1
                self._tell("watch", each, now)
            elif self._due(each, now):
                self.tally.due[each.detector] += 1
                self._tell("due", each, now)
            else:
                self.tally.false[each.detector] += 1
                self.days.add((self._people.known(each.source), int((now - START) // DAY)))
                self._tell("FALSE", each, now)

    def _attacker(self, said: Verdict | Report, now: float) -> bool:
        """Whether it is about an attacker; a drop cuts it off, as it keeps its address and port."""
        attacker = self._people.attackers.get(self._people.known(said.source))
        if attacker is None:
            return False
        if isinstance(said, Verdict) and said.action is Action.DROP:
            attacker.cut(now, said.seconds)
        return True

    def _due(self, verdict: Verdict, now: float) -> bool:
        """Whether it hits a phone with a wrong password, and nobody else."""
        known = self._people.known(verdict.source)
        wrong = list(self._people.wrong(known, now))
        if isinstance(verdict.target, Flow):
            return any(phone.line.port == verdict.target.source_port for phone in wrong)
        others = self._people.phones.get(known, [])
        return bool(wrong) and len(others) == len(wrong)

    def _tell(self, what: str, said: Verdict | Report, now: float) -> None:
        count = sum(story.startswith(what) for story in self.tally.stories)
        if (what != "FALSE" and count >= 5) or count >= _STORIES:
            return
        kind = self._people.kinds.get(self._people.known(said.source), "?")
        done = (
            f"{said.action.value} {said.target}"
            if isinstance(said, Verdict)
            else format_address(said.source)
        )
        self.tally.stories.append(
            f"{what}: day {(now - START) / DAY:.2f}, {kind}, {said.detector} ({said.grade.value}):"
            f" {done}: {said.reason}"
        )
