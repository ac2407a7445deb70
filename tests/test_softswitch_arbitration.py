"""Who is primary: several clients, as the specification's rules 5.4 and 5.5 have it."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from finsy.proto import U128, p4r

from sdnblock.softswitch.arbitration import MAX_CLIENTS, MAX_ROLES, Arbitration
from sdnblock.softswitch.refusal import (
    ALREADY_EXISTS,
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    OK,
    RESOURCE_EXHAUSTED,
    Refusal,
)
from tests.softswitch_kit import INSERT, Client, drop, pipeline_config, running, update

BIG = (1 << 128) - 1


def _ask(election: int | None, device: int = 1, role: str = "") -> p4r.MasterArbitrationUpdate:
    message = p4r.MasterArbitrationUpdate(device_id=device)
    if election is not None:
        message.election_id.CopyFrom(U128.encode(election))
    if role:
        message.role.name = role
    return message


async def test_highest_is_primary_and_all_are_told() -> None:
    async with running() as server:
        first, second, third = (server.client(n) for n in (1, BIG, 5))
        await first.arbitrate()
        assert await first.status() == (OK, 1)
        await second.arbitrate()
        assert await second.status() == (OK, BIG)
        assert await first.status() == (ALREADY_EXISTS, BIG)
        await third.arbitrate()
        assert await third.status() == (ALREADY_EXISTS, BIG)
        await first.quiet()


async def test_losing_the_primary_leaves_none_until_somebody_is_as_high() -> None:
    async with running() as server:
        primary, backup = server.client(7), server.client(3)
        await primary.arbitrate()
        assert await primary.status() == (OK, 7)
        await primary.set_pipeline(pipeline_config())
        await backup.arbitrate()
        assert await backup.status() == (ALREADY_EXISTS, 7)
        primary.stream.cancel()
        assert await backup.status() == (NOT_FOUND, 7)
        await _is_denied(backup)
        await backup.arbitrate(6)
        assert await backup.status() == (NOT_FOUND, 7)
        await backup.arbitrate(7)
        assert await backup.status() == (OK, 7)
        assert await backup.write(update(INSERT, drop(1))) == [OK]


async def test_a_primary_steps_down_and_up_again() -> None:
    async with running() as server:
        primary, backup = server.client(7), server.client(3)
        await primary.arbitrate()
        await primary.status()
        await backup.arbitrate()
        await backup.status()
        await primary.arbitrate(2)
        assert await primary.status() == (NOT_FOUND, 7)
        assert await backup.status() == (NOT_FOUND, 7)
        await primary.arbitrate(8)
        assert await backup.status() == (ALREADY_EXISTS, 8)
        assert await primary.status() == (OK, 8)


async def test_the_same_id_again_by_the_same_client() -> None:
    async with running() as server:
        primary = server.client(7)
        for _ in range(2):
            await primary.arbitrate()
            assert await primary.status() == (OK, 7)


async def test_no_election_id_never_becomes_primary() -> None:
    async with running() as server:
        observer, zero = server.client(None), server.client(0)
        await observer.arbitrate()
        assert await observer.status() == (NOT_FOUND, None)
        await zero.arbitrate()
        assert await zero.status() == (OK, 0)
        assert await observer.status() == (ALREADY_EXISTS, 0)
        await _is_denied(observer)


async def test_a_used_id_ends_the_stream() -> None:
    async with running() as server:
        primary, other = server.client(7), server.client(7)
        await primary.arbitrate()
        await primary.status()
        await other.arbitrate()
        assert (await other.ended())[0] == grpc.StatusCode.INVALID_ARGUMENT
        third = server.client(6)
        await third.arbitrate()
        assert await third.status() == (ALREADY_EXISTS, 7)
        await third.arbitrate(7)
        assert (await third.ended())[0] == grpc.StatusCode.INVALID_ARGUMENT
        await primary.quiet()


async def test_streams_keep_their_device_and_role() -> None:
    async with running() as server:
        client = server.client()
        await client.arbitrate(device=2)
        assert (await client.ended())[0] == grpc.StatusCode.NOT_FOUND
        client = server.client()
        await client.arbitrate()
        await client.status()
        await client.arbitrate(device=2)
        assert (await client.ended())[0] == grpc.StatusCode.FAILED_PRECONDITION
        client = server.client()
        await client.arbitrate()
        await client.status()
        await client.arbitrate(role="other")
        assert (await client.ended())[0] == grpc.StatusCode.FAILED_PRECONDITION


async def test_roles_have_elections_of_their_own() -> None:
    async with running() as server:
        default, named = server.client(1), server.client(1, role="lab")
        await default.arbitrate()
        assert await default.status() == (OK, 1)
        await named.arbitrate()
        message = (await named.next()).arbitration
        assert (message.role.name, message.status.code) == ("lab", OK)
        await named.set_pipeline(pipeline_config())
        assert await named.write(update(INSERT, drop(1))) == [OK]
        assert await default.write(update(INSERT, drop(1))) == [ALREADY_EXISTS]
        default.role = "nobody"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await default.stub.Write(default.request())
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_role_configuration_is_refused() -> None:
    async with running() as server:
        client = server.client()
        message = _ask(1, role="lab")
        message.role.config.SetInParent()
        await client.stream.write(p4r.StreamMessageRequest(arbitration=message))
        assert (await client.ended())[0] == grpc.StatusCode.INVALID_ARGUMENT


async def test_writes_are_denied_before_anything_else_is_looked_at() -> None:
    async with running() as server:
        client = server.client(1)
        await _is_denied(client)
        await client.arbitrate()
        await client.status()
        for device, role, election, code in (
            (2, "", 1, grpc.StatusCode.NOT_FOUND),
            (1, "x", 1, grpc.StatusCode.NOT_FOUND),
            (1, "", 2, grpc.StatusCode.PERMISSION_DENIED),
            (1, "", 0, grpc.StatusCode.PERMISSION_DENIED),
            (1, "", 1, grpc.StatusCode.FAILED_PRECONDITION),
        ):
            request = p4r.WriteRequest(device_id=device, role=role)
            request.election_id.CopyFrom(U128.encode(election))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.stub.Write(request)
            assert caught.value.code() == code


async def test_writes_under_way_end_before_the_new_primary_is_told() -> None:
    async with running() as server:
        old, new = await server.primary(), server.client(2)
        writing = asyncio.ensure_future(
            old.write(*(update(INSERT, drop(number)) for number in range(20000)))
        )
        for _ in range(100000):
            await asyncio.sleep(0)
            if any(True for _ in server.dataplane.scan("source_v4")):
                break
        await new.arbitrate()
        assert await new.status() == (OK, 2)
        assert sum(len(chunk) for chunk in server.dataplane.scan("source_v4")) == 20000
        assert set(await writing) == {OK}
        await _is_denied(old)


async def test_a_write_that_waited_behind_another_is_denied_if_the_primary_changed() -> None:
    async with running() as server:
        old, new = await server.primary(), server.client(2)
        async with server.device.lock:
            writing = asyncio.ensure_future(old.stub.Write(old.request(update(INSERT, drop(1)))))
            await asyncio.sleep(0.1)
            await new.arbitrate()
            assert await old.status() == (ALREADY_EXISTS, 2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await writing
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert await new.status() == (OK, 2)


def test_limits() -> None:
    arbitration = Arbitration(1)
    for client in range(MAX_CLIENTS):
        arbitration.update(client, _ask(client))
    with pytest.raises(Refusal) as caught:
        arbitration.update("one more", _ask(1000))
    assert caught.value.code == RESOURCE_EXHAUSTED
    arbitration.leave(0)
    arbitration.update("one more", _ask(1000))
    for number in range(MAX_ROLES - 1):
        arbitration.update(("role", number), _ask(1, role=f"r{number}"))
    with pytest.raises(Refusal) as caught:
        arbitration.update("role too many", _ask(1, role="last"))
    assert caught.value.code == RESOURCE_EXHAUSTED


def test_a_refused_first_message_leaves_no_trace() -> None:
    arbitration = Arbitration(1)
    arbitration.update("a", _ask(5))
    for message, code in ((_ask(5), INVALID_ARGUMENT), (_ask(6, device=9), NOT_FOUND)):
        with pytest.raises(Refusal) as caught:
            arbitration.update("b", message)
        assert caught.value.code == code
        assert arbitration.leave("b") == []
    with pytest.raises(Refusal) as caught:
        arbitration.update("a", _ask(9, role="x"))
    assert caught.value.code == FAILED_PRECONDITION
    assert arbitration.primaries() == ["a"]


async def _is_denied(client: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.stub.Write(client.request(update(INSERT, drop(1))))
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.set_pipeline(pipeline_config())
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
