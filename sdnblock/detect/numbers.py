"""Test numbers: what convicted sources dial, for voice routing to refuse to everybody.

Fraudsters dial a few numbers of theirs through every server that they find. But a number on
the list can be called by nobody, so honest ones must not get there: not those that a source
with credit dialled lately (unless that source is itself convicted), not our own users, not
short ones, and not those that the configuration names. Only sources that are dropped count,
and where only a flow of a source is guilty, only what came by that.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from sdnblock.block import Action, Flow, format_address
from sdnblock.detect.credit import Credit
from sdnblock.detect.finding import Finding
from sdnblock.detect.kept import Kept, Memory, packed_text, packed_time
from sdnblock.detect.kind import Kind
from sdnblock.detect.site import parse_site, site_of, site_text
from sdnblock.detect.transactions import Outcome
from sdnblock.detect.verdict import Conclusion, Lift, Verdict
from sdnblock.detect.witness import Witness
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.grade import Grade

LATELY: Final = 2592000.0
"""Seconds for which a number is honest after a source with credit dialled it, and a user ours
after his credential was accepted."""

_SITES: Final = 20_000
_NUMBERS: Final = 64
"""Numbers remembered of one source."""
_LISTED: Final = 10_000
_GRAIN: Final = 86400.0
_SEPARATORS = str.maketrans("", "", "-.() ")
_NUMBER = re.compile(r"\+?[0-9]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NumberSettings:
    """``[numbers]``: the list of test numbers."""

    enabled: bool = True
    shortest: int = field(default=8, metadata={"least": 3, "most": 32})
    """Digits that a number has at least; extensions have fewer."""
    keep: float = field(default=LATELY, metadata={"duration": True})
    """Seconds for which a number stays after it was last dialled."""
    most: int = field(default=100_000, metadata={"least": 1, "most": 10_000_000})
    evidence: str = field(default="any", metadata={"choices": ("any", "proven")})
    """``proven``: only what sources dial that are convicted on proven evidence."""
    never: tuple[str, ...] = ()
    """Beginnings of numbers, as they are dialled, that are never listed."""


def dialled(uri: str) -> str | None:
    """The number in a Request-URI: digits, a ``+`` before them if there is one; else None.

    Visual separators (RFC 3966, 5.1.1) and parameters are left out, escapes taken back.
    """
    scheme, _, rest = uri.partition(":")
    if scheme.lower() in ("sip", "sips"):
        user, at, _ = rest.rpartition("@")
        if not at:
            return None
        user = user.partition(":")[0]
    elif scheme.lower() == "tel":
        user = rest
    else:
        return None
    return number_of(unquote(user.partition(";")[0]))


def number_of(text: str) -> str | None:
    """A number as it is listed; None if ``text`` is none."""
    number = text.translate(_SEPARATORS)
    return number if _NUMBER.fullmatch(number) else None


@dataclass(slots=True)
class _Diallers:
    """Who with credit dialled a number: the last two sources, by time."""

    sites: dict[bytes, float]

    @property
    def time(self) -> float:
        return max(self.sites.values())


def _unpack(time: float, packed: Any) -> _Diallers:
    if not isinstance(packed, list) or not packed:
        raise ValueError("nobody dialled it")
    sites: dict[bytes, float] = {}
    for each in packed[-2:]:
        if not isinstance(each, list) or len(each) != 2:
            raise ValueError("not a source and a time")
        sites[parse_site(packed_text(each[0], 64))] = min(packed_time(each[1]), time)
    return _Diallers(sites)


def _number_key(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    return text


HONEST: Final[Kind[str, _Diallers]] = Kind(
    name="dialled",
    lifetime=LATELY,
    most=200_000,
    key_text=str,
    parse_key=_number_key,
    time=lambda diallers: diallers.time,
    pack=lambda diallers: [[site_text(site), time] for site, time in diallers.sites.items()],
    unpack=_unpack,
)
OWN: Final[Kind[str, float]] = Kind(
    name="own-numbers",
    lifetime=LATELY,
    most=200_000,
    key_text=str,
    parse_key=_number_key,
    time=lambda last: last,
    pack=lambda last: None,
    unpack=lambda time, packed: time,
)


@dataclass(frozen=True, slots=True)
class Listing:
    """A number to be listed: when it was last dialled, and why it is listed."""

    time: float
    reason: str


class TestNumbers(Witness):
    """Who dials what; which of it is to be listed."""

    __test__ = False  # nothing for pytest to collect
    name = "numbers"
    begun_methods = frozenset({"INVITE"})

    def __init__(self, settings: NumberSettings, credit: Credit, memory: Memory) -> None:
        self.settings = settings
        self._credit = credit
        # Of each source: number -> when it was dialled last, and from which port.
        self._dialled: OrderedDict[bytes, OrderedDict[str, tuple[float, int]]] = OrderedDict()
        self._honest: Kept[str, _Diallers] = memory.keep(HONEST)
        self._own: Kept[str, float] = memory.keep(OWN)
        self._convicted: OrderedDict[tuple[bytes, int], tuple[float, str]] = OrderedDict()
        self._listed: dict[str, Listing] = {}
        self._unlisted: dict[str, None] = {}

    # --- evidence -----------------------------------------------------------------------

    def glimpsed(self, event: SipSeen) -> Iterable[Finding]:
        """The number is among what is told of every request."""
        return self.begun(event)

    def begun(self, event: SipSeen) -> Iterable[Finding]:
        """A new request: what is dialled."""
        if event.message.method != "INVITE" or event.message.to_tag:
            return ()
        number = dialled(event.message.uri)
        if number is None or len(number.lstrip("+")) < self.settings.shortest:
            return ()
        site = event.site
        numbers = self._dialled.setdefault(site, OrderedDict())
        self._dialled.move_to_end(site)
        numbers[number] = (event.time, event.source_port)
        numbers.move_to_end(number)
        if len(numbers) > _NUMBERS:
            numbers.popitem(last=False)
        if len(self._dialled) > _SITES:
            self._dialled.popitem(last=False)
        why = self._guilty(site, event.source_port, event.time)
        if why is not None:
            self._list(site, number, event.time, why)
        elif self._credit.has(event.source, event.time):
            self._note_honest(number, site, event.time)
        return ()

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """An accepted credential: the user is ours. An accepted call: its number is honest."""
        if not outcome.accepted or not (outcome.challenged or outcome.proven):
            return ()
        site = site_of(outcome.remote)
        if outcome.method == "INVITE":
            number = dialled(outcome.asked.uri_text)
            guilty = self._guilty(site, outcome.remote_port, outcome.time)
            if number is not None and guilty is None:
                self._note_honest(number, site, outcome.time)
        if outcome.challenged:
            digest = outcome.asked.digest
            users = {digest.get("username") if digest is not None else ""}
            if outcome.method == "REGISTER":
                users.add(outcome.user)
            for user in users:
                own = number_of(user.partition("@")[0])
                if own is not None:
                    before = self._own.get(own)
                    fresh = before is None or before // _GRAIN != outcome.time // _GRAIN
                    self._own.put(own, outcome.time, changed=fresh)
        return ()

    def proved(self, outcome: Outcome) -> Iterable[Finding]:
        """As :meth:`outcome`."""
        return self.outcome(outcome)

    # --- what came of it ----------------------------------------------------------------

    def concluded(self, conclusion: Conclusion, now: float, enforced: bool) -> None:
        """Numbers of a source that is dropped are listed, those of a pardoned one no more."""
        if isinstance(conclusion, Lift):
            self._pardon(conclusion)
        if not isinstance(conclusion, Verdict) or not enforced or not self.settings.enabled:
            return
        if conclusion.action is not Action.DROP:
            return
        if conclusion.grade is Grade.SPOOFABLE and self.settings.evidence == "proven":
            return
        site = site_of(conclusion.source)
        port = conclusion.target.source_port if isinstance(conclusion.target, Flow) else 0
        why = f"dialled by {format_address(conclusion.source)}, convicted by {conclusion.detector}"
        self._convicted[site, port] = (now + conclusion.seconds, why)
        self._convicted.move_to_end((site, port))
        if len(self._convicted) > _SITES:
            self._convicted.popitem(last=False)
        for number, (time, from_port) in self._dialled.get(site, {}).items():
            if port in (0, from_port):
                self._list(site, number, time, why)

    def take(self) -> tuple[dict[str, Listing], list[str]]:
        """Numbers to be listed, and to be listed no more, since the last time."""
        listed, self._listed = self._listed, {}
        unlisted, self._unlisted = list(self._unlisted), {}
        return listed, unlisted

    def give_back(self, listed: dict[str, Listing], unlisted: Iterable[str]) -> None:
        """These were taken and could not be written."""
        self._listed = {**listed, **self._listed}
        self._unlisted = {**dict.fromkeys(unlisted), **self._unlisted}

    # --- helpers ------------------------------------------------------------------------

    def _guilty(self, site: bytes, port: int, now: float) -> str | None:
        """Why what a source dials from a port is to be listed, None if it is not."""
        for each in (0, port):
            until, why = self._convicted.get((site, each), (0.0, ""))
            if until > now:
                return why
        return None

    def _note_honest(self, number: str, site: bytes, now: float) -> None:
        if len(number.lstrip("+")) < self.settings.shortest:
            return
        diallers = self._honest.get(number) or _Diallers({})
        before = diallers.sites.pop(site, None)
        diallers.sites[site] = now
        while len(diallers.sites) > 2:
            del diallers.sites[next(iter(diallers.sites))]
        fresh = before is None or before // _GRAIN != now // _GRAIN
        self._honest.put(number, diallers, changed=fresh)

    def _list(self, site: bytes, number: str, time: float, why: str) -> None:
        if len(self._listed) < _LISTED and not self._spared(number, site, time):
            self._listed[number] = Listing(time, why)
            self._unlisted.pop(number, None)

    def _spared(self, number: str, site: bytes, now: float) -> bool:
        """Whether a number must not be listed, whoever dialled it."""
        if number.startswith(self.settings.never):
            return True
        own = self._own.get(number)
        if own is not None and now - own <= LATELY:
            return True
        diallers = self._honest.get(number)
        return diallers is not None and any(
            other != site and now - time <= LATELY and self._guilty(other, 0, now) is None
            for other, time in diallers.sites.items()
        )

    def _pardon(self, lift: Lift) -> None:
        """A block on evidence that can be forged is taken back: so is what it led to."""
        address = lift.target.source if isinstance(lift.target, Flow) else lift.target.address
        port = lift.target.source_port if isinstance(lift.target, Flow) else 0
        site = site_of(address)
        if self._convicted.pop((site, port), None) is None:
            return
        for number, (_, from_port) in self._dialled.get(site, {}).items():
            if port in (0, from_port):
                self._listed.pop(number, None)
                if len(self._unlisted) < _LISTED:
                    self._unlisted[number] = None
