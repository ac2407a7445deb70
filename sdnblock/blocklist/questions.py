"""Questions about switches, put to the controller that a switch is connected to, by way of Redis.

Not part of the contract: only our own command line asks. A question waits five seconds in
a list that the controller empties; its answer waits half a minute in a list of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.link import Link
from sdnblock.errors import SwitchError

WAITS: Final = 5.0
"""Seconds that a question waits for a controller."""
_KEPT: Final = 30.0
_LONGEST: Final = 1000
_MOST_PARTS: Final = 1 << 20
_BYTES: Final = 1 << 20
"""Of an answer, in one command."""
_ID: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)

_PUT: Final = """
redis.call('RPUSH', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that waits for its answer."""

    id: str
    switch: str
    question: str


class SwitchRefused(SwitchError):
    """The controller says that it cannot answer; ``details`` is what its driver added."""

    def __init__(self, text: str, details: Sequence[int]) -> None:
        super().__init__(text)
        self.details = tuple(details)


class Questions:
    """Both sides of it. Everything raises BlockListError when Redis fails."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def ask(self, switch: str, question: str) -> list[bytes]:
        """The parts of the answer. Raises SwitchRefused; SwitchError if nobody answers."""
        number = secrets.token_hex(8)
        text = json.dumps({"id": number, "question": question})
        await self._put(self._keys.ask(switch), WAITS, text)
        key = self._keys.answer(number)
        head = _object(await self._pop(key))
        if head is None:
            raise SwitchError(f"switch {switch}: its controller does not answer")
        error, parts = head.get("error"), head.get("parts")
        if isinstance(error, str):
            details = head.get("details")
            raise SwitchRefused(error, details if isinstance(details, list) else ())
        found: list[bytes] = []
        while isinstance(parts, int) and len(found) < min(parts, _MOST_PARTS):
            part = await self._pop(key)
            if part is None:
                raise SwitchError(f"switch {switch}: its controller's answer ends early")
            found.append(part)
        return found

    async def next(self, switches: Sequence[str], seconds: float) -> Asked | None:
        """A question about one of some switches, waited for; None if there is none.

        ``seconds`` is less than Redis has for an answer.
        """
        names = {self._keys.ask(switch): switch for switch in switches}
        found = await self._link.command("BLPOP", *names, seconds)
        if not found:
            return None
        key, text = found
        asked = _object(text) if len(text) <= _LONGEST else None
        number, question = (asked or {}).get("id"), (asked or {}).get("question")
        if (
            not isinstance(number, str)
            or not isinstance(question, str)
            or not _ID.fullmatch(number)
        ):
            return None  # not one of ours
        return Asked(number, names[key.decode()], question)

    async def answer(self, asked: Asked, parts: Sequence[bytes]) -> None:
        """Give the answer."""
        key = self._keys.answer(asked.id)
        waiting: list[bytes | str] = [json.dumps({"parts": len(parts)})]
        size = 0
        for part in parts:
            waiting.append(part)
            size += len(part)
            if size >= _BYTES or len(waiting) >= 1000:
                await self._put(key, _KEPT, *waiting)
                waiting, size = [], 0
        if waiting:
            await self._put(key, _KEPT, *waiting)

    async def refuse(self, asked: Asked, error: str, details: Sequence[int] = ()) -> None:
        """Say why there is none."""
        text = json.dumps({"error": error, "details": list(details)})
        await self._put(self._keys.answer(asked.id), _KEPT, text)

    async def _put(self, key: str, seconds: float, *values: bytes | str) -> None:
        await self._link.run(_PUT, [key], [int(seconds * 1000), *values])

    async def _pop(self, key: str) -> bytes | None:
        """The next part. Asked for again and again: a wait in Redis may outlast our timeouts."""
        deadline, wait = time.monotonic() + WAITS + 1.0, 0.001
        while (found := await self._link.command("LPOP", key)) is None:
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, 0.05)
        return bytes(found)


def _object(text: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text or b"")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
