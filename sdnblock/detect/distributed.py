"""Detector ``distributed-scan``: the same tool from many sources, each below every threshold.

A source is *suspect* if it asked for several users without success (they do not exist, or its
credential was rejected, or it never answered a challenge), and has had no success: no
registration, no call. A fingerprint (:mod:`sdnblock.detect.fingerprint`) is *guilty*
if many sources with it are suspect, for many users together, and few with it ever had success.
Then its suspects are convicted, and later ones as soon as they become suspect. Likewise numbers
that end alike, dialled with many prefixes by many sources. All of it is remembered for days,
over restarts.

Phones of one model share a fingerprint but not this: a phone asks for its own user again and
again, and has success; monitors ask the same question all day. Neither becomes suspect.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sdnblock.detect.asked import Asked
from sdnblock.detect.detector import Detector, Shared, Sort
from sdnblock.detect.families import Families, Suspicion
from sdnblock.detect.finding import Finding
from sdnblock.detect.fingerprint import Fingerprint, dial_tail, fingerprint
from sdnblock.detect.kept import brief
from sdnblock.detect.numbers import dialled
from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.grade import Grade

NAME: Final = "distributed-scan"

_NOBODY: Final = frozenset({403, 404, 410, 484, 485, 604})
"""There is no such user, or not for you."""
_CHALLENGED: Final = frozenset({401, 407})
_METHODS: Final = frozenset({"REGISTER", "OPTIONS", "INVITE", "SUBSCRIBE", "MESSAGE"})
_SUCCESSES: Final = frozenset({"INVITE", "REGISTER"})
"""What we take from honest sources only, or nearly so; an OPTIONS we answer for everybody."""
_PATIENCE: Final = 40.0
"""Seconds for which a challenge may be answered (64 * T1 and a little, RFC 3261, 17.1.1.2)."""
_WAITING: Final = 50_000
_ASKED: Final = 8
_RECENT: Final = 3600.0
"""Suspects that were seen within so many seconds are convicted when guilt is found."""
_MANY: Final = 32
_LOOK_EVERY: Final = 1.0
"""Seconds between two looks at a fingerprint of more suspects than that."""
_SUCCESS_EVERY: Final = 3600.0


@dataclass(frozen=True, slots=True)
class DistributedSettings:
    """``[detect.distributed_scan]``."""

    enabled: bool = True
    sources: int = field(default=6, metadata={"least": 2, "most": 10_000})
    """Suspect sources with one fingerprint that make it guilty."""
    users: int = field(default=12, metadata={"least": 2, "most": 10_000})
    """Different users that they asked for, all together."""
    each: int = field(default=2, metadata={"least": 2, "most": 8})
    """Different users that a source asked for without success, to be suspect."""
    prefixes: int = field(default=5, metadata={"least": 2, "most": 10_000})
    """Different prefixes before numbers that end alike."""
    honest: float = field(default=0.25, metadata={"least": 0.0, "most": 100.0})
    """Sources with that fingerprint and with success, for each suspect, that acquit it."""
    memory: float = field(default=604800.0, metadata={"duration": True})


class DistributedScan(Detector):
    """Failures by fingerprint and source."""

    name = NAME
    begun_credential = True

    def __init__(self, settings: DistributedSettings, shared: Shared) -> None:
        self._settings = settings
        self._credit = shared.credit
        self._families = Families(shared.memory, settings.memory)
        # Challenges that nobody has answered yet, by source: user -> when, and by whom asked.
        self._waiting: OrderedDict[bytes, dict[str, tuple[float, Asked]]] = OrderedDict()
        self._success: OrderedDict[bytes, float] = OrderedDict()

    # --- evidence -----------------------------------------------------------------------

    def begun(self, event: SipSeen) -> Iterable[Finding]:
        """Who shows a credential answers challenges."""
        if self._waiting:
            self._waiting.pop(event.site, None)
        return ()

    def cares(self, sort: Sort) -> bool:
        """Failures, challenges that wait for an answer, and success."""
        if sort.accepted:
            return sort.challenged or sort.method in _SUCCESSES
        if sort.method not in _METHODS:
            return False
        if sort.credential:
            return sort.rejected and sort.proven
        return sort.status in _NOBODY or sort.status in _CHALLENGED

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """Failures count; a challenge waits for its answer; success acquits."""
        if outcome.accepted:
            self._acquit(outcome)
        elif not self._credit.has(outcome.remote, outcome.time):
            if outcome.credential or outcome.status in _NOBODY:
                return self._failed(outcome.asked, outcome.time, outcome.proven)
            if not outcome.asked.sampled:
                self._wait(outcome)
        return ()

    def proved(self, outcome: Outcome) -> Iterable[Finding]:
        """A failure that counted already was acknowledged."""
        if self._credit.has(outcome.remote, outcome.time):
            return ()
        if outcome.status in _NOBODY and not outcome.credential:
            return self._failed(outcome.asked, outcome.time, proven=True)
        return ()

    def tick(self, now: float) -> Iterable[Finding]:
        """Challenges that were not answered in time are failures."""
        findings: list[Finding] = []
        while self._waiting:
            site, asked = next(iter(self._waiting.items()))
            user, (since, request) = next(iter(asked.items()))
            if now - since <= _PATIENCE:
                break
            del asked[user]
            if asked:  # in order of its next challenge
                self._waiting.move_to_end(site)
            else:
                del self._waiting[site]
            if not self._credit.has(request.remote, now):
                findings += self._failed(request, now, proven=False)
        return findings

    # --- what follows -------------------------------------------------------------------

    def _wait(self, outcome: Outcome) -> None:
        site, user = site_of(outcome.remote), outcome.user
        asked = self._waiting.setdefault(site, {})
        if len(asked) < _ASKED:
            asked.setdefault(user, (outcome.time, outcome.asked))
        if len(self._waiting) > _WAITING:
            self._waiting.popitem(last=False)

    def _acquit(self, outcome: Outcome) -> None:
        """A source with success is no suspect, and speaks for its fingerprint."""
        site = site_of(outcome.remote)
        self._waiting.pop(site, None)
        self._families.forget(site)
        last = self._success.get(site)
        if last is not None and outcome.time - last < _SUCCESS_EVERY:
            return
        self._success[site] = outcome.time
        self._success.move_to_end(site)
        if len(self._success) > _WAITING:
            self._success.popitem(last=False)
        self._families.succeeded(fingerprint(outcome.asked).key, site, outcome.time)

    def _failed(self, asked: Asked, now: float, proven: bool) -> list[Finding]:
        """A request had no success: what that says about its source and others like it."""
        user = asked.about
        if not user:
            return []
        found: list[Finding] = []
        settings = self._settings
        mark = fingerprint(asked)
        about = self._families.failed(mark.key, asked.remote, brief(user), now, proven)
        if about >= settings.each:
            found += self._judge(mark, asked, now, settings.each, settings.users)
        number = dialled(asked.uri_text) if asked.method == "INVITE" else None
        tail = dial_tail(number) if number is not None else None
        if number is not None and tail is not None:
            self._families.failed(tail.key, asked.remote, brief(number), now, proven)
            found += self._judge(tail, asked, now, 1, settings.prefixes)
        return found

    def _judge(
        self, mark: Fingerprint, asked: Asked, now: float, each: int, users: int
    ) -> list[Finding]:
        """Findings about ``asked``'s source, and about the others if guilt is new."""
        settings, families = self._settings, self._families
        family = families.of(mark.key)
        site = site_of(asked.remote)
        if now < family.guilty_until:
            suspicion = families.suspicion(mark.key, site)
            if suspicion is None:
                return []
            family.guilty_until = now + settings.memory
            return [self._convict(mark, asked.remote, suspicion, family.told)]
        if len(family.members) < settings.sources or now - family.looked_at < _LOOK_EVERY:
            return []
        suspects = families.suspects(mark.key, each, now)
        if len(suspects) > _MANY:
            family.looked_at = now
        asked_for = {user for suspect in suspects.values() for user in suspect.asked}
        if len(suspects) < settings.sources or len(asked_for) < users:
            return []
        if families.successes(mark.key, now) > settings.honest * len(suspects):
            return []
        first = min(suspect.first for suspect in suspects.values())
        family.guilty_until = now + settings.memory
        family.told = (
            f"{len(suspects)} sources with one fingerprint ({mark.label}) asked for"
            f" {len(asked_for)} users without success within {_period(now - first)}"
        )
        return [
            self._convict(mark, address, suspect, family.told)
            for address, suspect in suspects.items()
            if now - suspect.last <= _RECENT
        ]

    def _convict(self, mark: Fingerprint, address: bytes, suspect: Suspicion, told: str) -> Finding:
        asked, proven = len(suspect.asked), len(suspect.proven)
        grade = Grade.PROVEN if proven >= min(asked, self._settings.each) else Grade.SPOOFABLE
        return Finding(NAME, address, grade, f"{told}; this one for {asked}")


def _period(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
