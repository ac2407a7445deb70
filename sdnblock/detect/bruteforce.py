"""Detector ``brute-force``: credentials that are rejected, however slowly they come.

A rejected credential answered a challenge of ours and was refused all the same. The first 401
of every REGISTER is none, nor is ``stale=true``, nor a challenge of another realm, nor a nonce
with which the same user was taken before, nor a retransmission, nor the 403 that a known user
gets for a call that he may not make.

Who is convicted: ``docs/detectors/brute-force.md``. In short: the flow, as long as it can be a
phone with a wrong password; the address, when several users or flows are tried and nobody
honest is known there; an address with credit only if its few users cannot explain it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Flow
from sdnblock.detect.detector import Detector, Shared, Sort
from sdnblock.detect.finding import Finding
from sdnblock.detect.guesses import KIND, AcceptedNonces, FlowUsers, Guesses, Sureness
from sdnblock.detect.kept import Kept
from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.grade import Grade

NAME: Final = "brute-force"

_UNKNOWN_FACTOR: Final = 4
"""Rejections of a nonce that nobody saw us send count for so much less: servers refuse those
without looking at the password."""
_LONGEST: Final = 86400.0
"""One user is tried from one address: it may be a person who mends it tomorrow."""
_PER_USER: Final = 10
"""Strangers tried for each user who is known at an address, beyond which his credit is no
excuse."""
_FAST: Final = (20, 60.0)
"""More rejections of one user within so many seconds: no phone tries so often."""


@dataclass(frozen=True, slots=True)
class BruteForceSettings:
    """``[detect.brute_force]``: rejected credentials that convict, within how many seconds."""

    enabled: bool = True
    rejections: int = field(default=5, metadata={"least": 1, "most": 10_000})
    memory: float = field(default=604800.0, metadata={"duration": True})
    strangers: int = field(default=5, metadata={"least": 1, "most": 10_000})
    """Users tried in vain, from an address where one user is known, that convict it."""


class BruteForce(Detector):
    """Rejected credentials of each source."""

    name = NAME

    def __init__(self, settings: BruteForceSettings, shared: Shared) -> None:
        self._settings = settings
        self._credit = shared.credit
        self._tenants = shared.tenants
        self._sites: Kept[bytes, Guesses] = shared.memory.keep(KIND)
        self._accepted = AcceptedNonces()
        self._flow_users = FlowUsers()

    def cares(self, sort: Sort) -> bool:
        """Credentials that were taken, or rejected."""
        if sort.accepted:
            return sort.credential and (sort.challenged or sort.proven)
        return sort.credential and sort.rejected

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """A finding, when a source has had enough rejections."""
        digest = outcome.asked.digest
        user = digest.get("username") if digest is not None else ""
        nonce = digest.get("nonce") if digest is not None else ""
        site = site_of(outcome.remote)
        guesses = self._sites.get(site)
        if outcome.accepted:
            self._accepted.note(nonce, user)
            self._flow_users.note((site, outcome.remote_port), user, outcome.time)
            if guesses is not None:
                guesses.forgive(user)
                self._sites.put(site, guesses)
                if guesses.empty:
                    self._sites.drop(site)
            return ()
        if self._is_innocent(outcome, user, nonce):
            return ()
        if guesses is None or outcome.time - guesses.last > self._settings.memory:
            guesses = Guesses(outcome.time)
        guesses.note(user, outcome.remote_port, _sureness(outcome), outcome.time)
        if self._credit.has(outcome.remote, outcome.time):
            findings = list(self._with_credit(outcome, user, guesses))
        else:
            findings = list(self._without(outcome, user, guesses))
        self._sites.put(site, guesses)
        return findings

    def _is_innocent(self, outcome: Outcome, user: str, nonce: str) -> bool:
        if self._accepted.has(nonce, user):
            return True  # it knew the password with this nonce: our server forgot the nonce
        barred = outcome.status == 403 and outcome.method != "REGISTER"
        return barred and self._tenants.has(outcome.remote, user, outcome.time)

    def _without(self, outcome: Outcome, user: str, guesses: Guesses) -> Iterator[Finding]:
        """The source has no credit: nobody else is known there."""
        count, grade = self._weigh(guesses.total())
        if grade is None:
            return
        one = len(guesses.users) == 1
        may_be_phone = one and len(guesses.ports) == 1 and not guesses.convicted
        reason = _reason(count, user, len(guesses.users), outcome.time - guesses.first)
        guesses.clear(outcome.time)
        guesses.convicted = True
        yield Finding(
            NAME, outcome.remote, grade, reason, _flow(outcome) if may_be_phone else None,
            user=user if one else "", longest=_LONGEST if one else None,
        )  # fmt: skip

    def _with_credit(self, outcome: Outcome, user: str, guesses: Guesses) -> Iterator[Finding]:
        """The source has credit: others may be behind it."""
        tenants = self._tenants.count(outcome.remote, outcome.time)
        if outcome.proven and not self._tenants.has(outcome.remote, user, outcome.time):
            guesses.stranger(user)
        strangers = len(guesses.strangers)
        least = self._settings.strangers if tenants <= 1 else _PER_USER * tenants
        if strangers >= least:
            reason = f"tried {strangers} users in vain; {_known(tenants)} known at its address"
            guesses.strangers.clear()
            yield Finding(NAME, outcome.remote, Grade.PROVEN, reason, despite_credit=True)
            return
        mine = guesses.users[user]
        count, grade = self._weigh(mine.counts)
        if grade is None:
            return
        took = outcome.time - mine.first
        reason = _reason(count, user, 1, took)
        shared = self._flow_users.others(
            (site_of(outcome.remote), outcome.remote_port), user, outcome.time
        )
        fast, within = _FAST
        if shared and not (count >= fast and took <= within):
            # A phone with a second line, or the proxy of an office: the flow is not his alone.
            if took > within:
                guesses.restart(user)
            reason += f"; user {shared[:40]!a} uses the same flow"
            yield Finding(
                NAME, outcome.remote, grade, reason, _flow(outcome), report_only=True, user=user
            )
            return
        guesses.restart(user)
        yield Finding(
            NAME, outcome.remote, grade, reason, _flow(outcome), user=user, longest=_LONGEST
        )

    def _weigh(self, counts: tuple[int, int, int]) -> tuple[int, Grade | None]:
        """How many rejections, and what they prove; None: not enough."""
        proven, ours, unknown = counts
        enough = self._settings.rejections
        if proven >= enough:
            return proven, Grade.PROVEN
        if proven + ours >= enough:
            return proven + ours, Grade.SPOOFABLE
        if proven + ours + unknown >= enough * _UNKNOWN_FACTOR:
            return proven + ours + unknown, Grade.SPOOFABLE
        return 0, None


def _sureness(outcome: Outcome) -> Sureness:
    if outcome.proven:
        return Sureness.PROVEN
    return Sureness.OURS if outcome.challenged else Sureness.UNKNOWN


def _flow(outcome: Outcome) -> Flow:
    return Flow(
        outcome.protocol, outcome.remote, outcome.remote_port, outcome.local, outcome.local_port
    )


def _reason(count: int, user: str, users: int, seconds: float) -> str:
    who = f"user {user[:40]!a}" if users == 1 else f"{users} users"
    return f"{count} rejected credentials for {who} within {seconds:.1f} s"


def _known(tenants: int) -> str:
    return "one user is" if tenants == 1 else f"{tenants or 'no'} users are"
