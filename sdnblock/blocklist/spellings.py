"""Other spellings of a target: members that mean it but are not its canonical text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from sdnblock.block import Target
from sdnblock.blocklist.claims import parse_member
from sdnblock.errors import TargetError

# Digits and dots have one spelling only: with anything else in it, it is refused.
_ONLY_ONE = re.compile(rb"[0-9.]+")


def others(targets: Collection[Target], members: Iterable[bytes]) -> list[bytes]:
    """The members that mean one of ``targets`` without being its canonical text."""
    found: list[bytes] = []
    for member in members:
        if _ONLY_ONE.fullmatch(member):
            continue
        try:
            target = parse_member(member)
        except TargetError:
            continue
        if target in targets and str(target).encode("ascii") != member:
            found.append(member)
    return found
