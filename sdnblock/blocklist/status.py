"""What the controller leaves in Redis for people: counters, switches' status, the mark ``meta``."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Final

from sdnblock.block import Target
from sdnblock.blocklist import scripts
from sdnblock.blocklist.claims import Meta, parse_member
from sdnblock.blocklist.keys import CONTRACT_VERSION, Keys
from sdnblock.blocklist.link import Link, Value
from sdnblock.blocklist.questions import Questions
from sdnblock.errors import BlockListError, TargetError

_CHUNK: Final = 1000
_MAX_STATUS: Final = 65536


class StatusStore:
    """The part of the store that is not claims. Raises BlockListError as the store does."""

    def __init__(self, link: Link, keys: Keys, clock: Callable[[], float]) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock

    @property
    def keys(self) -> Keys:
        """The key names in use."""
        return self._keys

    async def counters(self, targets: Sequence[Target]) -> dict[Target, tuple[int, int]]:
        """(packets, bytes) counted so far for each target that has any."""
        found: dict[Target, tuple[int, int]] = {}
        for at in range(0, len(targets), _CHUNK):
            chunk = targets[at : at + _CHUNK]
            values = await self._link.command("HMGET", self._keys.counters, *map(str, chunk))
            for target, value in zip(chunk, values, strict=True):
                count = _parse_count(value)
                if count is not None:
                    found[target] = count
        return found

    async def add_counters(self, deltas: Mapping[Target, tuple[int, int]]) -> None:
        """Add (packets, bytes) to the totals; once, even if an answer is lost and we ask again."""
        items = list(deltas.items())
        for at in range(0, len(items), _CHUNK):
            words: list[str | int] = [secrets.token_hex(8)]
            for target, (packets, size) in items[at : at + _CHUNK]:
                words += [str(target), packets, size]
            await self._link.run(scripts.COUNT, [self._keys.counters], words)

    async def forget_counters(self, targets: Iterable[Target]) -> None:
        """Drop the totals of blocks that are gone."""
        names = [str(target) for target in targets]
        for at in range(0, len(names), _CHUNK):
            await self._link.command("HDEL", self._keys.counters, *names[at : at + _CHUNK])

    async def prune_counters(self, live: Container[Target]) -> int:
        """Drop the totals of everything that is not in ``live``; returns how many. A slow net."""
        total, cursor = 0, 0
        while True:
            cursor, found = await self._link.command(
                "HSCAN", self._keys.counters, cursor, "COUNT", _CHUNK
            )
            gone = [name for name in found if name and _target(name) not in live]
            if gone:
                total += int(await self._link.command("HDEL", self._keys.counters, *gone))
            if int(cursor) == 0:
                return total

    async def put_switch_status(self, name: str, status: Mapping[str, Any], ttl: float) -> None:
        """Publish a switch's status; it vanishes after ``ttl`` seconds unless put again."""
        text = json.dumps(status, separators=(",", ":"))
        await self._link.command("SET", self._keys.switch(name), text, "PX", int(ttl * 1000))

    async def switch_status(self) -> dict[str, dict[str, Any]]:
        """The status of every switch that a running controller has published, by name."""
        found: dict[str, dict[str, Any]] = {}
        async for names in self._link.keys(self._keys.pattern("switch"), "string"):
            for key in names:
                name = self._keys.parse_switch(key)
                text = await self._link.command("GET", key) if name else None
                status = _parse_status(text)
                if name and status is not None:
                    found[name] = status
        return dict(sorted(found.items()))

    async def status_of(self, name: str) -> dict[str, Any] | None:
        """The status of one switch that a running controller has published, None if none has."""
        return _parse_status(await self._link.command("GET", self._keys.switch(name)))

    @property
    def questions(self) -> Questions:
        """To ask the controller, and to answer, about switches."""
        return Questions(self._link, self._keys)

    async def meta(self) -> Meta | None:
        """The mark of this database; None: it holds no block list of ours (or has lost it).

        Raises BlockListError for a contract version that this code does not speak.
        """
        return await read_meta(self._link, self._keys)

    async def ensure_meta(self) -> Meta:
        """The mark of this database, written now if there was none."""
        words: list[Value] = [CONTRACT_VERSION, secrets.token_hex(16), repr(self._clock())]
        await self._link.run(scripts.META, [self._keys.meta], words)
        meta = await self.meta()
        if meta is None:
            raise BlockListError(f"{self._link.place}: {self._keys.meta} has no field 'version'")
        return meta


async def read_meta(link: Link, keys: Keys) -> Meta | None:
    """The mark of a database; None: there is none. Raises as :meth:`StatusStore.meta` does."""
    place = link.place
    kind = await link.command("TYPE", keys.meta)
    if kind not in (b"hash", b"none"):
        raise BlockListError(
            f"{place}: {keys.meta} is a {kind.decode('ascii', 'replace')}, not a hash: delete it"
        )
    fields = await link.command("HMGET", keys.meta, "version", "instance", "created")
    version, instance, created = fields
    if version is None:
        return None
    shown = version[:20].decode("ascii", "replace")
    if shown != str(CONTRACT_VERSION):
        raise BlockListError(
            f"{place} holds a block list of contract version {shown!a}:"
            f" this sdnblock speaks version {CONTRACT_VERSION}; use its own prefix or upgrade"
        )
    try:
        since = float(created or 0)
    except ValueError:
        since = 0.0
    return Meta(CONTRACT_VERSION, (instance or b"")[:64].decode("ascii", "replace"), since)


def _target(name: bytes) -> Target | None:
    try:
        return parse_member(name)
    except TargetError:
        return None


def _parse_count(value: bytes | None) -> tuple[int, int] | None:
    packets, _, size = (value or b"")[:64].partition(b" ")
    if not (packets.isdigit() and size.isdigit()):
        return None
    return int(packets), int(size)


def _parse_status(text: bytes | None) -> dict[str, Any] | None:
    if text is None or len(text) > _MAX_STATUS:
        return None
    try:
        status = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return status if isinstance(status, dict) else None
