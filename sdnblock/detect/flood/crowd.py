"""Many new sources at once, of which none ever answers: those of a flood are forged.

Requests are gathered for ten seconds; five seconds later, whoever has answered a challenge or
acknowledged an answer by then is taken out. Sources with credit, and those that have been about
for long, are no part of the crowd: peers that only send keepalives never prove anything.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Final

from sdnblock.detect.credit import Credit
from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.events import SipSeen

WINDOW: Final = 10.0
GRACE: Final = 5.0
_NEW: Final = 600.0
"""Seconds for which a source is new."""
_SHARE: Final = 0.9
"""Of the crowd, at least so many must be without proof."""
_EACH: Final = 10
"""Requests of each of them, at most: more is no crowd, but a few that flood."""
_MOST: Final = 200_000
_KINDS: Final = 2000
_SAMPLE: Final = 8
"""Of so many requests one is compared with others."""


_Mark = tuple[str, str, str, int]
"""Method, User-Agent, From user, source port."""


@dataclass(slots=True)
class _Window:
    begun: float
    requests: int = 0
    sources: dict[bytes, int] = field(default_factory=dict)
    """Requests of each."""
    proved: set[bytes] = field(default_factory=set)
    methods: Counter[str] = field(default_factory=Counter)
    marks: Counter[_Mark] = field(default_factory=Counter)
    servers: Counter[bytes] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Flood:
    """A crowd of forged sources: what people should know of it."""

    server: bytes
    """Our address that most of it went to."""
    sources: int
    requests: int
    methods: str
    alike: float
    """The share of requests that look like the most frequent one, of those compared."""
    mark: str
    """How that looks."""


class Crowd:
    """The past seconds' new sources; bounded."""

    def __init__(self, credit: Credit, least: int) -> None:
        """``least``: sources that make a flood; 0: off."""
        self._credit = credit
        self._least = least
        self._first: OrderedDict[bytes, float] = OrderedDict()
        self._window: _Window | None = None
        self._closing: _Window | None = None

    def request(self, event: SipSeen) -> None:
        """A new request of a remote."""
        if not self._least:
            return
        site, now = event.site, event.time
        if self._window is None:
            self._window = _Window(now)
        first = self._first.get(site)
        if first is None:
            first = self._first[site] = now
            if len(self._first) > _MOST:
                self._first.popitem(last=False)
        if now - first > _NEW or self._credit.of(site, now):
            return
        window = self._window
        sources = window.sources
        sources[site] = sources.get(site, 0) + 1
        window.requests += 1
        if window.requests % _SAMPLE == 1:
            window.methods[event.message.method] += 1
            window.servers[event.destination] += 1
            mark = _mark(event)
            if mark in window.marks or len(window.marks) < _KINDS:
                window.marks[mark] += 1

    def outcome(self, outcome: Outcome) -> None:
        """An answer of ours, and whether it proves its source."""
        if outcome.proven or (outcome.challenged and outcome.accepted):
            for window in (self._window, self._closing):
                if window is not None:
                    window.proved.add(site_of(outcome.remote))

    def tick(self, now: float) -> Flood | None:
        """The flood that has just been seen, if there is one."""
        found = None
        if self._closing is not None and now - self._closing.begun >= WINDOW + GRACE:
            found = self._look(self._closing, now)
            self._closing = None
        if self._window is not None and now - self._window.begun >= WINDOW:
            self._closing, self._window = self._window, None
        return found

    def _look(self, window: _Window, now: float) -> Flood | None:
        forged = [site for site in window.sources if site not in window.proved]
        requests = sum(window.sources[site] for site in forged)
        if len(forged) < self._least or len(forged) < _SHARE * len(window.sources):
            return None
        if requests > _EACH * len(forged):
            return None
        for site in forged:  # while it goes on they do not grow old
            self._first[site] = now
        total = sum(window.methods.values())
        methods = ", ".join(
            f"{method[:16]} {count * 100 // total} %"
            for method, count in window.methods.most_common(3)
        )
        mark, alike = window.marks.most_common(1)[0]
        (server, _), *_rest = window.servers.most_common(1)
        return Flood(server, len(forged), requests, methods, alike / total, _words(mark))


def _mark(event: SipSeen) -> _Mark:
    """What packets of one tool have in common, whatever sources it invents."""
    message = event.message
    sender = message.from_
    user = sender.user[:20] if sender is not None else ""
    return message.method[:16], message.user_agent[:40], user, event.source_port


def _words(mark: _Mark) -> str:
    method, agent, user, port = mark
    return f"{method}, User-Agent {agent!a}, From user {user!a}, port {port}"
