"""Hostile messages: the server answers each with a status, and goes on serving."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import grpc
import pytest
from finsy.proto import p4r
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from sdnblock.softswitch.refusal import OK
from tests.softswitch_kit import (
    INSERT,
    Client,
    SetConfig,
    drop,
    entry,
    p4info,
    pipeline_config,
    running,
    schema,
    update,
)

_IDS = [
    *schema().tables, *schema().actions, *schema().counters, *schema().meters,
    *schema().digests, *schema().direct_counters, 0, 1, 2, 250, 255, 2**32 - 1,
]  # fmt: skip
_NUMBERS = [0, 0, 1, 2, 7, 8, 32, 128, 255, 2**31 - 1]
_SIGNED = [-1, -(2**31)]
_BYTES = [b"", b"\0", b"\1", b"\xff", b"\x0a\0\0\1", bytes(16), b"\xff" * 17, b"\0" * 40 + b"\1"]


def _scalar(field: Any, random: Random) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return random.random() < 0.3
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        assert field.enum_type is not None
        return random.choice([*(value.number for value in field.enum_type.values), 77])
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return random.choice([*_BYTES, random.randbytes(random.randrange(20))])
        return random.choice(["", "x", "\0", "é" * 300])
    if field.name.endswith("_id"):
        return random.choice(_IDS)
    signed = kind in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
    wide = kind in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
    extra = [2**63 - 1] if wide else []
    return random.choice([*_NUMBERS, *extra, *(_SIGNED if signed else [])])


def fill(message: Message, random: Random, depth: int = 0) -> None:
    """Set random fields of ``message`` to values that are often nearly right."""
    for field in message.DESCRIPTOR.fields:
        if random.random() < (0.35 if depth else 0.1) or depth > 7:
            continue
        if field.full_name.startswith("google.protobuf."):
            continue
        if field.containing_oneof is not None and random.random() < 0.5:
            continue
        if field.message_type is not None:
            inner = getattr(message, field.name)
            if field.is_repeated:
                if field.message_type.GetOptions().map_entry:
                    continue
                for _ in range(random.randrange(3)):
                    fill(inner.add(), random, depth + 1)
            else:
                inner.SetInParent()
                fill(inner, random, depth + 1)
        elif field.is_repeated:
            for _ in range(random.randrange(3)):
                getattr(message, field.name).append(_scalar(field, random))
        else:
            setattr(message, field.name, _scalar(field, random))


_BASES = [
    drop(1),
    entry("source_v6", b"\x20\1", action="limit", params=[b"\1"]),
    entry("prefix_v4", (b"\x0a\0\0\0", 8), action="watch"),
    entry("flow_v4", b"\x11", b"\1", b"\2", b"\3", b"\4", action="drop"),
    entry("port_side", b"\1", action="set_side", params=[b"\1"]),
]


def _entity(random: Random) -> p4r.Entity:
    """Half of them from nothing, half a good entry with some fields spoilt."""
    entity = p4r.Entity()
    if random.random() < 0.5:
        which = random.choice([field.name for field in entity.DESCRIPTOR.fields])
        inner = getattr(entity, which)
        inner.SetInParent()
        fill(inner, random)
        return entity
    entity.table_entry.CopyFrom(random.choice(_BASES))
    noise: Any = p4r.TableEntry()
    fill(noise, random)
    kept = random.sample([field.name for field in noise.DESCRIPTOR.fields], 2)
    for field in noise.DESCRIPTOR.fields:
        if field.name not in kept:
            noise.ClearField(field.name)
    entity.table_entry.MergeFrom(noise)
    return entity


async def _status(call: Any) -> grpc.StatusCode:
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        # An exception of ours would be answered "Unexpected <class ...>".
        assert "Unexpected" not in (error.details() or ""), error.details()
        return error.code()
    return grpc.StatusCode.OK


async def _alive(client: Client) -> None:
    assert (await client.write(update(INSERT, entry("allow_v4", action="allow"))))[0] in (OK, 6)


@pytest.mark.parametrize("seed", range(8))
async def test_writes(seed: int) -> None:
    random = Random(seed)
    async with running() as server:
        client = await server.primary()
        for _ in range(60):
            updates = [
                p4r.Update(type=random.choice([0, 1, 1, 2, 3, 9]), entity=_entity(random))  # type: ignore[arg-type]
                for _ in range(random.randrange(30))
            ]
            request = client.request(*updates)
            if random.random() < 0.1:
                fill(request, random)
            assert await _status(client.stub.Write(request)) in (
                grpc.StatusCode.OK,
                grpc.StatusCode.UNKNOWN,
                grpc.StatusCode.NOT_FOUND,
                grpc.StatusCode.PERMISSION_DENIED,
                grpc.StatusCode.UNIMPLEMENTED,
            )
        await _alive(client)
        # What was accepted can all be read back.
        everything = p4r.TableEntry()
        everything.counter_data.SetInParent()
        await client.read_tables(everything)


@pytest.mark.parametrize("seed", range(4))
async def test_reads(seed: int) -> None:
    random = Random(seed)
    async with running() as server:
        client = await server.primary()
        await client.write(*(update(INSERT, base) for base in _BASES))
        for _ in range(60):
            request = p4r.ReadRequest(device_id=1, entities=[_entity(random) for _ in range(3)])
            assert await _status(client.stub.Read(request)) in (
                grpc.StatusCode.OK,
                grpc.StatusCode.UNKNOWN,
            )
        await _alive(client)


@pytest.mark.parametrize("seed", [*range(4), 1014, 1054])
async def test_streams_and_pipelines(seed: int) -> None:
    random = Random(seed)
    async with running() as server:
        primary = await server.primary()
        for _ in range(15):
            client = server.client(None)
            for _ in range(4):
                message = p4r.StreamMessageRequest()
                fill(message, random)
                if message.WhichOneof("update") == "arbitration" and random.random() < 0.8:
                    message.arbitration.device_id = 1
                    message.arbitration.role.ClearField("config")
                    message.arbitration.election_id.high = 0  # the primary stays primary
                    message.arbitration.election_id.low = 0
                elif message.HasField("arbitration"):
                    message.arbitration.device_id = 2
                try:
                    await client.stream.write(message)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    break
            client.stream.cancel()
            config = pipeline_config()
            fill(config, random, 1)
            if random.random() < 0.5:
                config.p4info.CopyFrom(p4info())
                fill(config.p4info, random, 5)
            try:
                await primary.set_pipeline(config, SetConfig.VERIFY)
            except grpc.aio.AioRpcError as error:
                assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        await _alive(primary)


async def test_garbage_instead_of_messages() -> None:
    random = Random(1)
    async with running() as server:
        client = await server.primary()
        channel: Any = grpc.aio.insecure_channel(server.listener.address)
        for method in ("Write", "SetForwardingPipelineConfig", "GetForwardingPipelineConfig"):
            for _ in range(20):
                call = channel.unary_unary(f"/p4.v1.P4Runtime/{method}")
                assert await _status(call(random.randbytes(random.randrange(1, 200)))) is not None
        for _ in range(20):
            stream = channel.unary_stream("/p4.v1.P4Runtime/Read")
            assert await _status(stream(random.randbytes(50))) is not None
        await channel.close(None)
        await _alive(client)


async def test_clients_that_vanish() -> None:
    async with running() as server:
        client = await server.primary()
        for round_ in range(20):
            other = server.client(None)
            await other.arbitrate()
            call = other.stub.Read(p4r.ReadRequest(device_id=1, entities=[p4r.Entity()]))
            if round_ % 2:
                await asyncio.sleep(0.005)
            call.cancel()
            other.stream.cancel()
        writing = client.stub.Write(
            client.request(*(update(INSERT, drop(number)) for number in range(3000)))
        )
        await asyncio.sleep(0.003)
        writing.cancel()
        await _alive(client)
        found = sum(len(chunk) for chunk in server.dataplane.scan("source_v4"))
        assert found in (0, 3000)  # never half a batch
