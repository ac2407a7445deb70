"""One P4Runtime session: the stream, arbitration, and RPCs that end with it.

P4Runtime specification 5 (arbitration) and 16 (stream). Everything here ends as
soon as the stream does: calls in flight raise SwitchLost at once.

What servers do differently, all met here:

* BMv2 never says NOT_FOUND. It promotes a backup with OK and an election id
  lower than the last one it named: OK means primary, whatever the id.
* BMv2 does not answer a repeated election id on the same stream: none is sent twice.
* A server that keeps to the specification does not promote: it says NOT_FOUND
  when there is no primary, and wants an id above any that it has seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import grpc
from finsy.proto import p4r, p4r_grpc, rpc_code
from google.protobuf.message import DecodeError

from sdnblock.errors import SwitchError
from sdnblock.switches.driver import SwitchLost
from sdnblock.switches.p4runtime.errors import LOST_CODES, describe, update_errors
from sdnblock.switches.p4runtime.wire import responses

T = TypeVar("T")

READ_PART: Final = 1000
"""Entities decoded before other tasks get their turn: some 5 ms."""
PROBE_INTERVAL: Final = 5.0
"""Seconds between probes of a quiet session."""
_MAX_RAISES: Final = 32
_OUTBOX: Final = 1024
_MASK64: Final = (1 << 64) - 1


class Refused(SwitchError):
    """A whole RPC that the switch answered with an error; nothing of it was done."""

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        """Keep the code for callers that can do without the RPC."""
        super().__init__(message)
        self.code = code


class Session:
    """A stream to one switch and the RPCs under it. Not reusable."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        device_id: int,
        label: str,
        timeout: float,
        on_message: Callable[[p4r.StreamMessageResponse], p4r.DigestListAck | None],
    ) -> None:
        """``label`` begins every message for people; ``timeout`` is that of an RPC in seconds.

        ``on_message`` gets every digest, packet and notification, and must not
        raise; what it returns is sent back.
        """
        self._channel = channel
        self._stub = p4r_grpc.P4RuntimeStub(channel)
        # As the stub's Read, but with answers as bytes: see wire.py.
        self._read = channel.unary_stream(
            "/p4.v1.P4Runtime/Read", p4r.ReadRequest.SerializeToString, None
        )
        self._device_id = device_id
        self._label = label
        self._timeout = timeout
        self._on_message = on_message
        self._election_id = 0
        self._raises = 0
        self._primary = asyncio.Event()
        self._answered = asyncio.Event()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._outbox: asyncio.Queue[p4r.StreamMessageRequest] = asyncio.Queue(_OUTBOX)
        self._tasks: list[asyncio.Task[None]] = []
        self.cookie: int | None = None
        """The cookie that the switch's pipeline must have; None: not looked at yet."""

    @property
    def is_primary(self) -> bool:
        """Whether we may write."""
        return self._primary.is_set() and not self._lost.done()

    @property
    def is_open(self) -> bool:
        """Whether the switch has answered our arbitration and the stream still stands."""
        return self._answered.is_set() and not self._lost.done()

    async def open(self, election_id: int) -> None:
        """Start the stream and offer ``election_id``. Raises SwitchError."""
        self._election_id = election_id
        stream = self._stub.StreamChannel(None)
        self._offer()
        self._tasks = [
            asyncio.create_task(self._reader(stream)),
            asyncio.create_task(self._writer(stream)),
        ]
        await self._until(self._answered.wait(), self._timeout, "no answer to arbitration")
        self._tasks.append(asyncio.create_task(self._prober()))

    async def become_primary(self) -> None:
        """Wait until we may write: for ever, while another controller is primary.

        Raises SwitchLost when the stream ends.
        """
        await self._until(self._primary.wait(), None, "")

    async def close(self, reason: str = "closed") -> None:
        """End the session. Whoever still uses it gets SwitchLost with ``reason``."""
        self.lose(reason)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close(None)

    def check(self) -> None:
        """Raise SwitchLost if the session has ended."""
        if self._lost.done():
            raise SwitchLost(f"{self._label}: {self._lost.result()}")

    def lose(self, reason: str) -> None:
        """Declare the session lost; the first reason counts."""
        if not self._lost.done():
            self._lost.set_result(reason)

    # RPCs

    async def capabilities(self) -> p4r.CapabilitiesResponse:
        """What the server says of itself. Raises Refused, SwitchLost."""
        request = p4r.CapabilitiesRequest(device_id=self._device_id)
        return await self._rpc(
            self._stub.Capabilities(request, timeout=self._timeout), "cannot connect"
        )

    async def get_config(self, response_type: Any) -> p4r.ForwardingPipelineConfig:
        """The pipeline that the switch runs. Raises Refused, SwitchLost."""
        request = p4r.GetForwardingPipelineConfigRequest(
            device_id=self._device_id, response_type=response_type
        )
        call = self._stub.GetForwardingPipelineConfig(request, timeout=self._timeout)
        return (await self._rpc(call, "reading the pipeline's cookie", lost=_GONE)).config

    async def set_config(
        self, action: Any, config: p4r.ForwardingPipelineConfig | None, seconds: float
    ) -> None:
        """Set the pipeline within ``seconds``. Raises Refused, SwitchLost."""
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self._device_id, election_id=self._uint128(), action=action, config=config
        )
        call = self._stub.SetForwardingPipelineConfig(request, timeout=seconds)
        await self._rpc(call, "setting the pipeline", lost=_GONE | _DENIED)

    def batch(self) -> p4r.WriteRequest:
        """An empty batch, to be filled with updates and given to :meth:`write`."""
        return p4r.WriteRequest(device_id=self._device_id, election_id=self._uint128())

    async def write(self, batch: p4r.WriteRequest) -> list[p4r.Error] | None:
        """Send a batch. None: all done; else one error per update (code 0: done).

        Raises SwitchLost if the outcome is unknown, Refused if nothing was done.
        """
        call = asyncio.ensure_future(self._stub.Write(batch, timeout=self._timeout))
        try:
            if await self._first(call) is None:  # it cannot be parsed
                raise self._losing("write: the answer is garbage")
        except grpc.aio.AioRpcError as error:
            if error.code() in LOST_CODES:
                raise self._losing(f"write: {describe(error)}") from None
            errors = update_errors(error, len(batch.updates))
            if errors is not None:
                return errors
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:  # refused before any update
                raise Refused(f"{self._label}: write: {describe(error)}", error.code()) from None
            if len(batch.updates) == 1:
                return [
                    p4r.Error(canonical_code=error.code().value[0], message=error.details() or "")
                ]
            raise self._losing(f"write: {describe(error)}") from None
        return None

    async def read(self, query: p4r.Entity, most: int) -> AsyncIterator[Sequence[p4r.Entity]]:
        """Read, in parts of at most a thousand entities; others get their turn in between.

        Each answer must come within the timeout; a switch that sends twice as many
        as the object has (``most``) is none of ours. Raises Refused if the
        switch cannot do it, SwitchLost.
        """
        request = p4r.ReadRequest(device_id=self._device_id, entities=[query])
        seen = 0
        call = self._read(request)
        try:
            while True:
                answer = await self._rpc(call.read(), "read", seconds=self._timeout)
                if not isinstance(answer, bytes):  # the end
                    return
                for part in responses(answer, READ_PART):
                    seen += len(part.entities)
                    if seen > 2 * most + READ_PART:
                        raise self._losing(f"read: over {seen} answers where {most} can be")
                    yield part.entities
                    await asyncio.sleep(0)
        except DecodeError:
            raise self._losing("read: the answer is garbage") from None
        finally:
            call.cancel()

    # The inside

    async def _rpc(
        self,
        call: Awaitable[T],
        what: str,
        *,
        lost: frozenset[grpc.StatusCode] = LOST_CODES,
        seconds: float | None = None,
    ) -> T:
        try:
            answer = await self._first(asyncio.ensure_future(call), seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() in lost:
                raise self._losing(f"{what}: {describe(error)}") from None
            raise Refused(f"{self._label}: {what}: {describe(error)}", error.code()) from None
        except TimeoutError:
            raise self._losing(f"{what}: no answer in time") from None
        if answer is None:  # what grpc makes of a message that it cannot parse
            raise self._losing(f"{what}: the answer is garbage")
        return answer

    async def _until(self, event: Awaitable[Any], seconds: float | None, late: str) -> None:
        try:
            await self._first(asyncio.ensure_future(event), seconds)
        except TimeoutError:
            raise self._losing(late) from None

    async def _first(self, call: asyncio.Future[T], seconds: float | None = None) -> T:
        """The call's result, or SwitchLost as soon as the session is lost."""
        call.add_done_callback(_retrieve)
        try:
            await asyncio.wait(
                (call, self._lost), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if call.done() and not call.cancelled():
                return call.result()
            self.check()
            if call.cancelled():
                raise self._losing("the connection was closed")
            raise TimeoutError
        finally:
            call.cancel()

    def _losing(self, reason: str) -> SwitchLost:
        self.lose(reason)
        return SwitchLost(f"{self._label}: {self._lost.result()}")

    def _uint128(self) -> p4r.Uint128:
        return p4r.Uint128(high=self._election_id >> 64, low=self._election_id & _MASK64)

    def _offer(self) -> None:
        arbitration = p4r.MasterArbitrationUpdate(
            device_id=self._device_id, election_id=self._uint128()
        )
        self._send(p4r.StreamMessageRequest(arbitration=arbitration))

    def _send(self, message: p4r.StreamMessageRequest) -> None:
        # Full: the switch does not read. A lost ack only leaves duplicates suppressed.
        with contextlib.suppress(asyncio.QueueFull):
            self._outbox.put_nowait(message)

    async def _writer(self, stream: grpc.aio.StreamStreamCall[Any, Any]) -> None:
        try:
            while True:
                await stream.write(await self._outbox.get())
        except (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError):
            return  # the reader says why

    async def _reader(self, stream: grpc.aio.StreamStreamCall[Any, Any]) -> None:
        try:
            while isinstance(message := await stream.read(), p4r.StreamMessageResponse):
                if message.HasField("arbitration"):
                    self._arbitrated(message.arbitration)
                    continue
                ack = self._on_message(message)
                if ack is not None:
                    self._send(p4r.StreamMessageRequest(digest_ack=ack))
            self.lose("the switch ended the session")
        except grpc.aio.AioRpcError as error:
            self.lose(describe(error))
        finally:
            stream.cancel()
            self.lose("the session ended")

    def _arbitrated(self, update: p4r.MasterArbitrationUpdate) -> None:
        code = update.status.code
        if code == rpc_code.OK:
            self._primary.set()
        elif self._primary.is_set():
            self.lose("another controller has become primary")
        elif code == rpc_code.NOT_FOUND:
            self._raise_election_id(update.election_id)
        elif code != rpc_code.ALREADY_EXISTS:
            self.lose(f"arbitration refused (code {code})")
        self._answered.set()

    def _raise_election_id(self, highest: p4r.Uint128) -> None:
        """There is no primary: offer an id above all that the switch has seen."""
        known = max(self._election_id, highest.high << 64 | highest.low)
        self._raises += 1
        raised = known + random.randint(1, 1 << 20)  # other backups do the same just now
        if self._raises > _MAX_RAISES or raised >> 128:
            self.lose("arbitration does not end")
            return
        self._election_id = raised
        self._offer()

    async def _prober(self) -> None:
        """Notice a switch that is gone, or that has lost its pipeline, without a word."""
        try:
            while True:
                await asyncio.sleep(PROBE_INTERVAL)
                try:
                    config = await self.get_config(_COOKIE_ONLY)
                except Refused as error:
                    if self.cookie is not None:
                        self.lose(f"its pipeline is gone ({error.code.name})")
                    continue
                if self.cookie is not None and config.cookie.cookie != self.cookie:
                    self.lose("its pipeline was replaced")
        except SwitchLost:
            return


_COOKIE_ONLY: Final = p4r.GetForwardingPipelineConfigRequest.COOKIE_ONLY
_DENIED: Final = frozenset({grpc.StatusCode.PERMISSION_DENIED})
_GONE: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)


def _retrieve(call: asyncio.Future[Any]) -> None:
    """Nobody waits for a call of a lost session any more: its error is not news."""
    if not call.cancelled():
        call.exception()
