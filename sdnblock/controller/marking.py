"""Scanner signatures that are added while the controller runs: from a file, and from Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sdnblock.blocklist.marks import Mark
from sdnblock.blocklist.store import Store
from sdnblock.detect.signatures import Signature, Signatures, objection, parse_signature
from sdnblock.errors import BlockListError, ConfigError, TargetError
from sdnblock.signature_file import read_signatures

_log = logging.getLogger(__name__)

Refuse = Callable[[Mark, str], None]

_EVERY: Final = 1.0
_MOST_LOGGED: Final = 1000

FILE: Final = "file"
REDIS: Final = "redis"
"""Where signatures are from."""


class Marking:
    """Keeps the detectors' signatures as file and Redis have them.

    What cannot be read leaves those that were read before in force; a Redis that lost its
    data is given them back.
    """

    def __init__(self, signatures: Signatures, store: Store, file: Path | None) -> None:
        self._signatures = signatures
        self._store = store
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._problem = ""
        self._marks: list[Mark] = []
        self._instance: str | None = None
        self._logged: set[str] = set()

    def set_file(self, file: Path | None) -> None:
        """The configuration names another file."""
        if file != self._file:
            self._file, self._stamp = file, None
            if file is None:
                self._signatures.replace(FILE, ())

    async def run(self) -> None:
        """Look for changes every second, for ever."""
        while True:
            await self._look_at_file()
            try:
                await self._look_at_redis()
            except BlockListError as error:
                _log.debug("signatures not read: %s", error)
            await asyncio.sleep(_EVERY)

    async def _look_at_file(self) -> None:
        file = self._file
        if file is None:
            return
        try:
            stamp = await asyncio.to_thread(_stamp, file)
            if stamp == self._stamp:
                return
            found, refused = await asyncio.to_thread(read_signatures, file)
        except ConfigError as error:
            if str(error) != self._problem:
                _log.error("%s; those read before stay in force", error)
            self._problem, self._stamp = str(error), None
            return
        if file is not self._file:
            return
        self._problem, self._stamp = "", stamp
        if self._signatures.replace(FILE, found):
            _log.info("%d scanner signatures from %s", len(found), file)
        for line in refused:
            _log.warning("signature refused: %s", line)

    async def _look_at_redis(self) -> None:
        meta = await self._store.meta()
        instance = meta.instance if meta is not None else None
        if self._instance is not None and instance != self._instance:
            if instance is None:
                return  # emptied, and not yet marked as ours again
            if self._marks:
                _log.warning("Redis has lost %d scanner signatures: put back", len(self._marks))
                await self._store.signatures.add(self._marks)
        self._instance = instance
        marks = await self._store.signatures.all()
        if marks == self._marks:
            return
        self._marks = marks
        if self._signatures.replace(REDIS, accepted(marks, self._refuse)):
            _log.info("%d scanner signatures in Redis", len(self._signatures.of(REDIS)))

    def _refuse(self, mark: Mark, why: str) -> None:
        if mark.text not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add(mark.text)
            _log.warning("signature %a in Redis refused: %s", mark.text[:60], why)


def accepted(marks: list[Mark], refuse: Refuse) -> list[Signature]:
    """Those of Redis' signatures that count; ``refuse`` is told why another does not."""
    found = []
    for mark in marks:
        try:
            signature = parse_signature(mark.text)
        except TargetError as error:
            refuse(mark, str(error))
            continue
        why = None if mark.forced else objection(signature)
        if why is None:
            found.append(signature)
        else:
            refuse(mark, why)
    return found


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        state = file.stat()
    except OSError as error:
        raise ConfigError(f"cannot read the signatures in {file}: {error.strerror}") from None
    return state.st_mtime_ns, state.st_size, state.st_ino
