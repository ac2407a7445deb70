"""The P4Runtime service over gRPC: thin; the rules are in the modules beside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final, NoReturn, TypeVar

import grpc
from finsy.proto import U128, p4r, rpc_status
from google.protobuf.message import DecodeError, Message
from google.protobuf.wrappers_pb2 import StringValue

from sdnblock.errors import SdnblockError
from sdnblock.softswitch.device import Device, Stream, pause
from sdnblock.softswitch.read import Reading
from sdnblock.softswitch.refusal import (
    INTERNAL,
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    Refusal,
    invalid,
    unimplemented,
)
from sdnblock.softswitch.write import batch_status, write_batch

API_VERSION: Final = "1.5.0"
MARK: Final = "sdnblock.xdp"
"""A StringValue in ``CapabilitiesResponse.experimental``: this server takes our BPF object."""

MAX_MESSAGE: Final = 128 << 20
MAX_METADATA: Final = 16 << 20
OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_metadata_size", MAX_METADATA),
    ("grpc.absolute_max_metadata_size", MAX_METADATA),
    # A second server on the same port must fail, not share it.
    ("grpc.so_reuseport", 0),
    # A controller that vanished without a word loses its session within half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
)

_DETAILS: Final = "grpc-status-details-bin"
_READS: Final = 4
"""Reads whose answers are being made at once; the next ones wait."""
_ANSWERS: Final = 64
"""Reads at once, with those being sent: each holds its answer in memory."""
_PATIENCE: Final = 30.0
"""Seconds a client may take for one message of an answer."""

_log = logging.getLogger(__name__)
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

_T = TypeVar("_T")
_Message = TypeVar("_Message", bound=Message)
Context = grpc.aio.ServicerContext[Any, Any]


class Servicer:
    """The P4Runtime service of one device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._reading = asyncio.Semaphore(_READS)
        self._answering = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the service. Requests are parsed by :func:`_parse`, not by gRPC; the
        answers of Read are serialised already."""
        handlers = {
            "Write": _unary(self._write, p4r.WriteRequest),
            "Read": grpc.unary_stream_rpc_method_handler(self.read),
            "SetForwardingPipelineConfig": _unary(
                self._set_config, p4r.SetForwardingPipelineConfigRequest
            ),
            "GetForwardingPipelineConfig": _unary(
                self._get_config, p4r.GetForwardingPipelineConfigRequest
            ),
            "Capabilities": _unary(self._capabilities, p4r.CapabilitiesRequest),
            "StreamChannel": grpc.stream_stream_rpc_method_handler(
                self.stream_channel,
                response_serializer=p4r.StreamMessageResponse.SerializeToString,
            ),
        }
        generic = grpc.method_handlers_generic_handler("p4.v1.P4Runtime", handlers)
        server.add_generic_rpc_handlers((generic,))

    async def _write(self, request: p4r.WriteRequest, context: Context) -> p4r.WriteResponse:
        device = self._device
        election_id = _election(request)
        device.check_primary(request.device_id, request.role, election_id)
        if request.atomicity != p4r.WriteRequest.CONTINUE_ON_ERROR:
            raise unimplemented("only CONTINUE_ON_ERROR is supported")
        results = await self._whole(self._locked_write(request, election_id))
        status = batch_status(results, "some updates failed")
        if status is not None:
            await _fail(context, status)
        return p4r.WriteResponse()

    async def _locked_write(
        self, request: p4r.WriteRequest, election_id: int | None
    ) -> list[Refusal | None]:
        device = self._device
        async with device.lock:
            # While this waited, another client may have become primary.
            device.check_primary(request.device_id, request.role, election_id)
            return await write_batch(device.state(), request.updates, pause)

    async def _whole(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do all of ``work``, also when the client hangs up meanwhile."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def finish(self) -> None:
        """Wait until all writes that have begun are done."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def read(self, packed: bytes, context: Context) -> None:
        """The Read RPC: the answer is made at once, and sent as fast as the client takes it."""
        try:
            request = _parse(p4r.ReadRequest, packed)
            self._device.check_device(request.device_id)
            if self._answering >= _ANSWERS:
                raise Refusal(RESOURCE_EXHAUSTED, f"{_ANSWERS} reads are being answered already")
            self._answering += 1
            try:
                async with self._reading:
                    messages, results = await self._answer(request)
                await _send_answer(messages, context)
            finally:
                self._answering -= 1
        except Refusal as refusal:
            await _refuse(context, refusal)
        except SdnblockError as error:
            await _refuse(context, Refusal(INTERNAL, str(error)))
        status = batch_status(results, "some requests failed")
        if status is not None:
            await _fail(context, status)

    async def _answer(self, request: p4r.ReadRequest) -> tuple[list[bytes], list[Refusal | None]]:
        device = self._device
        with contextlib.ExitStack() as stack:
            async with device.lock:
                reading = Reading(device.state())
                # Only now: who replaces the pipeline holds the lock and waits for reads.
                stack.enter_context(device.reading())
                stack.callback(reading.close)
                await reading.begin(request.entities, pause)
            return await reading.finish(pause), reading.results

    async def _set_config(
        self, request: p4r.SetForwardingPipelineConfigRequest, context: Context
    ) -> p4r.SetForwardingPipelineConfigResponse:
        device = self._device
        election_id = _election(request)
        device.check_primary(request.device_id, request.role, election_id)
        await self._whole(self._locked_set_config(request, election_id))
        return p4r.SetForwardingPipelineConfigResponse()

    async def _locked_set_config(
        self, request: p4r.SetForwardingPipelineConfigRequest, election_id: int | None
    ) -> None:
        device = self._device
        async with device.lock:
            device.check_primary(request.device_id, request.role, election_id)
            await device.no_reads()
            config = request.config if request.HasField("config") else None
            try:
                await device.pipelines.set(request.action, config, pause)
            finally:
                device.pipeline_set()

    async def _get_config(
        self, request: p4r.GetForwardingPipelineConfigRequest, context: Context
    ) -> p4r.GetForwardingPipelineConfigResponse:
        self._device.check_device(request.device_id)
        answer = p4r.GetForwardingPipelineConfigResponse()
        current = self._device.pipelines.current
        if current is None:
            return answer
        stored, wanted = current.pipeline.config, request.response_type
        answer.config.SetInParent()
        if stored.HasField("cookie"):
            answer.config.cookie.CopyFrom(stored.cookie)
        if wanted in (request.ALL, request.P4INFO_AND_COOKIE):
            answer.config.p4info.CopyFrom(stored.p4info)
        if wanted in (request.ALL, request.DEVICE_CONFIG_AND_COOKIE):
            answer.config.p4_device_config = stored.p4_device_config
        return answer

    async def _capabilities(
        self, request: p4r.CapabilitiesRequest, context: Context
    ) -> p4r.CapabilitiesResponse:
        if request.device_id:
            self._device.check_device(request.device_id)
        answer = p4r.CapabilitiesResponse(p4runtime_api_version=API_VERSION)
        answer.experimental.Pack(StringValue(value=MARK))
        return answer

    async def stream_channel(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """The StreamChannel RPC: one client's session."""
        stream = Stream()
        writer = asyncio.create_task(_send_all(stream, context))
        try:
            async for packed in requests:
                await self._on_message(stream, _parse(p4r.StreamMessageRequest, packed))
                if stream.stuck:
                    raise Refusal(RESOURCE_EXHAUSTED, "the client sends and does not read")
        except Refusal as refusal:
            _log.info("stream of %s refused: %s", context.peer(), refusal)
            await _refuse(context, refusal)
        finally:
            self._device.leave(stream)
            writer.cancel()

    async def _on_message(self, stream: Stream, message: p4r.StreamMessageRequest) -> None:
        which = message.WhichOneof("update")
        if which == "arbitration":
            await self._device.arbitrate(stream, message.arbitration)
            return
        error: p4r.StreamError | None = p4r.StreamError()
        assert error is not None
        if which == "digest_ack":
            error = self._device.acknowledge(stream, message.digest_ack)
        elif which == "packet":
            error.packet_out.SetInParent()
            error.canonical_code, error.message = UNIMPLEMENTED, "this pipeline has no packet_out"
            if not self._device.arbitration.is_primary_client(stream):
                error.canonical_code, error.message = PERMISSION_DENIED, "not the primary"
        else:
            error.other.SetInParent()
            error.canonical_code = UNIMPLEMENTED if which else INVALID_ARGUMENT
            error.message = "not an arbitration update, digest acknowledgement or packet"
        if error is not None:
            stream.send(p4r.StreamMessageResponse(error=error), droppable=True)


def _election(
    request: p4r.WriteRequest | p4r.SetForwardingPipelineConfigRequest,
) -> int | None:
    return U128.decode(request.election_id) if request.HasField("election_id") else None


async def _send_answer(messages: list[bytes], context: Context) -> None:
    """Raises Refusal if the client does not take it."""
    for message in messages:
        try:
            async with asyncio.timeout(_PATIENCE):
                await context.write(message)
        except TimeoutError:
            raise Refusal(RESOURCE_EXHAUSTED, "the client does not read its answer") from None


async def _send_all(stream: Stream, context: Context) -> None:
    while True:
        await context.write(await stream.next())


def _parse(kind: type[_Message], packed: bytes) -> _Message:
    """A request from the wire. Raises Refusal INVALID_ARGUMENT for garbage."""
    try:
        return kind.FromString(packed)
    except DecodeError:
        raise invalid(f"this is not a {kind.DESCRIPTOR.name}") from None


def _unary(
    method: Callable[[_Message, Context], Awaitable[Message]], request: type[_Message]
) -> grpc.RpcMethodHandler[Any, Any]:
    async def refusing(packed: bytes, context: Context) -> Message:
        try:
            return await method(_parse(request, packed), context)
        except Refusal as refusal:
            await _refuse(context, refusal)
        except SdnblockError as error:
            await _refuse(context, Refusal(INTERNAL, str(error)))

    return grpc.unary_unary_rpc_method_handler(
        refusing, response_serializer=lambda answer: answer.SerializeToString()
    )


async def _refuse(context: Context, refusal: Refusal) -> NoReturn:
    await context.abort(_CODES[refusal.code], refusal.message)
    raise AssertionError("abort returns to nobody")


async def _fail(context: Context, status: rpc_status.Status) -> NoReturn:
    """End an RPC with details (specification 10)."""
    details = ((_DETAILS, status.SerializeToString()),)
    await context.abort(_CODES[status.code], status.message, trailing_metadata=details)
    raise AssertionError("abort returns to nobody")
