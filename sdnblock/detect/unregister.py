"""Detector ``unregister``: who takes away the bindings of others (RFC 3261, 10.2.2).

A phone that moves does the same: it takes its old binding away from its new address, and
answers our challenge. So a removal with an accepted credential is its owner's. What is left:
removals that our server accepted without any credential, or with that of somebody else; and
who tries again and again and never has a credential.

Only removals of bindings that are known to be another's count (they are learned from accepted
REGISTERs).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Action
from sdnblock.detect.asked import Asked
from sdnblock.detect.bindings import Aor, Binding, aor_of
from sdnblock.detect.detector import Detector, Shared, Sort
from sdnblock.detect.finding import Finding
from sdnblock.detect.recent import Recent
from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.grade import Grade
from sdnblock.evidence.sip_values import expires_of, parse_address

NAME: Final = "unregister"

_MOST: Final = 50_000
_USERS: Final = 256
_ANSWERS_WITHIN: Final = 10.0
"""Seconds for a phone to answer our challenge."""
_MANY: Final = 50
"""So many users at once are not waited for."""
_REFUSED: Final = frozenset({401, 403, 404, 407})


@dataclass(frozen=True, slots=True)
class UnregisterSettings:
    """``[detect.unregister]``: other people's bindings that somebody tried to take away."""

    enabled: bool = True
    users: int = field(default=3, metadata={"least": 1, "most": 1000})
    """Of so many users, without ever having a credential."""
    attempts: int = field(default=5, metadata={"least": 1, "most": 1000})
    """Or so often, of one."""
    foreign: int = field(default=2, metadata={"least": 1, "most": 1000})
    """Users whose bindings were taken away with the credential of another: so many convict."""
    memory: float = field(default=86400.0, metadata={"duration": True})


@dataclass(slots=True)
class _Try:
    first: float
    count: int = 0
    proven: int = 0


@dataclass(slots=True)
class _Site:
    tries: dict[Aor, _Try] = field(default_factory=dict)
    foreign: set[Aor] = field(default_factory=set)


class Unregister(Detector):
    """Removals from sites that do not own what they remove."""

    name = NAME

    def __init__(self, settings: UnregisterSettings, shared: Shared) -> None:
        self._settings = settings
        self._bindings = shared.bindings
        self._sites: Recent[bytes, _Site] = Recent(_Site, settings.memory, _MOST)

    def cares(self, sort: Sort) -> bool:
        """Answers to a REGISTER that took or refused it."""
        return sort.method == "REGISTER" and (sort.accepted or sort.status in _REFUSED)

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """What became of a REGISTER."""
        aor = aor_of(outcome.asked.to)
        if aor is None:
            return ()
        if outcome.accepted and outcome.challenged:
            known = self._sites.get(site_of(outcome.remote), outcome.time)
            if known is not None:
                known.tries.pop(aor, None)
            if _user(outcome) == aor[0]:
                return ()  # the owner, wherever he is
        if not removes(outcome.asked):
            return ()
        owners = self._bindings.of(aor, outcome.time)
        if owners is None or site_of(outcome.remote) in owners:
            return ()
        if outcome.accepted:
            return self._accepted(outcome, aor, owners)
        return self._refused(outcome, aor)

    def _accepted(
        self, outcome: Outcome, aor: Aor, owners: dict[bytes, Binding]
    ) -> Iterator[Finding]:
        user, grade = _user(outcome), Grade.PROVEN if outcome.proven else Grade.SPOOFABLE
        if user and any(each.username == user for each in owners.values()):
            return  # registers for several names with one credential
        what = f"took away the binding of {aor[0][:40]!a}, which others registered"
        if not user:
            # A server that asks nobody. A phone that moved looks like its old self.
            moved = any(_is_same_phone(outcome, each) for each in owners.values())
            yield Finding(
                NAME, outcome.remote, grade, f"{what}, without a credential", report_only=moved
            )
            return
        site = self._sites.touch(site_of(outcome.remote), outcome.time)
        if len(site.foreign) < _USERS:
            site.foreign.add(aor)
        several = len(site.foreign) >= self._settings.foreign
        if several:
            what = f"took away bindings of {len(site.foreign)} users (last {aor[0][:40]!a})"
        yield Finding(
            NAME, outcome.remote, grade, f"{what} with the credential of {user[:40]!a}",
            report_only=not several,
        )  # fmt: skip

    def _refused(self, outcome: Outcome, aor: Aor) -> Iterator[Finding]:
        site = self._sites.touch(site_of(outcome.remote), outcome.time)
        if aor not in site.tries and len(site.tries) >= _USERS:
            return
        tried = site.tries.setdefault(aor, _Try(outcome.time))
        tried.count += 1
        tried.proven += outcome.proven
        # A phone answers our challenge at once, and is no longer among these then.
        many = len(site.tries) >= _MANY
        old = [
            each for each in site.tries.values()
            if many or outcome.time - each.first >= _ANSWERS_WITHIN
        ]  # fmt: skip
        most = max((each.count for each in old), default=0)
        if len(old) < self._settings.users and most < self._settings.attempts:
            return
        count = sum(each.count for each in old)
        grade = Grade.PROVEN if count == sum(each.proven for each in old) else Grade.SPOOFABLE
        first = min(each.first for each in old)
        whose = f"user {aor[0][:40]!a}" if len(old) == 1 else f"{len(old)} users"
        site.tries.clear()
        yield Finding(
            NAME, outcome.remote, grade,
            f"tried {count} times to take away the bindings of {whose}, which others"
            f" registered, within {outcome.time - first:.0f} s, and was refused",
            at_most=Action.LIMIT,
        )  # fmt: skip


def removes(asked: Asked) -> bool:
    """Whether a REGISTER takes bindings away (RFC 3261, 10.2.2)."""
    for contact in asked.contacts:
        expires = expires_of(contact) or asked.expires_text.strip()
        if expires and not expires.strip("0"):
            return True
    return False


def _user(outcome: Outcome) -> str:
    """The user of a credential that answered a challenge of ours, without its domain."""
    digest = outcome.asked.digest if outcome.challenged else None
    return digest.get("username").partition("@")[0] if digest is not None else ""


def _is_same_phone(outcome: Outcome, binding: Binding) -> bool:
    if outcome.asked.user_agent[:100] != binding.user_agent:
        return False
    contacts = [parse_address(each) for each in outcome.asked.contacts]
    return all(each and (each.user[:100], each.host) in binding.contacts for each in contacts)
