"""Detector ``brute-force``: credentials that are rejected, however slowly they come.

Counts requests that answered a challenge of ours and were refused all the same; the first
401 of every REGISTER is no rejection, nor is ``stale=true``, nor a retransmission. All of it
is proven: nobody answers a challenge that did not reach him.

One user from one flow may be a phone with a wrong password in an office of many: the flow is
convicted, not the address. Several users, or a second flow, convict the address, unless it
has credit. Cannot see: a guess a day, and guesses spread over many sources.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Flow
from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.finding import Finding
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.grade import Grade

NAME: Final = "brute-force"

_REJECTED: Final = frozenset({401, 403, 407})
_MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class BruteForceSettings:
    """``[detect.brute_force]``: rejected credentials that convict, within how many seconds."""

    enabled: bool = True
    rejections: int = field(default=5, metadata={"least": 1, "most": 10_000})
    memory: float = field(default=86400.0, metadata={"duration": True})


@dataclass(slots=True)
class _Guesses:
    first: float
    last: float
    count: int = 0
    users: set[str] = field(default_factory=set)
    flows: set[int] = field(default_factory=set)
    convicted_flows: int = 0


class BruteForce(Detector):
    """Rejected credentials of each source."""

    name = NAME

    def __init__(self, settings: BruteForceSettings, shared: Shared) -> None:
        self._settings = settings
        self._credit = shared.credit
        self._guesses: OrderedDict[bytes, _Guesses] = OrderedDict()

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """A finding, when a source has had enough rejections."""
        if not outcome.credential or not outcome.proven or outcome.stale:
            return
        guesses = self._guesses.get(outcome.remote)
        if 200 <= outcome.status < 300:
            if guesses is not None and outcome.user in guesses.users:
                # It knew the password after all: a person mistyped it before.
                guesses.count = 0
                guesses.users.discard(outcome.user)
            return
        if outcome.status not in _REJECTED:
            return
        if guesses is None or outcome.time - guesses.last > self._settings.memory:
            guesses = self._guesses[outcome.remote] = _Guesses(outcome.time, outcome.time)
            if len(self._guesses) > _MOST:
                self._guesses.popitem(last=False)
        self._guesses.move_to_end(outcome.remote)
        guesses.last = outcome.time
        guesses.count += 1
        guesses.users.add(outcome.user)
        guesses.flows.add(outcome.remote_port)
        if guesses.count < self._settings.rejections:
            return
        yield self._convict(outcome, guesses)

    def _convict(self, outcome: Outcome, guesses: _Guesses) -> Finding:
        users = len(guesses.users)
        reason = (
            f"{guesses.count} rejected credentials for"
            f" {f'user {outcome.user[:40]!a}' if users == 1 else f'{users} users'}"
            f" within {outcome.time - guesses.first:.1f} s"
        )
        one = users == 1 and len(guesses.flows) == 1 and not guesses.convicted_flows
        flow: Flow | None = None
        if one or self._credit.has(outcome.remote, outcome.time):
            flow = Flow(
                outcome.protocol, outcome.remote, outcome.remote_port,
                outcome.local, outcome.local_port,
            )  # fmt: skip
        guesses.count = 0
        guesses.users.clear()
        guesses.flows.clear()
        guesses.convicted_flows += 1
        guesses.first = outcome.time
        return Finding(NAME, outcome.remote, Grade.PROVEN, reason, flow)
