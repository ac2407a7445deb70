"""Detector ``identity``: who says he is somebody else than his credential says.

The user in the To of a REGISTER, else in the From, against the user of the credential. They
differ honestly in many networks: accounts with a name of their own, trunks that present the
numbers of all their callers, lines that are shared. Our server knows which: what it accepts is
learned, and at most reported; what it refuses (403 and the like, RFC 8224, 4474) counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Flow
from sdnblock.detect.detector import Detector, Shared, Sort
from sdnblock.detect.finding import Finding
from sdnblock.detect.recent import Recent
from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.grade import Grade

NAME: Final = "identity"

_MOST: Final = 100_000
_REFUSED: Final = frozenset({403, 428, 433, 436, 437, 438, 607, 608})
_METHODS: Final = frozenset({"REGISTER", "INVITE", "MESSAGE", "SUBSCRIBE", "PUBLISH", "REFER"})
_NOBODY: Final = frozenset(
    {"", "anonymous", "restricted", "unavailable", "unknown", "private", "withheld"}
)
_MANY: Final = 8
"""Identities after which an account is taken for a trunk."""
_SETTLED: Final = 10
"""Requests with the same identity, after which another one is news."""
_IDENTITIES: Final = 256


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """``[detect.identity]``: identities that our server refused."""

    enabled: bool = True
    identities: int = field(default=3, metadata={"least": 1, "most": 1000})
    """So many different ones convict."""
    refusals: int = field(default=5, metadata={"least": 1, "most": 1000})
    """So many of one convict the flow."""
    memory: float = field(default=86400.0, metadata={"duration": True})
    trusted_users: tuple[str, ...] = ()
    """Accounts that may present whom they like."""
    report_new: bool = True
    """Report an account that presents somebody it never did before, and is accepted."""


@dataclass(slots=True)
class _Presented:
    """Whom an account said to be when our server took its requests."""

    names: dict[str, None] = field(default_factory=dict)
    requests: int = 0


@dataclass(slots=True)
class _Refusals:
    first: float = 0.0
    count: int = 0
    proven: int = 0
    names: set[str] = field(default_factory=set)


class Identity(Detector):
    """Identities by account, and refusals by site."""

    name = NAME

    def __init__(self, settings: IdentitySettings, shared: Shared) -> None:
        self._settings = settings
        self._credit = shared.credit
        self._trusted = frozenset(name.lower() for name in settings.trusted_users)
        self._presented: Recent[tuple[str, str], _Presented] = Recent(
            _Presented, 30 * settings.memory, _MOST
        )
        self._refusals: Recent[bytes, _Refusals] = Recent(_Refusals, settings.memory, _MOST)

    def cares(self, sort: Sort) -> bool:
        """Requests with a credential that were taken or refused."""
        known = sort.challenged and sort.method in _METHODS
        return known and (sort.accepted or sort.status in _REFUSED)

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """What became of a request with a credential."""
        asked = outcome.asked
        digest = asked.digest
        if digest is None or asked.in_dialog:
            return ()
        account = digest.get("username").partition("@")[0].lower()
        shown = asked.to if asked.method == "REGISTER" else asked.from_
        if shown is None or not account or account in self._trusted:
            return ()
        name = shown.user.lower()[:100]
        if name in _NOBODY or shown.host.endswith(".invalid"):
            return ()  # RFC 3323: nobody in particular
        key = (account[:100], digest.get("realm")[:100])
        if outcome.accepted:
            return self._accepted(outcome, key, name)
        known = self._presented.get(key, outcome.time)
        if name == account or (known is not None and name in known.names):
            return ()  # it is refused for something else
        return self._refused(outcome, account, name)

    def _accepted(self, outcome: Outcome, key: tuple[str, str], name: str) -> Iterator[Finding]:
        known = self._presented.touch(key, outcome.time)
        known.requests += 1
        if name in known.names:
            return
        news = 0 < len(known.names) < _MANY and known.requests > _SETTLED
        if len(known.names) <= _MANY:
            known.names[name] = None
        known.requests = 0
        if news and self._settings.report_new and name != key[0]:
            yield Finding(
                NAME, outcome.remote, Grade.PROVEN if outcome.proven else Grade.SPOOFABLE,
                f"account {key[0][:40]!a} says it is {name[:40]!a}, for the first time, and our"
                f" server took its {outcome.method}",
                report_only=True, user=key[0],
            )  # fmt: skip

    def _refused(self, outcome: Outcome, account: str, name: str) -> Iterator[Finding]:
        site = site_of(outcome.remote)
        refusals = self._refusals.touch(site, outcome.time)
        if not refusals.count:
            refusals.first = outcome.time
        refusals.count += 1
        refusals.proven += outcome.proven
        if len(refusals.names) < _IDENTITIES:
            refusals.names.add(name)
        several = len(refusals.names) >= self._settings.identities
        if not several and refusals.count < self._settings.refusals:
            return
        grade = Grade.PROVEN if refusals.proven == refusals.count else Grade.SPOOFABLE
        whom = f"{len(refusals.names)} others" if several else f"{name[:40]!a}"
        self._refusals.drop(site)
        flow = Flow(
            outcome.protocol, outcome.remote, outcome.remote_port,
            outcome.local, outcome.local_port,
        )  # fmt: skip
        spared = not several or self._credit.has(outcome.remote, outcome.time)
        yield Finding(
            NAME, outcome.remote, grade,
            f"account {account[:40]!a} said {refusals.count} times to be {whom}, within"
            f" {outcome.time - refusals.first:.0f} s, and was refused",
            flow if spared else None, user=account, longest=None if several else 86400.0,
        )  # fmt: skip
