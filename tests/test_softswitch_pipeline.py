"""Setting and getting the pipeline config, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from finsy.proto import p4i, p4r
from google.protobuf.wrappers_pb2 import StringValue

from sdnblock.softswitch.memory import UNLOADABLE, MemoryDataplane
from sdnblock.softswitch.refusal import OK
from sdnblock.softswitch.server import MARK
from sdnblock.softswitch.store import ConfigStore
from sdnblock.switches.p4runtime.pipeline import XDP_MARK
from tests.softswitch_kit import (
    INSERT,
    MODIFY,
    Client,
    SetConfig,
    drop,
    entry,
    p4info,
    pipeline_config,
    running,
    table_id,
    update,
)

GetConfig = p4r.GetForwardingPipelineConfigRequest
SOURCES = p4r.TableEntry(table_id=table_id("source_v4"))


async def _get(client: Client, kind: int = GetConfig.ALL) -> p4r.ForwardingPipelineConfig | None:
    request = GetConfig(device_id=1, response_type=kind)  # type: ignore[arg-type]
    answer = await client.stub.GetForwardingPipelineConfig(request)
    return answer.config if answer.HasField("config") else None


async def _refused(
    client: Client, config: p4r.ForwardingPipelineConfig | None, action: int
) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.set_pipeline(config, action)  # type: ignore[arg-type]
    return caught.value.code(), caught.value.details() or ""


async def test_get_gives_what_was_set() -> None:
    async with running() as server:
        client = await server.primary(pipeline=False)
        assert await _get(client) is None
        config = pipeline_config()
        await client.set_pipeline(config)
        assert await _get(client) == config
        cookie = p4r.ForwardingPipelineConfig(cookie=config.cookie)
        assert await _get(client, GetConfig.COOKIE_ONLY) == cookie
        cookie.p4info.CopyFrom(config.p4info)
        assert await _get(client, GetConfig.P4INFO_AND_COOKIE) == cookie
        cookie.ClearField("p4info")
        cookie.p4_device_config = config.p4_device_config
        assert await _get(client, GetConfig.DEVICE_CONFIG_AND_COOKIE) == cookie
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.stub.GetForwardingPipelineConfig(GetConfig(device_id=3))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_verify_changes_nothing() -> None:
    async with running() as server:
        client = await server.primary(pipeline=False)
        await client.set_pipeline(pipeline_config(), SetConfig.VERIFY)
        assert await _get(client) is None
        assert not server.dataplane.loaded


async def test_verify_and_commit_clears() -> None:
    async with running() as server:
        client = await server.primary()
        await client.write(update(INSERT, drop(1)))
        await client.set_pipeline(pipeline_config(cookie=8))
        assert await client.read_tables(SOURCES) == []


async def test_a_saved_config_takes_writes_and_commit_replays_them() -> None:
    async with running() as server:
        client, plane = await server.primary(), server.dataplane
        await client.write(update(INSERT, drop(1)))
        await client.set_pipeline(pipeline_config(b"second", 8), SetConfig.VERIFY_AND_SAVE)
        assert plane.device_config == b"program" and plane.get("source_v4", b"\x0a\0\0\1")
        counted = drop(2)
        counted.counter_data.packet_count = 5
        policy = entry("request_window", action="request_policy", params=[b"\x09", b"\x0a"])
        policy.is_default_action = True
        assert await client.write(update(INSERT, counted), update(MODIFY, policy)) == [OK, OK]
        assert plane.get("source_v4", b"\x0a\0\0\2") is None
        await client.set_pipeline(None, SetConfig.COMMIT)
        assert plane.device_config == b"second"
        assert await client.read_tables(SOURCES) == [drop(2)]
        held = plane.get("source_v4", b"\x0a\0\0\2")
        assert held and held.packets == 5 and plane.policy("request_window") == (9, 10)
        code, _ = await _refused(client, None, SetConfig.COMMIT)
        assert code == grpc.StatusCode.NOT_FOUND


async def test_reconcile_keeps_entries_under_the_same_program() -> None:
    async with running() as server:
        client = await server.primary(pipeline=False)
        await client.set_pipeline(pipeline_config(), SetConfig.RECONCILE_AND_COMMIT)
        await client.write(update(INSERT, drop(1)))
        await client.set_pipeline(pipeline_config(cookie=9), SetConfig.RECONCILE_AND_COMMIT)
        assert await client.read_tables(SOURCES) == [drop(1)]
        config = await _get(client, GetConfig.COOKIE_ONLY)
        assert config and config.cookie.cookie == 9
        code, _ = await _refused(client, pipeline_config(b"x"), SetConfig.RECONCILE_AND_COMMIT)
        assert code == grpc.StatusCode.UNIMPLEMENTED
        assert await client.read_tables(SOURCES) == [drop(1)]


@pytest.mark.parametrize(
    ("action", "config"),
    [
        (SetConfig.UNSPECIFIED, pipeline_config()),
        (99, pipeline_config()),
        (SetConfig.VERIFY, None),
        (SetConfig.VERIFY_AND_SAVE, None),
        (SetConfig.VERIFY_AND_COMMIT, None),
        (SetConfig.RECONCILE_AND_COMMIT, None),
        (SetConfig.COMMIT, pipeline_config()),
        (SetConfig.VERIFY, pipeline_config(UNLOADABLE)),
        (SetConfig.VERIFY_AND_COMMIT, pipeline_config(UNLOADABLE)),
        (SetConfig.VERIFY_AND_COMMIT, pipeline_config(b"")),
        (SetConfig.VERIFY_AND_COMMIT, p4r.ForwardingPipelineConfig(p4_device_config=b"x")),
    ],
)
async def test_refused_configs_leave_the_old_one(
    action: int, config: p4r.ForwardingPipelineConfig | None
) -> None:
    async with running() as server:
        client = await server.primary()
        await client.write(update(INSERT, drop(1)))
        code, _ = await _refused(client, config, action)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert await client.read_tables(SOURCES) == [drop(1)]


def _named(info: p4i.P4Info, name: str) -> p4i.Table:
    return next(table for table in info.tables if table.preamble.name == name)


def _drop_table(info: p4i.P4Info) -> None:
    info.tables.remove(_named(info, "flow_v6"))


def _resize(info: p4i.P4Info) -> None:
    _named(info, "source_v4").size = 17


def _widen(info: p4i.P4Info) -> None:
    _named(info, "source_v4").match_fields[0].bitwidth = 33


def _kind(info: p4i.P4Info) -> None:
    _named(info, "source_v4").match_fields[0].match_type = p4i.MatchField.LPM


def _renumber(info: p4i.P4Info) -> None:
    info.counters[0].preamble.id += 100


def _lose_action(info: p4i.P4Info) -> None:
    del _named(info, "source_v4").action_refs[0]


def _param(info: p4i.P4Info) -> None:
    next(a for a in info.actions if a.preamble.name == "limit").params[0].bitwidth = 8


def _range(info: p4i.P4Info) -> None:
    _named(info, "source_v4").match_fields[0].match_type = p4i.MatchField.RANGE


def _dangling(info: p4i.P4Info) -> None:
    _named(info, "source_v4").action_refs.add(id=12345)


def _extra(info: p4i.P4Info) -> None:
    table = info.tables.add()
    table.CopyFrom(_named(info, "source_v4"))
    table.preamble.id, table.preamble.name = 0x02000099, "bogus"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_drop_table, "'flow_v6' (0x02000007) is missing"),
        (_resize, "'source_v4' (0x02000008): size is 17 where this switch has 1048576"),
        (_widen, "fields 1: bits is 33 where this switch has 32"),
        (_kind, "kind is 'lpm' where this switch has 'exact'"),
        (_renumber, "is missing"),
        (_lose_action, "'source_v4' (0x02000008): actions: action 'drop' (0x01000006) is missing"),
        (_param, "'limit' (0x01000007): params 1: bits is 8 where this switch has 16"),
        (_range, "source_v4"),
        (_dangling, "source_v4"),
        (_extra, "'bogus' (0x02000099) is unknown here"),
    ],
)
async def test_a_p4info_that_does_not_fit_is_named(
    spoil: Callable[[p4i.P4Info], None], says: str
) -> None:
    async with running() as server:
        client = await server.primary(pipeline=False)
        info = p4info()
        spoil(info)
        config = p4r.ForwardingPipelineConfig(p4info=info, p4_device_config=b"program")
        code, text = await _refused(client, config, SetConfig.VERIFY_AND_COMMIT)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert says in text and "\n" not in text
        assert not server.dataplane.loaded


async def test_capabilities() -> None:
    async with running() as server:
        client = server.client()
        answer = await client.stub.Capabilities(p4r.CapabilitiesRequest())
        mark = StringValue()
        assert answer.p4runtime_api_version.startswith("1.")
        assert answer.experimental.Unpack(mark) and mark.value == MARK == XDP_MARK
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.stub.Capabilities(p4r.CapabilitiesRequest(device_id=4))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_what_runs_is_taken_over(tmp_path: Path) -> None:
    plane, store = MemoryDataplane(), ConfigStore(tmp_path / "a" / "b")
    async with running(plane, store=store) as server:
        client = await server.primary()
        await client.write(update(INSERT, drop(1)))
        plane.inject_hit("source_v4", b"\x0a\0\0\1", 3, 300)
    async with running(plane, store=store) as server:
        client = server.client()
        assert await _get(client) == pipeline_config()
        asked = p4r.TableEntry()
        asked.CopyFrom(SOURCES)
        asked.counter_data.SetInParent()
        (found,) = await client.read_tables(asked)
        assert found.counter_data.packet_count == 3


@pytest.mark.parametrize("spoil", ["gone", "other program", "garbage", "empty"])
async def test_a_config_that_does_not_belong_counts_as_none(tmp_path: Path, spoil: str) -> None:
    plane, store = MemoryDataplane(), ConfigStore(tmp_path)
    async with running(plane, store=store) as server:
        await server.primary()
    file = tmp_path / "pipeline"
    match spoil:
        case "gone":
            file.unlink()
        case "other program":
            file.write_bytes(file.read_bytes().replace(b"memory 1\n", b"memory 2\n"))
        case "garbage":
            file.write_bytes(b"memory 1\n\xff\xff\xff\xff")
        case "empty":
            file.write_bytes(b"")
    async with running(plane, store=store) as server:
        client = await server.primary(pipeline=False)
        assert await _get(client) is None
        await client.set_pipeline(pipeline_config())
        assert await _get(client) == pipeline_config()


async def test_unix_socket(tmp_path: Path) -> None:
    async with running(address=f"unix:{tmp_path}/p4rt.sock") as server:
        client = await server.primary()
        assert await client.write(update(INSERT, drop(1))) == [OK]
