"""Detector ``invite-source``: calls of a user from where he is not registered.

Whoever has stolen a password calls from elsewhere, while the phone of its owner stays
registered where it is. But phones roam, have two networks, or come out of a pool of addresses:
one strange place is reported (or blocked, if ``action`` says so), and several within an hour
convict. Nobody registered: no finding. Places are sites that are not neighbours (the same IPv4
/24 or IPv6 /48), and of the same family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Action, Flow
from sdnblock.detect.bindings import Aor, aor_of
from sdnblock.detect.detector import Detector, Shared, Sort
from sdnblock.detect.finding import Finding
from sdnblock.detect.recent import Recent
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.grade import Grade

NAME: Final = "invite-source"

_MOST: Final = 50_000
_PLACES: Final = 64
_HOUR: Final = 3600.0
_REFUSED: Final = frozenset({401, 403, 407})


@dataclass(frozen=True, slots=True)
class InviteSourceSettings:
    """``[detect.invite_source]``: calls from elsewhere."""

    enabled: bool = True
    places: int = field(default=4, metadata={"least": 1, "most": 64})
    """So many strange places of one user within an hour convict them."""
    action: str = field(default="report", metadata={"choices": ("report", "limit", "drop")})
    """What happens to the first ones: only where no user roams, anything but ``report``."""
    response: Action = Action.LIMIT
    """What happens to several."""


@dataclass(slots=True)
class _User:
    places: dict[bytes, float] = field(default_factory=dict)


class InviteSource(Detector):
    """Strange places of each user."""

    name = NAME

    def __init__(self, settings: InviteSourceSettings, shared: Shared) -> None:
        self._settings = settings
        self._bindings = shared.bindings
        self._users: Recent[Aor, _User] = Recent(_User, _HOUR, _MOST)

    def cares(self, sort: Sort) -> bool:
        """Calls that were let in. An accepted one that nothing proves waits for its ACK."""
        if sort.method != "INVITE" or sort.status in _REFUSED:
            return False
        return sort.proven or not sort.accepted

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """What became of an INVITE."""
        return self._look(outcome)

    def proved(self, outcome: Outcome) -> Iterable[Finding]:
        """It was acknowledged."""
        return self._look(outcome) if outcome.method == "INVITE" else ()

    def _look(self, outcome: Outcome) -> Iterable[Finding]:
        asked = outcome.asked
        if outcome.status in _REFUSED or asked.in_dialog:
            return ()  # it was not let in
        aor, registered = None, None
        for aor in _whose(outcome):
            registered = self._bindings.of(aor, outcome.time, linger=0.0)
            if registered is not None:
                break
        if aor is None or registered is None or not _is_strange(outcome.remote, registered):
            return ()
        return self._strange(outcome, aor)

    def _strange(self, outcome: Outcome, aor: Aor) -> Iterator[Finding]:
        """A call of ``aor`` from where it is not registered."""
        user = self._users.touch(aor, outcome.time)
        for place in [p for p, last in user.places.items() if outcome.time - last > _HOUR]:
            del user.places[place]
        if len(user.places) < _PLACES:
            user.places[_place(outcome.remote)] = outcome.time
        several = len(user.places) >= self._settings.places
        how = "with a credential" if outcome.challenged else "without a credential"
        reason = f"a call of user {aor[0][:40]!a} {how}, who is registered from elsewhere"
        if several:
            reason += f"; the {len(user.places)}th strange place within an hour"
        yield Finding(
            NAME, outcome.remote, Grade.PROVEN if outcome.proven else Grade.SPOOFABLE, reason,
            Flow(
                outcome.protocol, outcome.remote, outcome.remote_port,
                outcome.local, outcome.local_port,
            ),
            report_only=not several and self._settings.action == "report",
            at_most=self._settings.response if several else _ACTIONS[self._settings.action],
            user=aor[0],
        )  # fmt: skip


def _whose(outcome: Outcome) -> list[Aor]:
    """Whose call it may be: that of the credential's user, else of who it says it is from."""
    sender = outcome.asked.from_
    aor = aor_of(sender)
    found = [] if aor is None else [aor]
    digest = outcome.asked.digest if outcome.challenged else None
    if digest is not None and sender is not None:
        user = digest.get("username").partition("@")[0][:100], sender.host
        if user != aor:
            found.insert(0, user)
    return found


_ACTIONS: Final = {"report": None, "limit": Action.LIMIT, "drop": None}


def _place(address: bytes) -> bytes:
    return address[:3] if len(address) == 4 else address[:6]


def _is_strange(address: bytes, registered: Iterable[bytes]) -> bool:
    """Whether nobody is registered from there or nearby. Of another family nothing is known."""
    place = _place(address)
    near = [_place(site) == place for site in registered if len(site) == len(address)]
    return bool(near) and not any(near)
