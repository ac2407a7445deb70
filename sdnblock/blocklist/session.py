"""One connection to Redis from opening to failure: the watcher's work.

Three sources of news. The *stream* of hints is fast: the hinted members are
asked for and told. *Notices* (tracking) say that somebody changed a key: the
key is read again, and what differs is told. A slow full reading is the net
under both.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Final

from sdnblock.block import Flow, Target
from sdnblock.blocklist import scripts
from sdnblock.blocklist.changes import (
    Disconnected,
    Ready,
    RefusedMembers,
    RefusedNow,
    Single,
    SingleAllow,
    WatchEvent,
    Whole,
    WholeAllow,
)
from sdnblock.blocklist.claims import MAX_MEMBER, Meta, parse_allow_member, parse_member
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.hints import Hints
from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.line import Line
from sdnblock.blocklist.link import Link
from sdnblock.blocklist.outbox import Outbox
from sdnblock.blocklist.rereads import Rereads, SetId
from sdnblock.blocklist.settings import RedisSettings
from sdnblock.blocklist.shadow import Shadow
from sdnblock.blocklist.status import read_meta
from sdnblock.blocklist.steady import stop
from sdnblock.blocklist.tracking import Tracking
from sdnblock.blocklist.urgency import Urgency
from sdnblock.errors import BlockListError

_log = logging.getLogger(__name__)

_HINTS: Final = 1000
"""Hints read at once."""
_PART: Final = 25
"""Members worked on before the loop goes on: a fraction of a millisecond."""
_SORTED: Final = 250
"""Hints sorted by their sets before the loop goes on: the same; the stream must not get ahead."""
_LOOKUPS: Final = 50
"""Hints looked at with one question."""
_NET: Final = 60.0
"""Seconds between full readings; more where one takes long (they stay under 2 % of the time)."""
_NET_SHARE: Final = 50.0


class Session:
    """News from one connection, until it fails.

    ``told`` holds the claim sets that the consumer may hold claims of; it is kept
    up to date here and outlives the session, so that keys that vanish between two
    sessions are told as empty.
    """

    def __init__(self, settings: RedisSettings, keys: Keys, told: set[SetId]) -> None:
        self._settings = settings
        self._keys = keys
        self._told = told
        self._outbox = Outbox()
        self._rereads = Rereads()
        self._hints = Hints()
        self._urgency = Urgency()
        self._shadows: dict[SetId, Shadow[Target]] = {}
        self._wrong: set[SetId] = set()
        # While a set is told whole: its id and what has been gathered.
        self._gathering: tuple[SetId, dict[Target, float]] | None = None
        # Held while everything is told, and while hints are looked up and told.
        self._order = asyncio.Lock()
        self._flushed = False
        self._lost = False
        self._meta_changed = False
        self._meta: Meta | None = None
        self._link: Link
        self._news: Line
        self._lookups: Line

    async def events(self) -> AsyncGenerator[list[WatchEvent], None]:
        """Everything, ``Ready``, then changes. Raises BlockListError when Redis fails."""
        client = await open_redis(self._settings)
        self._link = Link(client, self._settings.place)
        place, timeout = self._settings.place, self._settings.timeout
        tracking = Tracking(client, self._keys.prefix, place, timeout)
        self._news = Line(client, place, timeout)
        self._lookups = Line(client, place, timeout)
        try:
            await tracking.open()
            await self._news.open()
            await self._lookups.open()
            work = asyncio.create_task(self._work(tracking))
            try:
                while True:
                    yield await self._outbox.take()
            finally:
                await stop(work)
        finally:
            await tracking.close()
            await self._news.close()
            await self._lookups.close()
            await client.aclose()

    async def _work(self, tracking: Tracking) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take_notices(tracking))
                tasks.create_task(tracking.keep_alive())
                position = await self._stream_position()
                await self._tell_everything()
                if position is not None:
                    tasks.create_task(self._follow_stream(position))
                    tasks.create_task(self._follow_hints())
                await self._read_again_for_ever()
        except BaseExceptionGroup as group:
            expected, bugs = group.split(BlockListError)
            self._outbox.fail(_first(bugs or expected or group))

    # --- everything -----------------------------------------------------------------

    async def _tell_everything(self) -> None:
        async with self._order:
            self._meta = await read_meta(self._link, self._keys)
            sets = self._told | await self._discover()
            await self._tell_whole(None)  # first: what is allowed must be known before any block
            for key in sorted(sets - {None}, key=str):
                await self._tell_whole(key)
            self._outbox.put(Ready(self._meta))

    async def _is_ours(self) -> bool:
        """Whether the mark is still the one we read: asked before anything is told as gone.

        What vanished because Redis was emptied must not be told like a removal:
        the consumer has to know of the loss first.
        """
        if self._meta is None or await read_meta(self._link, self._keys) == self._meta:
            return True
        self._lost = True
        self._rereads.wake()
        return False

    async def _discover(self) -> set[SetId]:
        found: set[SetId] = set()
        async for names in self._link.keys(self._keys.pattern("origin")):
            found.update(key for key in map(self._keys.parse_claims, names) if key is not None)
        return found

    async def _tell_whole(self, key: SetId) -> None:
        """Read one set from nothing and tell all of it."""
        self._hints.reading(key)
        shadow: Shadow[Target] = Shadow(parse_allow_member if key is None else parse_member)
        self._shadows[key] = shadow
        members: dict[Target, float] = {}
        self._gathering = (key, members)
        try:
            wrong = await self._wrong_type(key)
            if wrong is None:
                await self._read(key, shadow)
        finally:
            self._gathering = None
        if wrong is None:
            self._wrong.discard(key)
        else:
            self._wrong.add(key)
        self._put_whole(key, members, wrong or shadow.refused)

    def _put_whole(self, key: SetId, members: dict[Target, float], refused: RefusedMembers) -> None:
        if key is None:
            allows = {t: at for t, at in members.items() if not isinstance(t, Flow)}
            self._outbox.put(WholeAllow(allows, refused))
            return
        self._outbox.put(Whole(key, members, refused))
        if members or refused:
            self._told.add(key)
        else:
            self._told.discard(key)
            self._shadows.pop(key, None)
            self._rereads.forget(key)

    # --- reading one set ------------------------------------------------------------

    async def _read(self, key: SetId, shadow: Shadow[Target]) -> None:
        started, idle = time.monotonic(), 0.0
        shadow.begin()
        async for window in self._link.members(self._name(key)):
            for at in range(0, len(window), _PART):
                self._tell(key, shadow.window(window[at : at + _PART]))
                idle += await self._pause()
        if await self._is_ours():
            for gone in shadow.finish(_PART):
                self._tell(key, gone)
                idle += await self._pause()
        if self._gathering is None:  # the first reading says nothing about the next: it parses
            self._rereads.done(key, time.monotonic() - started - idle)

    async def _pause(self) -> float:
        """Let everybody else have a turn, and the consumer catch up; how long that took."""
        started = time.monotonic()
        await asyncio.sleep(0)
        await self._outbox.room()
        return time.monotonic() - started

    async def _read_again(self, key: SetId) -> None:
        self._hints.reading(key)
        shadow = self._shadows.get(key)
        wrong = await self._wrong_type(key)
        if shadow is None and key is not None and wrong is None and key not in self._told:
            # Nobody knows anything of it: told claim by claim, it holds up nothing else.
            shadow = self._shadows[key] = Shadow(parse_member)
            self._told.add(key)
        elif shadow is None or wrong is not None or key in self._wrong:
            if await self._is_ours():
                await self._tell_whole(key)
            return
        refusals = shadow.refusals
        await self._read(key, shadow)
        if not len(shadow):
            self._put_whole(key, {}, [])
        elif shadow.refusals != refusals:
            self._outbox.put(RefusedNow(key, shadow.refused))

    def _tell(self, key: SetId, changes: dict[Target, float | None]) -> None:
        """Tell single changes, or gather them where the whole set is about to be told."""
        if self._gathering is not None and self._gathering[0] == key:
            members = self._gathering[1]
            for target, expires in changes.items():
                if expires is None:
                    members.pop(target, None)
                else:
                    members[target] = expires
        elif key is not None:
            urgent = self._urgency.permits(key, len(changes))
            self._outbox.put(*(Single(key, target, at, urgent) for target, at in changes.items()))
        else:
            self._outbox.put(
                *(SingleAllow(t, at) for t, at in changes.items() if not isinstance(t, Flow))
            )

    async def _wrong_type(self, key: SetId) -> RefusedMembers | None:
        name = self._name(key)
        kind: bytes = await self._link.command("TYPE", name)
        if kind in (b"zset", b"none"):
            return None
        return [(name, f"is a {kind.decode('ascii', 'replace')}, not a sorted set")]

    def _name(self, key: SetId) -> str:
        return self._keys.allow if key is None else self._keys.claims(key)

    # --- notices --------------------------------------------------------------------

    async def _take_notices(self, tracking: Tracking) -> None:
        changes, allow = self._keys.changes.encode(), self._keys.allow.encode()
        meta = self._keys.meta.encode()
        async for names in tracking.notices():
            if names is None:  # FLUSHALL or FLUSHDB, perhaps of another database
                self._flushed = True
                self._rereads.wake()
                continue
            sets: set[SetId] = {key for key in map(self._keys.parse_claims, names) if key}
            if allow in names:
                sets.add(None)
            self._rereads.changed(sets, with_hints=changes in names)
            if meta in names:
                self._meta_changed = True
                self._rereads.wake()

    async def _read_again_for_ever(self) -> None:
        net = time.monotonic() + _NET
        while True:
            if self._meta_changed:
                self._meta_changed = False
                await self._look_at_meta()
            if self._flushed:
                self._flushed = False
                self._lost = self._meta is None or not await self._is_ours()
            if self._lost:
                self._lost = False
                self._outbox.put(Disconnected(f"{self._link.place} was emptied or replaced"))
                await self._tell_everything()
            for key in self._rereads.take():
                if not self._lost:
                    await self._read_again(key)
            if time.monotonic() >= net and await self._is_ours():
                started = time.monotonic()
                for key in await self._discover() | self._shadows.keys():
                    if not self._lost:
                        await self._read_again(key)
                now = time.monotonic()
                net = now + max(_NET, _NET_SHARE * (now - started))
            await self._rereads.wait(max(0.0, net - time.monotonic()))

    async def _look_at_meta(self) -> None:
        """The mark was written, which is well, or went missing or became another."""
        if await self._is_ours() and self._meta is None:
            self._meta = await read_meta(self._link, self._keys)

    # --- the stream of hints --------------------------------------------------------

    async def _stream_position(self) -> bytes | None:
        """The last entry's id: hints after it are ours to follow. None: it is no stream."""
        name = self._keys.changes
        kind = await self._link.command("TYPE", name)
        if kind not in (b"stream", b"none"):
            _log.warning(
                "%s: %s is a %s, not a stream: changes take up to a second; delete it",
                *(self._link.place, name, kind.decode("ascii", "replace")),
            )
            return None
        last = await self._link.command("XREVRANGE", name, "+", "-", "COUNT", 1)
        return last[0][0] if last else b"0-0"

    async def _follow_stream(self, position: bytes) -> None:
        block = int(self._settings.timeout * 1000 / 3)
        while True:
            reply = await self._news.ask(
                *("XREAD", "COUNT", _HINTS, "BLOCK", block),
                *("STREAMS", self._keys.changes, position),
            )
            if not reply:
                continue
            entries = reply[0][1]
            position = entries[-1][0]
            await self._hints.room()
            for number, (_, words) in enumerate(entries, 1):
                if words:  # an entry may have been deleted
                    self._take_hint(dict(zip(words[::2], words[1::2], strict=True)))
                if number % _SORTED == 0:
                    await asyncio.sleep(0)

    def _take_hint(self, fields: dict[bytes, bytes]) -> None:
        suffix, member = fields.get(b"key", b""), fields.get(b"target", b"")
        key = self._keys.parse_suffix(suffix)
        if key is None and suffix != b"allow":
            return
        if self._hints.add(key, member if len(member) <= MAX_MEMBER else b""):
            self._rereads.changed([key], with_hints=False)

    async def _follow_hints(self) -> None:
        while True:
            key, members, rest = await self._hints.take(_LOOKUPS)
            if rest:
                await self._outbox.room()
            async with self._order:
                await self._look_at(key, members)
            if not rest:
                self._rereads.hinted(key)

    async def _look_at(self, key: SetId, members: Iterable[bytes]) -> None:
        """Ask for the hinted members of one set and tell what is different."""
        shadow = self._shadows.get(key)
        if shadow is None:
            shadow = Shadow(parse_allow_member if key is None else parse_member)
        wanted: dict[Target, set[bytes]] = {}
        for member in members:
            found = shadow.spellings(member)
            if found is not None:
                wanted.setdefault(found[0], set()).update(found[1])
        flat = [name for names in wanted.values() for name in names]
        if not flat:
            return
        scores = await self._lookups.ask("EVAL", scripts.SCORES, 1, self._name(key), *flat)
        if len(scores) != len(flat):
            return  # no sorted set: the notice of that leads to a reading, which says so
        if None in scores and not await self._is_ours():
            return
        # Looked up again: the set may have been read meanwhile.
        shadow = self._shadows.get(key, shadow)
        if any(score is not None for score in scores):
            self._shadows[key] = shadow
        fresh = iter(scores)
        changes: dict[Target, float | None] = {}
        for target, names in wanted.items():
            now = [(name, None if (s := next(fresh)) is None else float(s)) for name in names]
            if shadow.update(target, now):
                changes[target] = shadow.expires(target)
        if changes and key is not None:
            self._told.add(key)
        self._tell(key, changes)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
