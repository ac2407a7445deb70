"""What the tests of the switch share: a server on a data plane in memory, and raw clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, cast

import grpc
from finsy.proto import U128, p4i, p4r, p4r_grpc, rpc_status
from google.protobuf import text_format

from sdnblock.artifacts import P4INFO, artifact
from sdnblock.softswitch.device import Device
from sdnblock.softswitch.listen import Listener, listen
from sdnblock.softswitch.memory import MemoryDataplane
from sdnblock.softswitch.schema import Schema, read_schema
from sdnblock.softswitch.state import Pipeline
from sdnblock.softswitch.store import ConfigStore

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
SetConfig = p4r.SetForwardingPipelineConfigRequest
CHANNEL_OPTIONS = (
    ("grpc.max_metadata_size", 16 << 20),
    ("grpc.absolute_max_metadata_size", 16 << 20),
    ("grpc.max_receive_message_length", 64 << 20),
)


@cache
def _p4info() -> p4i.P4Info:
    return text_format.Parse(artifact(P4INFO).read_text(), p4i.P4Info())


def p4info() -> p4i.P4Info:
    """A copy of the compiled P4Info, to spoil."""
    copy = p4i.P4Info()
    copy.CopyFrom(_p4info())
    return copy


@cache
def schema() -> Schema:
    """The compiled pipeline's objects."""
    return read_schema(_p4info())


def pipeline_config(
    device_config: bytes = b"program", cookie: int = 7
) -> p4r.ForwardingPipelineConfig:
    """A config that fits, for a data plane in memory."""
    config = p4r.ForwardingPipelineConfig(p4info=p4info(), p4_device_config=device_config)
    config.cookie.cookie = cookie
    return config


def pipeline() -> Pipeline:
    """The same, read."""
    return Pipeline.of(pipeline_config())


def table_id(name: str) -> int:
    """A table's id."""
    return schema().table(name).id


def action_id(name: str) -> int:
    """An action's id."""
    return next(action.id for action in schema().actions.values() if action.name == name)


def entry(
    table: str, *match: bytes | tuple[bytes, int], action: str = "", params: Sequence[bytes] = ()
) -> p4r.TableEntry:
    """A table entry: exact values, or (value, prefix length)."""
    message = p4r.TableEntry(table_id=table_id(table))
    for number, value in enumerate(match, start=1):
        field = message.match.add(field_id=number)
        if isinstance(value, tuple):
            field.lpm.value, field.lpm.prefix_len = value
        else:
            field.exact.value = value
    if action:
        message.action.action.action_id = action_id(action)
        for number, param in enumerate(params, start=1):
            message.action.action.params.add(param_id=number, value=param)
    return message


def update(kind: int, message: p4r.TableEntry) -> p4r.Update:
    """One update of a table entry."""
    return p4r.Update(type=kind, entity=p4r.Entity(table_entry=message))  # type: ignore[arg-type]


def drop(number: int) -> p4r.TableEntry:
    """A drop of source 10.0.0.0 + ``number``."""
    return entry("source_v4", (0x0A000000 + number).to_bytes(4, "big"), action="drop")


class Client:
    """A P4Runtime client with nothing between it and the wire."""

    def __init__(
        self, channel: grpc.aio.Channel, election: int | None, role: str = "", device: int = 1
    ) -> None:
        self.channel, self.device = channel, device
        self.stub = cast(Any, p4r_grpc.P4RuntimeStub(channel))
        self.election, self.role = election, role
        self.stream: Any = self.stub.StreamChannel()

    async def arbitrate(
        self, election: int | None = None, device: int | None = None, role: str | None = None
    ) -> None:
        """Send a MasterArbitrationUpdate."""
        if election is not None:
            self.election = election
        message = p4r.MasterArbitrationUpdate(device_id=device or self.device)
        if self.election is not None:
            message.election_id.CopyFrom(U128.encode(self.election))
        name = self.role if role is None else role
        if name:
            message.role.name = name
        await self.stream.write(p4r.StreamMessageRequest(arbitration=message))

    async def next(self, seconds: float = 5) -> p4r.StreamMessageResponse:
        """The next message of the stream."""
        message = await asyncio.wait_for(self.stream.read(), seconds)
        assert isinstance(message, p4r.StreamMessageResponse), "the stream has ended"
        return message

    async def status(self) -> tuple[int, int | None]:
        """The next message, an arbitration update: its status and election id."""
        message = await self.next()
        assert message.WhichOneof("update") == "arbitration", message
        update = message.arbitration
        election = U128.decode(update.election_id) if update.HasField("election_id") else None
        return update.status.code, election

    async def round_trip(self) -> None:
        """All that was written to the stream before has been dealt with."""
        await self.stream.write(p4r.StreamMessageRequest())
        assert (await self.next()).WhichOneof("update") == "error"

    async def quiet(self) -> None:
        """Nothing has been sent to us: the answer to this comes first."""
        await asyncio.sleep(0.05)
        await self.round_trip()

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """How the stream ended."""
        while True:
            try:
                message = await asyncio.wait_for(self.stream.read(), 5)
            except grpc.aio.AioRpcError as error:
                return error.code(), error.details() or ""
            if not isinstance(message, p4r.StreamMessageResponse):  # the end
                return await self.stream.code(), await self.stream.details()

    async def set_pipeline(
        self,
        config: p4r.ForwardingPipelineConfig | None = None,
        action: SetConfig.Action.ValueType = SetConfig.VERIFY_AND_COMMIT,
    ) -> None:
        """Set the pipeline, as the client that we are."""
        request = SetConfig(device_id=self.device, role=self.role, action=action)
        if self.election is not None:
            request.election_id.CopyFrom(U128.encode(self.election))
        if config is not None:
            request.config.CopyFrom(config)
        await self.stub.SetForwardingPipelineConfig(request)

    def request(self, *updates: p4r.Update) -> p4r.WriteRequest:
        """A WriteRequest as the client that we are."""
        request = p4r.WriteRequest(device_id=self.device, role=self.role, updates=updates)
        if self.election is not None:
            request.election_id.CopyFrom(U128.encode(self.election))
        return request

    async def write(self, *updates: p4r.Update) -> list[int]:
        """Write; the canonical code of each update."""
        try:
            await self.stub.Write(self.request(*updates))
        except grpc.aio.AioRpcError as error:
            codes = error_codes(error)
            assert len(codes) == len(updates)
            return codes
        return [0] * len(updates)

    async def write_error(self, update: p4r.Update) -> tuple[int, str]:
        """Write one update that must fail: its canonical code and message."""
        try:
            await self.stub.Write(self.request(update))
        except grpc.aio.AioRpcError as error:
            (detail,) = error_details(error)
            return detail.canonical_code, detail.message
        raise AssertionError(f"accepted: {update}")

    async def read(self, *entities: p4r.Entity) -> list[p4r.Entity]:
        """Read; all entities of all messages."""
        request = p4r.ReadRequest(device_id=self.device, entities=entities)
        return [entity async for answer in self.stub.Read(request) for entity in answer.entities]

    async def read_tables(self, request: p4r.TableEntry) -> list[p4r.TableEntry]:
        """Read table entries."""
        return [e.table_entry for e in await self.read(p4r.Entity(table_entry=request))]


def error_details(error: grpc.aio.AioRpcError) -> list[p4r.Error]:
    """The ``p4.Error`` of each update, in request order."""
    assert error.code() == grpc.StatusCode.UNKNOWN, error
    trailers: Any = error.trailing_metadata()
    packed = dict(trailers)["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    status = rpc_status.Status.FromString(packed)
    assert (status.code, status.message) == (2, error.details())
    details = []
    for detail in status.details:
        unpacked = p4r.Error()
        assert detail.Unpack(unpacked)
        details.append(unpacked)
    return details


def error_codes(error: grpc.aio.AioRpcError) -> list[int]:
    """Their canonical codes."""
    return [detail.canonical_code for detail in error_details(error)]


class Running:
    """A server and what it runs on."""

    device_config = b"program"

    def __init__(self, device: Device, dataplane: MemoryDataplane, listener: Listener) -> None:
        self.device, self.dataplane, self.listener = device, dataplane, listener
        self._channels: list[grpc.aio.Channel] = []

    def client(self, election: int | None = 1, role: str = "") -> Client:
        """A client on a connection of its own; it has said nothing yet."""
        channel = grpc.aio.insecure_channel(
            self.listener.address,
            options=(*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)),
        )
        self._channels.append(channel)
        return Client(channel, election, role)

    async def primary(self, pipeline: bool = True) -> Client:
        """A client that is primary and, if wanted, has set the pipeline."""
        client = self.client()
        await client.arbitrate()
        assert await client.status() == (0, 1)
        if pipeline:
            await client.set_pipeline(pipeline_config(self.device_config))
        return client

    async def close(self) -> None:
        """Close all clients' connections and stop."""
        for channel in self._channels:
            await channel.close(None)
        await self.listener.stop()


@asynccontextmanager
async def running(
    dataplane: MemoryDataplane | None = None,
    address: str = "127.0.0.1:0",
    store: ConfigStore | None = None,
) -> AsyncIterator[Running]:
    """A server on ``dataplane``."""
    plane = dataplane or MemoryDataplane()
    device = Device(plane, 1, store)
    server = Running(device, plane, await listen(device, address))
    try:
        yield server
    finally:
        await server.close()
