"""One connection of a switch: framing, handshake, echoes, requests matched by xid.

Everything that the switch sends is bounded: a message by its 16-bit length, the answer to a
request by :data:`MOST_BYTES` and in time. What cannot be read ends the connection; an answer
that nobody waits for is passed over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sdnblock.switches.driver import SwitchLost
from sdnblock.switches.openflow import answers, requests
from sdnblock.switches.openflow.answers import (
    HEADER,
    ErrorAnswer,
    Features,
    FlowRemoved,
    PacketIn,
    Type,
)
from sdnblock.switches.openflow.flows import VERSION, BadAnswer
from sdnblock.switches.openflow.refusals import IS_SLAVE, describe
from sdnblock.switches.openflow.requests import Build

MOST_BYTES: Final = 1 << 28
"""The longest answer to one request: two million flows. More means a switch gone wrong."""
_PART: Final = 64
"""What a part of an answer takes besides its bytes."""
_LONGEST: Final = 30
"""An answer in parts may take so many timeouts in all, and one from part to part."""
_MADE: Final = 25
"""Messages made before the loop goes on: less than a millisecond."""
_MOST_UNSENT: Final = 1 << 24
_XIDS: Final = 0xFFFF_FFFF

_log = logging.getLogger(__name__)


@dataclass
class _Waiting:
    """A request whose answer is due."""

    expected: Type
    done: asyncio.Future[None]
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    multipart: int | None = None


class Gone(SwitchLost):
    """It went before it had said who it is: a switch that was in a hurry, or a look at the port."""


class Refused(SwitchLost):
    """A request of ours was answered with an error."""

    def __init__(self, label: str, error: ErrorAnswer) -> None:
        super().__init__(f"{label}: {describe(error)}")
        self.error = error

    @property
    def details(self) -> tuple[int, int]:
        """The error's type and code, for whoever asked through us."""
        return self.error.type, self.error.code


class Channel:
    """A connected switch. ``label`` begins every error; ``timeout`` is for one answer."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        label: str,
        timeout: float,
    ) -> None:
        self.label = label
        self.timeout = timeout
        self.peer = ""
        """Where the switch connects from."""
        self.on_packet: Callable[[PacketIn], None] | None = None
        self.on_removed: Callable[[FlowRemoved], None] | None = None
        self._reader = reader
        self._writer = writer
        self._xid = 0
        self._waiting: dict[int, _Waiting] = {}
        self._errors: dict[int, ErrorAnswer] = {}
        self._batches: set[range] = set()
        self._heard = time.monotonic()
        self._malformed = 0
        self._why: SwitchLost | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands."""
        return self._why is None

    def check(self) -> None:
        """Raises SwitchLost if the connection has ended."""
        if self._why is not None:
            raise SwitchLost(str(self._why))

    async def handshake(self) -> Features:
        """Hello and features (6.3.1); then the channel runs until it is lost. Raises SwitchLost."""
        try:
            async with asyncio.timeout(self.timeout):
                self._writer.write(requests.hello(self._next()))
                version, _, _, body = await self._message(hello=True)
                if not answers.speaks_ours(version, body):
                    self._writer.write(requests.incompatible(self._next()))
                    raise self._lost("it does not speak OpenFlow 1.3")
                self._tasks.append(asyncio.create_task(self._receive(), name=self.label))
                body = await self.request(requests.features, Type.FEATURES_REPLY)
                found = answers.parse_features(body)
        except TimeoutError:
            raise self._lost("it does not answer our hello") from None
        except BadAnswer as error:
            raise self._lost(str(error)) from None
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Gone(str(self._lost(_words(error)))) from None
        self._tasks.append(asyncio.create_task(self._keep_alive(), name=self.label))
        return found

    async def request(self, build: Build, expected: Type) -> bytes:
        """The body of the one answer to a request. Raises Refused, SwitchLost."""
        (body,) = await self._ask(build, expected)
        return body

    async def multipart(self, build: Build) -> list[bytes]:
        """All parts of the answer to a multipart request (7.3.5). Raises Refused, SwitchLost."""
        return await self._ask(build, Type.MULTIPART_REPLY)

    async def batch(self, builds: Sequence[Build]) -> dict[int, ErrorAnswer]:
        """Send messages, then a barrier (7.3.8); the errors, by the message's place.

        What is not in the result was done when this returns. Raises SwitchLost.
        """
        if not builds:
            return {}
        first = self._xid + 1
        if first + len(builds) >= _XIDS:
            first = 1
        self._xid = first + len(builds) - 1
        xids = range(first, self._xid + 1)
        self._batches.add(xids)
        try:
            for at in range(0, len(builds), _MADE):
                part = zip(xids[at:], builds[at : at + _MADE], strict=False)
                await self._send(b"".join([build(xid) for xid, build in part]))
                if at + _MADE < len(builds):
                    await asyncio.sleep(0)
            await self._ask(requests.barrier, Type.BARRIER_REPLY)
        finally:
            self._batches.discard(xids)
            mine = [xid for xid in self._errors if xid in xids]
            errors = {xid - first: self._errors.pop(xid) for xid in sorted(mine)}
        if any((error.type, error.code) == IS_SLAVE for error in errors.values()):
            raise self._lost("another controller has become its master")
        return errors

    async def alive(self, seconds: float) -> bool:
        """Whether the switch says anything, at least to an echo, within some time."""
        began = time.monotonic()
        if self._why is None:
            self._writer.write(requests.echo_request(self._next()))
        while self._why is None and self._heard <= began:
            if time.monotonic() - began > seconds:
                return False
            await asyncio.sleep(0.01)
        return self._why is None

    async def close(self, why: str) -> None:
        """End the connection; what waits for an answer is told ``why``."""
        self._lost(why)
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        try:
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        except TimeoutError:
            self._writer.transport.abort()  # it does not take what we have sent
        except OSError:
            return

    async def _ask(self, build: Build, expected: Type) -> list[bytes]:
        self.check()
        xid = self._next()
        waiting = _Waiting(expected, asyncio.get_running_loop().create_future())
        self._waiting[xid] = waiting
        began = time.monotonic()
        try:
            await self._send(build(xid))
            while not waiting.done.done():
                before = waiting.size
                await asyncio.wait([waiting.done], timeout=self.timeout)
                if not waiting.done.done() and waiting.size == before:
                    raise self._lost(f"no answer within {self.timeout:g} s")
                if time.monotonic() - began > _LONGEST * self.timeout:
                    raise self._lost("an answer without end")
            waiting.done.result()
            return waiting.parts
        finally:
            del self._waiting[xid]
            waiting.done.cancel()

    async def _send(self, data: bytes) -> None:
        self.check()
        try:
            self._writer.write(data)
            async with asyncio.timeout(self.timeout):
                await self._writer.drain()
        except TimeoutError:
            raise self._lost(f"it has taken nothing for {self.timeout:g} s") from None
        except OSError as error:
            raise self._lost(_words(error)) from None
        self.check()

    async def _message(self, hello: bool = False) -> tuple[int, int, int, bytes]:
        version, kind, length, xid = HEADER.unpack(await self._reader.readexactly(HEADER.size))
        if hello and kind != Type.HELLO:
            raise BadAnswer("it does not begin with a hello: no OpenFlow switch")
        if length < HEADER.size:
            raise BadAnswer("it sends what is no OpenFlow")
        body = await self._reader.readexactly(length - HEADER.size)
        self._heard = time.monotonic()
        return version, kind, xid, body

    async def _receive(self) -> None:
        try:
            while self._why is None:
                version, kind, xid, body = await self._message()
                if version != VERSION:
                    raise BadAnswer(f"it sends OpenFlow version {version} after a hello for 1.3")
                self._dispatch(kind, xid, body)
        except (OSError, asyncio.IncompleteReadError, BadAnswer) as error:
            self._lost(_words(error))

    def _dispatch(self, kind: int, xid: int, body: bytes) -> None:
        waiting = self._waiting.get(xid)
        if kind in (Type.PACKET_IN, Type.FLOW_REMOVED):
            self._notice(kind, body)
        elif kind == Type.ECHO_REQUEST:
            self._writer.write(requests.echo_reply(xid, body))
            if self._writer.transport.get_write_buffer_size() > _MOST_UNSENT:
                raise BadAnswer("it asks for echoes and does not take them")
        elif kind == Type.ERROR:
            error = answers.parse_error(body)
            if waiting is not None:
                if not waiting.done.done():
                    waiting.done.set_exception(Refused(self.label, error))
            elif any(xid in xids for xids in self._batches):
                self._errors.setdefault(xid, error)
        elif waiting is not None and kind == waiting.expected and not waiting.done.done():
            self._answer(waiting, body)

    def _answer(self, waiting: _Waiting, body: bytes) -> None:
        more = False
        if waiting.expected is Type.MULTIPART_REPLY:
            kind, more, body = answers.parse_multipart(body)
            if waiting.multipart not in (None, kind):
                raise BadAnswer("an answer in parts of different kinds")
            waiting.multipart = kind
        waiting.parts.append(body)
        waiting.size += len(body) + _PART
        if waiting.size > MOST_BYTES:
            raise BadAnswer("an answer without end")
        if not more:
            waiting.done.set_result(None)

    def _notice(self, kind: int, body: bytes) -> None:
        try:
            if kind == Type.PACKET_IN and self.on_packet is not None:
                self.on_packet(answers.parse_packet_in(body))
            elif kind == Type.FLOW_REMOVED and self.on_removed is not None:
                self.on_removed(answers.parse_flow_removed(body))
        except BadAnswer as error:
            self._malformed += 1
            if self._malformed & (self._malformed - 1) == 0:  # the 1st, 2nd, 4th, 8th...
                _log.warning("%s: %s (%d so far)", self.label, error, self._malformed)

    async def _keep_alive(self) -> None:
        """An echo when the switch is silent (6.4); silence in return is its end."""
        while self._why is None:
            await asyncio.sleep(self.timeout / 3)
            silent = time.monotonic() - self._heard
            if silent >= self.timeout:
                self._lost(f"silent for {silent:.0f} s")
            elif silent >= self.timeout / 3:
                self._writer.write(requests.echo_request(self._next()))

    def _next(self) -> int:
        self._xid = self._xid % (_XIDS - 1) + 1
        return self._xid

    def _lost(self, why: str) -> SwitchLost:
        """Note the end, once; the error to raise."""
        if self._why is None:
            self._why = SwitchLost(f"{self.label}: {why}")
            for waiting in self._waiting.values():
                if not waiting.done.done():
                    waiting.done.set_exception(SwitchLost(str(self._why)))
            self._writer.close()
        return SwitchLost(str(self._why))


def _words(error: Exception) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "it closed the connection"
    if isinstance(error, OSError):
        return (error.strerror or "connection lost").lower()
    return str(error)
