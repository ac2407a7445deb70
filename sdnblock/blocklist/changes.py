"""What the watcher tells the controller, one dataclass per kind of news."""

from __future__ import annotations

from dataclasses import dataclass, field

from sdnblock.block import Prefix, Source, Target
from sdnblock.blocklist.claims import ClaimKey, Meta

RefusedMembers = list[tuple[str, str]]
"""(what was refused, safe to print; why). At most some hundred; the rest is counted in one line."""


@dataclass(frozen=True, slots=True)
class Whole:
    """All claims of one key: target -> expiry (Unix seconds; may lie in the past).

    Without members: the key is gone, or is no sorted set (then ``refused`` says so).
    """

    key: ClaimKey
    members: dict[Target, float]
    refused: RefusedMembers = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WholeAllow:
    """The whole allowlist: prefix -> expiry."""

    members: dict[Source | Prefix, float]
    refused: RefusedMembers = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Single:
    """One claim: its expiry now; None: it is gone.

    ``urgent``: one of few, which need not wait for others that come by the thousand.
    """

    key: ClaimKey
    target: Target
    expires: float | None
    urgent: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class SingleAllow:
    """One allowlist entry: its expiry now; None: it is gone."""

    prefix: Source | Prefix
    expires: float | None


@dataclass(frozen=True, slots=True)
class RefusedNow:
    """What is refused in one key from now on (None: the allowlist); claims did not change by it."""

    key: ClaimKey | None
    refused: RefusedMembers


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything has been told since the beginning, or since ``Disconnected``. Ends its list.

    ``meta`` is the database's mark; None: there is none (never written, or lost).
    """

    meta: Meta | None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Redis cannot be asked, or was emptied; ``message`` is one line.

    What was told stays in force. From here to the next ``Ready`` everything is
    told anew, so what is missing then may be lost rather than removed: ``meta`` tells.
    """

    message: str


WatchEvent = Whole | WholeAllow | Single | SingleAllow | RefusedNow | Ready | Disconnected
