"""Claims: what one origin asks for one target; and the allowlist's entries.

A block is the sum of its claims. The members of Redis' sorted sets are outside
data: :func:`parse_member` and :func:`parse_allow_member` understand or refuse
them, :func:`printable` makes them safe to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from sdnblock.block import Action, Prefix, Source, Target, parse_prefix, parse_target
from sdnblock.errors import TargetError

MAX_MEMBER: Final = 256
"""Bytes of a member that are looked at: no spelling of a target is longer."""

_SHOWN: Final = 64


class ClaimKey(NamedTuple):
    """Who asks for what: one sorted set in Redis."""

    origin: str
    action: Action


@dataclass(frozen=True, slots=True)
class Claim:
    """One origin's wish about one target.

    ``expires`` is in Unix seconds, infinity for never. ``reason`` and ``since``
    (Unix seconds; when the claim was made) are for people; None: not known.
    """

    target: Target
    origin: str
    action: Action
    expires: float
    reason: str = ""
    since: float | None = None

    @property
    def key(self) -> ClaimKey:
        """The sorted set that this claim is in."""
        return ClaimKey(self.origin, self.action)


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of the allowlist; ``expires`` and ``since`` as in :class:`Claim`."""

    prefix: Source | Prefix
    expires: float
    note: str = ""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Meta:
    """What marks a Redis database as holding our block list (key ``meta``).

    ``instance`` is random: another value means another, or an emptied, database.
    """

    version: int
    instance: str
    created: float


def parse_member(member: bytes) -> Target:
    """A sorted set's member to its target. Raises TargetError for what is none.

    Spellings that are not canonical (``2001:DB8::1``, ``192.0.2.1/32``) are understood.
    """
    return parse_target(_text(member))


def parse_allow_member(member: bytes) -> Source | Prefix:
    """An allowlist member to its prefix. Raises TargetError for what is none."""
    return parse_prefix(_text(member))


def printable(member: bytes) -> str:
    """Outside bytes as short ASCII text that is safe on a terminal."""
    text = member[:_SHOWN].decode("utf-8", "backslashreplace")
    shown = text if text.isascii() and text.isprintable() else ascii(text)[1:-1]
    return shown if len(member) <= _SHOWN else f"{shown}... ({len(member)} bytes)"


def _text(member: bytes) -> str:
    if len(member) > MAX_MEMBER:
        raise TargetError(f"longer than any target ({len(member)} bytes)")
    try:
        return member.decode("ascii")
    except UnicodeDecodeError:
        raise TargetError("not ASCII text") from None
