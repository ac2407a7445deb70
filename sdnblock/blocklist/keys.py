"""Every key name of the Redis contract, version 1 (docs/redis.md): built and parsed here only."""

from __future__ import annotations

import functools
from typing import Final

from sdnblock.block import Action, parse_origin
from sdnblock.blocklist.claims import ClaimKey
from sdnblock.errors import BlockListError, TargetError

CONTRACT_VERSION: Final = 1
"""The version of the Redis contract that this code speaks (field ``version`` of ``meta``)."""

MEMORY_VERSION: Final = 1
"""The version of what detection remembers, part of its keys: another one is not read, and
expires by itself."""

DEFAULT_PREFIX: Final = "sdnblock:"

RESERVED_ORIGIN: Final = "allow"
"""No origin may have this name: ``facts:allow`` holds the allowlist's notes."""

_SUFFIXES: Final = {Action.DROP: "", Action.LIMIT: ":limit", Action.WATCH: ":watch"}
_ACTIONS: Final = {"": Action.DROP, "limit": Action.LIMIT, "watch": Action.WATCH}
_MAX_PREFIX: Final = 100
_MAX_NAME: Final = 300
"""No claim set's name is longer."""


class Keys:
    """Key names under one prefix.

    All keys share the prefix, so a prefix with a hash tag (``{sdnblock}:``) puts
    them into one slot of a Redis Cluster. Raises BlockListError for a prefix that
    is empty, too long or not printable ASCII.
    """

    def __init__(self, prefix: str = DEFAULT_PREFIX) -> None:
        if not prefix or len(prefix) > _MAX_PREFIX:
            raise BlockListError(
                f"the key prefix {prefix[:20]!a} must have 1-{_MAX_PREFIX} letters"
            )
        if not (prefix.isascii() and prefix.isprintable()) or " " in prefix:
            raise BlockListError(
                f"the key prefix {prefix!a} must be printable ASCII without spaces"
            )
        self.prefix = prefix
        self.allow = f"{prefix}allow"
        self.allow_facts = f"{prefix}facts:{RESERVED_ORIGIN}"
        self.changes = f"{prefix}changes"
        self.meta = f"{prefix}meta"
        self.counters = f"{prefix}counters"
        self.asked = f"{prefix}asked"
        self.asked_alive = f"{prefix}asked:alive"
        self.numbers = f"{prefix}testnumbers"
        self.number_facts = f"{prefix}testnumbers:facts"
        self.signatures = f"{prefix}signatures"
        self.signature_facts = f"{prefix}signatures:facts"

    def claims(self, key: ClaimKey) -> str:
        """The sorted set of an origin's claims with one action."""
        return f"{self.prefix}{self.suffix(key)}"

    def suffix(self, key: ClaimKey) -> str:
        """A claim set's name after the prefix: field ``key`` of the change stream."""
        return f"origin:{key.origin}{_SUFFIXES[key.action]}"

    def facts(self, origin: str) -> str:
        """The hash of an origin's reasons: canonical target -> JSON."""
        return f"{self.prefix}facts:{origin}"

    def switch(self, name: str) -> str:
        """The string that holds a switch's status as JSON, with a time to live."""
        return f"{self.prefix}switch:{name}"

    def kept(self, kind: str) -> str:
        """The sorted set of what detection remembers of one kind: key -> when it changed."""
        return f"{self.prefix}memory:{MEMORY_VERSION}:{kind}"

    def kept_data(self, kind: str) -> str:
        """The hash with the rest: key -> JSON."""
        return f"{self.kept(kind)}:data"

    def ask(self, name: str) -> str:
        """The list of questions to the controller about a switch (``questions.py``)."""
        return f"{self.prefix}ask:{name}"

    def answer(self, number: str) -> str:
        """The list with the answer to a question."""
        return f"{self.prefix}answer:{number}"

    def parse_claims(self, name: bytes) -> ClaimKey | None:
        """A full key name to the claim set that it is; None if it is something else.

        Names under ``origin:`` that no origin can have are None too.
        """
        start = f"{self.prefix}origin:".encode("ascii")
        if not name.startswith(start):
            return None
        return _parse_origin_key(name[len(start) :]) if len(name) <= _MAX_NAME else None

    def parse_suffix(self, suffix: bytes) -> ClaimKey | None:
        """Field ``key`` of the change stream to the claim set that it names, else None."""
        start = b"origin:"
        if not suffix.startswith(start) or len(suffix) > _MAX_NAME:
            return None
        return _parse_origin_key(suffix[len(start) :])

    def parse_switch(self, name: bytes) -> str | None:
        """A full key name to the switch whose status it holds, else None."""
        start = f"{self.prefix}switch:".encode("ascii")
        if not name.startswith(start):
            return None
        try:
            return name[len(start) :].decode("utf-8") or None
        except UnicodeDecodeError:
            return None

    def pattern(self, group: str) -> str:
        """A glob pattern for SCAN: every key in ``group`` (``origin`` or ``switch``)."""
        escaped = "".join(f"\\{c}" if c in "*?[]^-\\" else c for c in self.prefix)
        return f"{escaped}{group}:*"


def check_origin(name: str) -> str:
    """An origin's name, if it may hold claims. Raises TargetError."""
    if parse_origin(name) == RESERVED_ORIGIN:
        raise TargetError(f"the origin name {name!a} is reserved for the allowlist: use another")
    return name


@functools.lru_cache(maxsize=1024)  # of a flood of hints all name the same few
def _parse_origin_key(rest: bytes) -> ClaimKey | None:
    name, _, suffix = rest.partition(b":")
    if rest.endswith(b":"):
        return None
    try:
        action = _ACTIONS.get(suffix.decode("ascii"))
        origin = check_origin(name.decode("ascii"))
    except (UnicodeDecodeError, TargetError):
        return None
    return None if action is None else ClaimKey(origin, action)
