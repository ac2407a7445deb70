"""The driver against a switch that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from finsy.proto import p4r, rpc_code
from google.protobuf.wrappers_pb2 import StringValue

from sdnblock.block import Action, Flow, Prefix, Source
from sdnblock.errors import SwitchError
from sdnblock.evidence.events import FirstPacket, RateCrossed
from sdnblock.switches.driver import (
    AllowChange,
    BlockChange,
    Change,
    FailureKind,
    Op,
    SwitchLost,
    TableKind,
)
from sdnblock.switches.p4runtime import session as session_module
from sdnblock.switches.p4runtime.driver import P4RuntimeDriver
from sdnblock.switches.p4runtime.pipeline import XDP_MARK
from sdnblock.switches.settings import SwitchSettings
from tests import p4runtime_kit as kit
from tests.p4runtime_fake import FakeSwitch, error_details, serve

MakeDriver = Callable[..., P4RuntimeDriver]


@pytest.fixture
async def switch() -> FakeSwitch:
    return FakeSwitch()


@pytest.fixture
async def address(switch: FakeSwitch, tmp_path: Path) -> AsyncIterator[str]:
    server, where = await serve(switch, tmp_path / "s")
    yield where
    await server.stop(0)


@pytest.fixture
async def make(address: str, tmp_path: Path) -> AsyncIterator[MakeDriver]:
    config = tmp_path / "device.json"
    config.write_text("{}")
    p4info = kit.artifact("sdnblock.p4info.txtpb")
    made: list[P4RuntimeDriver] = []

    def build(**settings: Any) -> P4RuntimeDriver:
        values = {"rpc_timeout": 2.0, "p4info": p4info, "device_config": config, **settings}
        made.append(P4RuntimeDriver(SwitchSettings("s1", address, **values)))
        return made[-1]

    yield build
    for driver in made:
        await driver.close()


def hosts(count: int) -> list[Source]:
    return [Source((0x0B000001 + at).to_bytes(4, "big")) for at in range(count)]


def inserts(count: int, action: Action = Action.DROP) -> list[BlockChange]:
    return [BlockChange(Op.INSERT, host, action) for host in hosts(count)]


async def eventually(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def silence(request: Any, context: Any) -> bool:
    await asyncio.sleep(60)
    return True


def abort(code: grpc.StatusCode, text: str, details: Any = ()) -> Callable[..., Awaitable[bool]]:
    async def hook(request: Any, context: Any) -> bool:
        await context.abort(code, text, details)
        return True

    return hook


# Connecting


async def test_a_switch_that_is_down_is_one_line(tmp_path: Path) -> None:
    driver = P4RuntimeDriver(SwitchSettings("s1", f"unix:{tmp_path}/nobody"))
    with pytest.raises(SwitchError, match=r"switch s1 .*nobody"):
        await driver.connect()
    assert driver.status.role == "disconnected"
    with pytest.raises(SwitchLost, match="not connected"):
        await driver.read_installed()
    with pytest.raises(SwitchLost, match="never connected"):
        _ = driver.capacity


async def test_no_answer_to_arbitration(switch: FakeSwitch, make: MakeDriver) -> None:
    switch.hooks["arbitration"] = silence
    driver = make(rpc_timeout=0.3)
    with pytest.raises(SwitchLost, match="no answer to arbitration"):
        await driver.connect()


async def test_a_missing_file_is_named(make: MakeDriver, tmp_path: Path) -> None:
    driver = make(device_config=tmp_path / "absent.json")
    with pytest.raises(SwitchError, match=r"absent\.json"):
        await driver.connect()
    spoiled = tmp_path / "p4info"
    spoiled.write_text("tables {")
    with pytest.raises(SwitchError, match="not a P4Info"):
        await make(p4info=spoiled).connect()
    spoiled.write_text("pkg_info {}")
    with pytest.raises(SwitchError, match="no table"):
        await make(p4info=spoiled).connect()


async def test_the_pipeline_is_pushed_once(switch: FakeSwitch, make: MakeDriver) -> None:
    first = make()
    await first.connect()
    assert await first.write(inserts(3)) == []
    await first.close()
    second = make()
    await second.connect()
    assert len(switch.pushes) == 1
    assert len((await second.read_installed()).blocks) == 3


async def test_another_pipeline_is_replaced(
    switch: FakeSwitch, make: MakeDriver, tmp_path: Path
) -> None:
    first = make()
    await first.connect()
    (tmp_path / "device.json").write_text('{"other": 1}')
    await first.connect()
    assert len(switch.pushes) == 2


async def test_a_stuck_pipeline_is_freed_by_a_bare_commit(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    """BMv2 that was given JSON it cannot parse refuses every VERIFY_AND_COMMIT from then on."""
    stuck = True

    async def hook(request: Any, context: Any) -> bool:
        nonlocal stuck
        if request.action == request.COMMIT:
            stuck = False
            await context.abort(grpc.StatusCode.UNKNOWN, "nothing to commit")
        elif stuck:
            await context.abort(grpc.StatusCode.UNKNOWN, "ongoing swap")
        return False

    switch.hooks["SetForwardingPipelineConfig"] = hook
    await make(target="bmv2").connect()
    assert [push.action for push in switch.pushes] == [3, 4, 3]


async def test_a_refused_pipeline_is_one_line(switch: FakeSwitch, make: MakeDriver) -> None:
    switch.hooks["SetForwardingPipelineConfig"] = abort(
        grpc.StatusCode.INVALID_ARGUMENT, "no BPF object"
    )
    with pytest.raises(SwitchError, match="setting the pipeline: no BPF object"):
        await make().connect()


async def test_auto_asks_the_switch_what_it_is(switch: FakeSwitch, make: MakeDriver) -> None:
    driver = make()
    await driver.connect()
    assert "BMv2" in driver.status.description
    switch.capabilities.experimental.Pack(StringValue(value=XDP_MARK))
    await driver.connect()
    assert "XDP" in driver.status.description


async def test_settings_are_reconciled_without_touching_what_is_right(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    first = make(trusted_ports=frozenset({1, 2}), flood_ports=frozenset({1, 2, 3}))
    await first.connect()
    switch.writes.clear()
    await first.connect()
    assert switch.writes == [], "nothing differs, nothing is written"
    second = make(
        trusted_ports=frozenset({2, 3}), sample_rate=0, request_threshold=50, limit_rate=99
    )
    await second.connect()
    types = [
        (update.type, update.entity.WhichOneof("entity"))
        for write in switch.writes
        for update in write.updates
    ]
    insert, modify, delete = 1, 2, 3
    # A limit's rate is also that of what the outcome walk holds.
    assert sum(what == "meter_entry" for _, what in types) == 1024 + 1
    assert [each for each in types if each[1] != "meter_entry"] == [
        (insert, "table_entry"),
        (delete, "table_entry"),
        (modify, "table_entry"),
        (delete, "packet_replication_engine_entry"),
        (delete, "packet_replication_engine_entry"),
    ]


async def test_a_refused_setting_is_named(switch: FakeSwitch, make: MakeDriver) -> None:
    async def hook(request: Any, context: Any) -> bool:
        if request.updates[0].entity.HasField("digest_entry"):
            errors = [p4r.Error(canonical_code=rpc_code.UNIMPLEMENTED, message="no digests")]
            await context.abort(grpc.StatusCode.UNKNOWN, "", error_details(errors))
        return False

    switch.hooks["Write"] = hook
    with pytest.raises(SwitchError, match=r"refuses the digest request_rate_t: no digests"):
        await make().connect()


# Primary and backup


@pytest.mark.parametrize("promotes", [True, False])
async def test_the_newest_controller_takes_over_and_nobody_fights(
    switch: FakeSwitch, make: MakeDriver, promotes: bool
) -> None:
    switch.promotes = promotes
    old, new = make(), make()
    await old.connect()
    await new.connect()
    await eventually(lambda: old.status.role == "disconnected")
    with pytest.raises(SwitchLost, match="another controller"):
        await old.write(inserts(1))
    waiting = asyncio.create_task(old.connect())
    await eventually(lambda: old.status.role == "backup")
    await asyncio.sleep(0.1)
    assert new.status.role == "primary"
    assert not waiting.done()
    await new.close()
    await waiting
    assert old.status.role == "primary"
    assert await old.write(inserts(1)) == []


async def test_a_standby_takes_over_only_from_nobody(make: MakeDriver) -> None:
    active, standby = make(), make(standby=True)
    await active.connect()
    waiting = asyncio.create_task(standby.connect())
    await eventually(lambda: standby.status.role == "backup")
    assert active.status.role == "primary"
    await active.close()
    await waiting
    assert standby.status.role == "primary"


async def test_close_ends_a_waiting_backup(make: MakeDriver) -> None:
    active, standby = make(), make(standby=True)
    await active.connect()
    waiting = asyncio.create_task(standby.connect())
    await eventually(lambda: standby.status.role == "backup")
    await standby.close()
    with pytest.raises(SwitchLost, match="closed"):
        await waiting


async def test_a_used_election_id_is_one_line(switch: FakeSwitch, make: MakeDriver) -> None:
    switch.refuses = (grpc.StatusCode.INVALID_ARGUMENT, "Election id already exists")
    with pytest.raises(SwitchLost, match="already exists"):
        await make().connect()
    switch.refuses = None
    await make().connect()


async def test_permission_denied_means_primary_was_lost(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    switch.hooks["Write"] = abort(grpc.StatusCode.PERMISSION_DENIED, "not primary")
    with pytest.raises(SwitchLost, match="not primary"):
        await driver.write(inserts(1))
    assert driver.status.role == "disconnected"


async def test_an_election_id_without_end_is_given_up(switch: FakeSwitch, make: MakeDriver) -> None:
    async def hook(request: Any, context: Any) -> bool:
        switch.highest = (1 << 128) - 1
        switch.promotes = False
        return False

    switch.hooks["arbitration"] = hook
    with pytest.raises(SwitchLost, match="arbitration does not end"):
        await make().connect()


# Losing the session


async def test_the_end_of_the_stream_ends_everything_in_flight(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make(rpc_timeout=30.0)
    await driver.connect()
    await driver.read_installed()
    switch.hooks["Write"] = switch.hooks["Read"] = silence
    flights = [
        asyncio.create_task(driver.write(inserts(1))),
        asyncio.create_task(driver.read_packet_counters()),
        asyncio.create_task(anext(driver.read_counters())),  # type: ignore[arg-type]
    ]
    await asyncio.sleep(0.2)
    switch.drop_streams()
    async with asyncio.timeout(2):
        for outcome in await asyncio.gather(*flights, return_exceptions=True):
            assert isinstance(outcome, SwitchLost)
    assert driver.status.role == "disconnected"


async def test_a_late_answer_is_a_lost_switch(switch: FakeSwitch, make: MakeDriver) -> None:
    driver = make(rpc_timeout=0.3)
    await driver.connect()
    await driver.read_installed()
    switch.hooks["Write"] = silence
    with pytest.raises(SwitchLost, match="no answer in time"):
        await driver.write(inserts(1))
    switch.hooks.clear()
    await driver.connect()
    switch.hooks["Read"] = silence
    with pytest.raises(SwitchLost, match="no answer in time"):
        await driver.read_installed()


async def test_a_write_of_nothing_tells_whether_the_session_stands(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    assert await driver.write([]) == []
    switch.drop_streams()
    await eventually(lambda: driver.status.role == "disconnected")
    with pytest.raises(SwitchLost, match="the switch ended the session"):
        await driver.write([])


async def test_a_switch_that_restarts_empty_is_filled_again(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    await driver.write(inserts(5))
    switch.restart_empty()
    await eventually(lambda: driver.status.role == "disconnected")
    await driver.connect()
    assert (await driver.read_installed()).blocks == {}
    assert await driver.write(inserts(5)) == []
    assert len(switch.pushes) == 2


async def test_probing_notices_a_silent_switch_and_a_foreign_pipeline(
    switch: FakeSwitch, make: MakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "PROBE_INTERVAL", 0.05)
    driver = make(rpc_timeout=1.0)  # a busy machine may stand still for a third of a second
    await driver.connect()
    await asyncio.sleep(0.3)
    assert driver.status.role == "primary"
    switch.hooks["GetForwardingPipelineConfig"] = silence
    await eventually(lambda: driver.status.role == "disconnected")
    switch.hooks.clear()
    await driver.connect()
    assert switch.config is not None
    switch.config.cookie.cookie += 1
    await eventually(lambda: driver.status.role == "disconnected")
    with pytest.raises(SwitchLost, match="its pipeline was replaced"):
        await driver.write(inserts(1))
    await driver.connect()
    switch.config = None
    await eventually(lambda: driver.status.role == "disconnected")
    with pytest.raises(SwitchLost, match="its pipeline is gone"):
        await driver.write(inserts(1))


async def test_an_interrupted_write_is_read_back_before_the_next(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make(rpc_timeout=30.0)
    await driver.connect()
    await driver.read_installed()
    switch.hooks["Write"] = silence
    writing = asyncio.create_task(driver.write(inserts(1, Action.LIMIT)))
    await asyncio.sleep(0.1)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    switch.hooks.clear()
    reads = 0

    async def count(request: Any, context: Any) -> bool:
        nonlocal reads
        reads += 1
        return False

    switch.hooks["Read"] = count
    assert await driver.write(inserts(1, Action.LIMIT)) == []
    assert reads >= 8


# Wrong answers


async def test_failures_come_back_each_with_its_reason(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    await driver.write(inserts(2))
    changes: list[Change] = [
        *inserts(3),
        BlockChange(Op.DELETE, Source(b"\1\1\1\1"), Action.DROP),
        BlockChange(Op.MODIFY, Prefix(b"\1\1\0\0", 16), Action.WATCH),
        AllowChange(Op.DELETE, Source(b"\1\1\1\1")),
    ]
    failures = await driver.write(changes)
    assert {(f.change, f.kind) for f in failures} == {
        (changes[0], FailureKind.EXISTS),
        (changes[1], FailureKind.EXISTS),
        (changes[3], FailureKind.MISSING),
        (changes[4], FailureKind.MISSING),
        (changes[5], FailureKind.MISSING),
    }
    assert set((await driver.read_installed()).blocks) == set(hosts(3))


async def test_a_batch_where_everything_fails_is_told_in_full(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    """Two thousand long messages must fit the metadata limits."""
    driver = make()
    await driver.connect()
    await driver.read_installed()
    text = "a rather long text about what is wrong with this entry, as servers like them " * 2

    async def hook(request: Any, context: Any) -> bool:
        errors = [p4r.Error(canonical_code=3, message=text) for _ in request.updates]
        await context.abort(grpc.StatusCode.UNKNOWN, "", error_details(errors))
        return True

    switch.hooks["Write"] = hook
    failures = await driver.write(inserts(2000))
    assert len(failures) == 2000
    assert failures[1999].kind is FailureKind.REFUSED


async def test_details_that_do_not_fit_the_batch_leave_the_outcome_unknown(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    await driver.read_installed()
    for details in (
        (("grpc-status-details-bin", b"\xff\xff garbage"),),
        error_details([p4r.Error(canonical_code=6)]),
        (),
    ):
        switch.hooks["Write"] = abort(grpc.StatusCode.UNKNOWN, "odd", details)
        with pytest.raises(SwitchLost, match="odd"):
            await driver.write(inserts(3))
        switch.hooks.clear()
        await driver.connect()
        await driver.read_installed()


async def test_a_request_refused_as_a_whole_fails_every_change(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    await driver.read_installed()
    switch.hooks["Write"] = abort(grpc.StatusCode.INVALID_ARGUMENT, "malformed")
    failures = await driver.write(inserts(3))
    assert [failure.kind for failure in failures] == [FailureKind.REFUSED] * 3
    assert "malformed" in failures[0].message


async def test_a_full_table_is_known_by_its_size_where_the_switch_does_not_say(
    switch: FakeSwitch, make: MakeDriver, tmp_path: Path
) -> None:
    info = kit.p4info()
    for table in info.tables:
        if table.preamble.name == "source_v4":
            table.size = 10
    small = tmp_path / "small.txtpb"
    small.write_text(str(info))
    driver = make(p4info=small)
    await driver.connect()
    assert driver.capacity.tables[TableKind.SOURCE, 4] == 10
    assert await driver.write(inserts(9)) == []
    sources = kit.schema().tables["source_v4"].id

    async def hook(request: Any, context: Any) -> bool:
        said = [
            p4r.Error(canonical_code=rpc_code.UNKNOWN, message="Error when adding entry")
            if len([e for e in switch.store.values() if e.table_entry.table_id == sources]) >= 10
            else switch.apply(update)
            for update in request.updates
        ]
        if any(error.canonical_code for error in said):
            await context.abort(grpc.StatusCode.UNKNOWN, "", error_details(said))
        return True

    switch.hooks["Write"] = hook
    failures = await driver.write(inserts(12)[9:])
    assert [failure.kind for failure in failures] == [FailureKind.FULL] * 2


async def test_garbage_entries_are_reported_once_and_left_alone(
    switch: FakeSwitch, make: MakeDriver, caplog: pytest.LogCaptureFixture
) -> None:
    driver = make()
    await driver.connect()
    await driver.write(inserts(3))
    table_id = kit.schema().tables["source_v4"].id
    garbage = p4r.Entity(table_entry=p4r.TableEntry(table_id=table_id))
    garbage.table_entry.match.add(field_id=9).exact.value = b"\xff" * 100
    switch.store[b"garbage"] = garbage
    for _ in range(3):
        assert len((await driver.read_installed()).blocks) == 3
    assert [count async for counts in driver.read_counters() for count in counts]
    assert caplog.text.count("not sdnblock's") == 1
    assert b"garbage" in switch.store


async def test_more_entries_than_a_table_can_have_are_a_lost_switch(
    switch: FakeSwitch, make: MakeDriver, tmp_path: Path
) -> None:
    info = kit.p4info()
    for table in info.tables:
        table.size = 10
    small = tmp_path / "small.txtpb"
    small.write_text(str(info))
    driver = make(p4info=small)
    await driver.connect()
    table_id = kit.schema().tables["source_v4"].id
    for at in range(5000):
        entity = p4r.Entity(table_entry=p4r.TableEntry(table_id=table_id))
        entity.table_entry.match.add(field_id=1).exact.value = at.to_bytes(4, "big")
        switch.store[b"%d" % at] = entity
    with pytest.raises(SwitchError, match="answers where 10 can be"):
        await driver.read_installed()
    assert driver.status.role == "disconnected"


# Order and limits


async def test_allows_go_before_blocks_and_leave_after_them(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    await driver.write([AllowChange(Op.INSERT, Source(b"\1\2\3\4"))])
    switch.writes.clear()
    await driver.write(
        [
            AllowChange(Op.DELETE, Source(b"\1\2\3\4")),
            BlockChange(Op.INSERT, Source(b"\1\2\3\4"), Action.LIMIT),
            AllowChange(Op.INSERT, Source(b"\5\6\7\x08")),
        ]
    )
    tables = kit.schema().tables
    order = [write.updates[0].entity.table_entry.table_id or "meter" for write in switch.writes]
    assert order == [tables["allow_v4"].id, "meter", tables["source_v4"].id, tables["allow_v4"].id]


async def test_no_block_before_the_allow_that_exempts_from_it(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    await driver.read_installed()

    async def hook(request: Any, context: Any) -> bool:
        said = [
            p4r.Error(canonical_code=rpc_code.RESOURCE_EXHAUSTED)
            if update.entity.table_entry.table_id == kit.schema().tables["allow_v4"].id
            else switch.apply(update)
            for update in request.updates
        ]
        if any(error.canonical_code for error in said):
            await context.abort(grpc.StatusCode.UNKNOWN, "", error_details(said))
        return True

    switch.hooks["Write"] = hook
    around, inside = Prefix(b"\1\2\0\0", 16), Flow(17, b"\1\2\3\4", 1, b"\5\5\5\5", 2)
    changes: list[Change] = [
        BlockChange(Op.INSERT, around, Action.DROP),
        BlockChange(Op.INSERT, inside, Action.LIMIT),
        BlockChange(Op.INSERT, Source(b"\1\2\3\5"), Action.DROP),
        BlockChange(Op.INSERT, Source(b"\1\2\3\4"), Action.WATCH),
        AllowChange(Op.INSERT, Source(b"\1\2\3\4")),
    ]
    failures = await driver.write(changes)
    assert {(failure.change, failure.kind) for failure in failures} == {
        (changes[4], FailureKind.FULL),
        (changes[0], FailureKind.REFUSED),
        (changes[1], FailureKind.REFUSED),
    }
    assert (await driver.read_installed()).blocks == {
        Source(b"\1\2\3\5"): Action.DROP,
        Source(b"\1\2\3\4"): Action.WATCH,
    }


async def test_meter_cells_follow_their_targets(switch: FakeSwitch, make: MakeDriver) -> None:
    driver = make(limit_rate=7, limit_burst=9)
    await driver.connect()
    await driver.write(inserts(3, Action.LIMIT))
    meter = kit.schema().meters["limit_meter"].id

    def cells() -> dict[int, tuple[int, int]]:
        return {
            e.meter_entry.index.index: (e.meter_entry.config.pir, e.meter_entry.config.pburst)
            for e in switch.store.values()
            if e.meter_entry.meter_id == meter
        }

    assert cells() == {0: (7, 9), 1: (7, 9), 2: (7, 9)}
    one, two, three = hosts(3)
    await driver.write([BlockChange(Op.MODIFY, two, Action.DROP)])
    await driver.write([BlockChange(Op.DELETE, one, Action.DROP)])
    await driver.write(inserts(1, Action.LIMIT))
    assert set(cells()) == {0, 1, 2}, "free cells are used again"
    # Another controller with another rate finds the cells and changes their rates.
    other = make(limit_rate=70)
    await other.connect()
    assert (await other.read_installed()).blocks == {
        one: Action.LIMIT,
        two: Action.DROP,
        three: Action.LIMIT,
    }
    assert cells()[2] == (70, 200)
    assert sum(rate == (70, 200) for rate in cells().values()) == 2


async def test_two_targets_on_one_cell_are_taken_apart(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    await driver.write(inserts(2, Action.LIMIT))
    limited = [e for e in switch.store.values() if e.table_entry.action.action.params]
    table = kit.schema().tables["source_v4"].id
    limited = [e for e in limited if e.table_entry.table_id == table]
    for entity in limited:
        entity.table_entry.action.action.params[0].value = b"\xff\xff"
    await driver.read_installed()
    values = {
        e.table_entry.action.action.params[0].value
        for e in switch.store.values()
        if e.table_entry.table_id == table
    }
    assert values == {b"\0", b"\1"}


async def test_no_meter_cell_left(switch: FakeSwitch, make: MakeDriver, tmp_path: Path) -> None:
    info = kit.p4info()
    for meter in info.meters:
        if meter.preamble.name == "limit_meter":
            meter.size = 2
    small = tmp_path / "small.txtpb"
    small.write_text(str(info))
    driver = make(p4info=small)
    await driver.connect()
    failures = await driver.write(inserts(3, Action.LIMIT))
    assert [(failure.change.target, failure.kind) for failure in failures] == [  # type: ignore[union-attr]
        (hosts(3)[2], FailureKind.FULL)
    ]
    assert "meter cells" in failures[0].message
    await driver.write([BlockChange(Op.DELETE, hosts(1)[0], Action.DROP)])
    assert await driver.write([failures[0].change]) == []


async def test_a_refused_rate_fails_its_change_only(switch: FakeSwitch, make: MakeDriver) -> None:
    driver = make()
    await driver.connect()
    await driver.read_installed()

    async def hook(request: Any, context: Any) -> bool:
        if request.updates[0].entity.HasField("meter_entry"):
            said = [p4r.Error(canonical_code=3, message="no such rate") for _ in request.updates]
            await context.abort(grpc.StatusCode.UNKNOWN, "", error_details(said))
        return False

    switch.hooks["Write"] = hook
    changes = [*inserts(1, Action.LIMIT), BlockChange(Op.INSERT, hosts(2)[1], Action.DROP)]
    failures = await driver.write(changes)
    assert [failure.change for failure in failures] == changes[:1]
    assert "no such rate" in failures[0].message
    assert (await driver.read_installed()).blocks == {hosts(2)[1]: Action.DROP}


# Evidence


async def test_evidence_arrives_over_sessions_and_digests_are_acked(
    switch: FakeSwitch, make: MakeDriver
) -> None:
    driver = make(request_window_seconds=2.0)
    await driver.connect()
    evidence = driver.evidence()

    def send(list_id: int) -> None:
        message = p4r.StreamMessageResponse()
        message.digest.digest_id = kit.schema().digests["request_rate_t"]
        message.digest.list_id = list_id
        for remote in (b"\xff\xff\1\2\3\4", b"\1", b""):
            data = message.digest.data.add()
            for value in (remote, b"\x20", b"\3"):
                data.struct.members.add(bitstring=value)
        switch.push(message)

    send(5)
    expected = RateCrossed("s1", Source(b"\1\2\3\4"), 32, 2.0, 3, 0.0)
    assert await asyncio.wait_for(anext(evidence), 2) == expected
    assert driver.dropped_evidence == 2
    await eventually(lambda: [ack.list_id for ack in switch.acks] == [5])
    switch.drop_streams()
    await eventually(lambda: driver.status.role == "disconnected")
    await driver.connect()
    message = p4r.StreamMessageResponse()
    message.packet.payload = b"frame"
    for field in kit.schema().packet_in.values():
        message.packet.metadata.add(metadata_id=field.id, value=b"\1")
    switch.push(message)
    assert await asyncio.wait_for(anext(evidence), 2) == FirstPacket("s1", 1, 1, b"frame", 0.0)
    message.packet.metadata[0].value = b"\1\1\1\1"
    switch.push(message)
    message = p4r.StreamMessageResponse()
    message.error.message = "something\nelse"
    switch.push(message)
    await eventually(lambda: driver.dropped_evidence == 3)
    await driver.close()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(evidence), 2)
