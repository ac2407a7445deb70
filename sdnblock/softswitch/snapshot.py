"""Reading whole tables beside writes, and yet as of one moment.

A write must not wait for a read of a hundred thousand entries, and a read must
see each write wholly or not at all (P4Runtime specification 13.4). So a read
opens a :class:`Snapshot` while no write is under way; from then on every write
first notes the entries it is about to change, as they were. What the scan
finds of those is replaced by the note. Counters go on counting: only what
clients write is held still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sdnblock.softswitch.answer import Answer
from sdnblock.softswitch.dataplane import Entry
from sdnblock.softswitch.state import NO_NOTE, Changed, Note, Pause, State

Encode = Callable[[bytes, Entry, Note], bytes | None]
"""One entry as an ``entities`` element; None if the request's filter leaves it out."""

_SLICE = 256
"""Entries between two pauses: about a millisecond."""


class Snapshot:
    """What has been asked for, and the moment as of which it is answered."""

    def __init__(self, state: State) -> None:
        """Open it while no write is under way; then writes may go on."""
        self._state = state
        self._scans: list[tuple[str, Encode, Changed]] = []

    def scan(self, table: str, encode: Encode) -> None:
        """Ask for all entries of a table."""
        changed: Changed = {}
        self._scans.append((table, encode, changed))
        self._state.watchers.setdefault(table, []).append(changed)

    def close(self) -> None:
        """Nobody needs notes any more."""
        for table, _, changed in self._scans:
            self._forget(table, changed)
        self._scans = []

    def _forget(self, table: str, changed: Changed) -> None:
        watchers = self._state.watchers.get(table, [])
        # By identity: two empty notebooks are equal.
        self._state.watchers[table] = [each for each in watchers if each is not changed]

    async def answer(self, answer: Answer, pause: Pause) -> None:
        """Carry out all scans."""
        for table, encode, changed in self._scans:
            await self._scan(table, encode, changed, answer, pause)

    async def _scan(
        self, table: str, encode: Encode, changed: Changed, answer: Answer, pause: Pause
    ) -> None:
        state = self._state
        keys: list[bytes] = []
        parts: list[bytes] = []
        for chunk in bounded(state.dataplane.scan(table)):
            notes = state.notes.get(table, {})
            for key, entry in chunk:
                part = encode(key, entry, notes.get(key, NO_NOTE) if notes else NO_NOTE)
                if part is not None:
                    keys.append(key)
                    parts.append(part)
            await pause()
        self._forget(table, changed)  # the scan is complete: later writes do not matter
        for start in range(0, len(parts), _SLICE):
            slice_ = parts[start : start + _SLICE]
            if changed:
                among = zip(keys[start : start + _SLICE], slice_, strict=True)
                slice_ = [part for key, part in among if key not in changed]
            answer.add_encoded(slice_)
            await pause()
        for key, before in changed.items():
            if before is not None:
                part = encode(key, *before)
                answer.add_encoded([] if part is None else [part])


def bounded(
    chunks: Iterable[list[tuple[bytes, Entry]]],
) -> Iterable[list[tuple[bytes, Entry]]]:
    """The same entries in lists that take a few milliseconds at most."""
    for chunk in chunks:
        for start in range(0, len(chunk), _SLICE):
            yield chunk[start : start + _SLICE]
