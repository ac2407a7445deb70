"""An OpenFlow 1.3 switch for what a real one cannot be made to do on demand.

It answers late, wrong, with garbage or not at all, and refuses what it is told to refuse.
It keeps flows and meters as it is given them and checks nothing: what a real switch accepts
is tested with Open vSwitch. Written from the specification, without our own codec.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Awaitable, Callable

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER = range(5)
FEATURES_REQUEST, FEATURES_REPLY = 5, 6
PACKET_IN, FLOW_REMOVED, FLOW_MOD = 10, 11, 14
MULTIPART_REQUEST, MULTIPART_REPLY = 18, 19
BARRIER_REQUEST, BARRIER_REPLY, ROLE_REQUEST, ROLE_REPLY = 20, 21, 24, 25
METER_MOD = 29

DESC, FLOW, METER, METER_CONFIG, METER_FEATURES, TABLE_FEATURES = 0, 1, 9, 10, 11, 12
MASTER = 2

Hook = Callable[[int, bytes], Awaitable[bool]]
"""Called with (xid, body) first; True if it dealt with the message itself."""
Name = tuple[int, int, bytes]
"""Table, priority and match of a flow."""


class FakeSwitch:
    """One switch with one connection at a time; see the module."""

    def __init__(self, datapath_id: int = 7) -> None:
        self.datapath_id = datapath_id
        self.flows: dict[Name, tuple[int, bytes]] = {}
        """To cookie and instructions."""
        self.meters: dict[int, tuple[int, int]] = {}
        """To rate and burst."""
        self.generation: int | None = None
        self.hooks: dict[int, Hook] = {}
        """By message type."""
        self.refuse_flow: Callable[[Name, bytes], tuple[int, int] | None] = lambda name, body: None
        """Given a flow's name and instructions: the error's type and code, if it is refused."""
        self.refuse_multipart: dict[int, tuple[int, int]] = {}
        self.refuse_role: tuple[int, int] | None = None
        self.refuse_meter: tuple[int, int] | None = None
        self.hello = message(HELLO, 1, struct.pack("!HHI", 1, 8, 1 << 4))
        self.mute = False
        """It reads, and answers nothing."""
        self.got: list[int] = []
        """Types of the messages that came."""
        self.received = bytearray()
        """What came after ``mute``, or with a broken hello."""
        self.closed = asyncio.Event()
        """The other side has closed."""
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def connect(self, address: str, context: ssl.SSLContext | None = None) -> None:
        """Connect to a controller, whose answers are handled from then on."""
        await self.drop()
        self.closed = asyncio.Event()
        if address.startswith("unix:"):
            opening = asyncio.open_unix_connection(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            opening = asyncio.open_connection(host, int(port), ssl=context)
        reader, self._writer = await opening
        self.write(self.hello)
        self._task = asyncio.create_task(self._run(reader))

    async def drop(self) -> None:
        """End the connection without a good-bye."""
        if self._writer is not None:
            self._writer.transport.abort()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._writer = self._task = None

    def write(self, raw: bytes) -> None:
        """Send bytes as they are."""
        assert self._writer is not None, "not connected"
        self._writer.write(raw)

    def send(self, kind: int, xid: int, body: bytes = b"") -> None:
        """Send a message."""
        self.write(message(kind, xid, body))

    def error(self, xid: int, error: tuple[int, int]) -> None:
        """Send an error about the message with this xid."""
        self.send(ERROR, xid, struct.pack("!HH", *error))

    def removed(self, name: Name) -> None:
        """Forget a flow, and tell."""
        table, priority, match = name
        cookie, _ = self.flows.pop(name)
        body = struct.pack("!QHBBIIHHQQ", cookie, priority, 2, table, 1, 0, 0, 0, 0, 0)
        self.send(FLOW_REMOVED, 0, body + _match(match))

    async def _run(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                head = await reader.readexactly(8)
                _, kind, length, xid = struct.unpack("!BBHI", head)
                body = await reader.readexactly(length - 8)
                if self.mute:
                    self.received += head + body
                    continue
                self.got.append(kind)
                hook = self.hooks.get(kind)
                if hook is None or not await hook(xid, body):
                    self._handle(kind, xid, body)
        except (OSError, asyncio.IncompleteReadError):
            self.closed.set()

    def _handle(self, kind: int, xid: int, body: bytes) -> None:
        if kind == ECHO_REQUEST:
            self.send(ECHO_REPLY, xid, body)
        elif kind == FEATURES_REQUEST:
            reply = struct.pack("!QIBB2xII", self.datapath_id, 0, 3, 0, 0, 0)
            self.send(FEATURES_REPLY, xid, reply)
        elif kind == BARRIER_REQUEST:
            self.send(BARRIER_REPLY, xid)
        elif kind == ROLE_REQUEST:
            self._role(xid, *struct.unpack_from("!I4xQ", body))
        elif kind == FLOW_MOD:
            self._flow_mod(xid, body)
        elif kind == METER_MOD:
            self._meter_mod(xid, body)
        elif kind == MULTIPART_REQUEST:
            self._multipart(xid, int.from_bytes(body[:2], "big"), body[8:])

    def _role(self, xid: int, role: int, generation: int) -> None:
        if self.refuse_role is not None:
            self.error(xid, self.refuse_role)
        elif role == MASTER and self.generation is not None and generation < self.generation:
            self.error(xid, (11, 0))
        else:
            if role == MASTER:
                self.generation = generation
            known = (1 << 64) - 1 if self.generation is None else self.generation
            self.send(ROLE_REPLY, xid, struct.pack("!I4xQ", role or 1, known))

    def _flow_mod(self, xid: int, body: bytes) -> None:
        cookie, mask, table, command = struct.unpack_from("!QQBB", body)
        (priority,) = struct.unpack_from("!H", body, 22)
        (length,) = struct.unpack_from("!H", body, 42)
        match = body[44 : 40 + length]
        name, instructions = (table, priority, match), body[40 + (length + 7) // 8 * 8 :]
        error = self.refuse_flow(name, instructions)
        held = self.flows.get(name)
        if error is not None:
            self.error(xid, error)
        elif command == 0:
            self.flows[name] = (cookie, instructions)
        elif held is not None and held[0] & mask == cookie & mask:
            if command == 2:
                self.flows[name] = (held[0], instructions)
            else:
                del self.flows[name]

    def _meter_mod(self, xid: int, body: bytes) -> None:
        command, _, meter = struct.unpack_from("!HHI", body)
        if self.refuse_meter is not None:
            self.error(xid, self.refuse_meter)
        elif command == 0 and meter in self.meters:
            self.error(xid, (12, 1))
        elif command == 2:
            self.meters.pop(meter, None)
        else:
            self.meters[meter] = struct.unpack_from("!II", body, 12)

    def _multipart(self, xid: int, kind: int, body: bytes) -> None:
        error = self.refuse_multipart.get(kind)
        if error is not None:
            self.error(xid, error)
            return
        answers: dict[int, Callable[[], bytes]] = {
            DESC: lambda: b"".join(
                word.ljust(size, b"\0")
                for word, size in (
                    (b"maker", 256), (b"fake", 256), (b"1.0", 256), (b"", 32), (b"", 256),
                )
            ),
            TABLE_FEATURES: lambda: b"".join(
                struct.pack("!HB5x32sQQII", 64, table, b"", 0, 0, 0, 5000) for table in range(3)
            ),
            METER_FEATURES: lambda: struct.pack("!IIIBB2x", 100, 2, 6, 1, 0),
            METER_CONFIG: lambda: b"".join(
                struct.pack("!HHIHHII4x", 24, 6, meter, 1, 16, rate, burst)
                for meter, (rate, burst) in self.meters.items()
                if meter < 0xFFFF0000
            ),
            METER: lambda: b"",
            FLOW: lambda: self._flow_stats(body),
        }  # fmt: skip
        self.part(xid, kind, answers[kind]())

    def part(self, xid: int, kind: int, body: bytes, more: bool = False) -> None:
        """Send a part of a multipart reply."""
        self.send(MULTIPART_REPLY, xid, struct.pack("!HH4x", kind, more) + body)

    def _flow_stats(self, body: bytes) -> bytes:
        wanted, cookie, mask = body[0], *struct.unpack_from("!QQ", body, 16)
        return b"".join(
            struct.pack("!HBxIIHHHH4xQQQ", 48 + len(_match(match)) + len(instructions), table,
                        0, 0, priority, 0, 0, 0, held, 0, 0)
            + _match(match) + instructions
            for (table, priority, match), (held, instructions) in self.flows.items()
            if wanted in (table, 0xFF) and held & mask == cookie & mask
        )  # fmt: skip


def message(kind: int, xid: int, body: bytes = b"", version: int = 4) -> bytes:
    """An OpenFlow message."""
    return struct.pack("!BBHI", version, kind, 8 + len(body), xid) + body


def _match(fields: bytes) -> bytes:
    return struct.pack("!HH", 1, 4 + len(fields)) + fields + bytes(-(4 + len(fields)) % 8)
