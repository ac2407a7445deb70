"""The driver, unchanged, through a server to what the Tofino program does.

What it writes is stored by a server, put into the Tofino program's tables by the ids of the
P4Info, and packets go through that program, run from its source.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from finsy.proto import p4i, p4r
from google.protobuf import text_format

from sdnblock.artifacts import TOFINO_P4INFO
from sdnblock.block import Action, Flow, Prefix, Source
from sdnblock.errors import SwitchError
from sdnblock.evidence.events import FirstPacket, OutcomeCrossed
from sdnblock.softswitch.dataplane import MeterRates
from sdnblock.switches.driver import AllowChange, BlockChange, Op, TableKind
from sdnblock.switches.p4runtime.driver import P4RuntimeDriver
from sdnblock.switches.p4runtime.reader import open_reader
from sdnblock.switches.settings import FirstSettings, SwitchSettings, WalkSettings
from tests import p4runtime_kit as kit
from tests.dataplane import packets as p
from tests.dataplane.packets import Packet
from tests.dataplane.scenario import Scenario, TableEntry
from tests.p4model import tna
from tests.p4runtime_fake import FakeSwitch, serve

pytestmark = pytest.mark.skipif(shutil.which("clang") is None, reason="clang is the preprocessor")

SETTINGS = {
    "target": "tofino",
    "cpu_port": 320,
    "trusted_ports": frozenset({3}),
    "flood_ports": frozenset({1, 2, 3}),
    "forward": {p.HOST: 3, p.STRANGER: 1},
    "sip_ports": frozenset({(17, 5060), (6, 5060)}),
    "limit_rate": 1,
    "limit_burst": 2,
    "request_threshold": 20,
    "walk": WalkSettings(12, 600.0, 60.0, Action.DROP, (("404", False, 4), ("404", True, 4))),
    "first": FirstSettings(packets=2),
}


@pytest.fixture
def info() -> p4i.P4Info:
    return text_format.Parse(kit.artifact(TOFINO_P4INFO).read_text(), p4i.P4Info())


@pytest.fixture
async def switch(tmp_path: Path) -> AsyncIterator[FakeSwitch]:
    fake = FakeSwitch()
    server, fake.address = await serve(fake, tmp_path / "s")
    yield fake
    await server.stop(0)


@pytest.fixture
def settings(switch: FakeSwitch, tmp_path: Path) -> SwitchSettings:
    config = tmp_path / "sdnblock.pb.bin"
    config.write_bytes(b"packed for the switch's software")
    return SwitchSettings(
        "tofino1",
        switch.address,
        p4info=kit.artifact(TOFINO_P4INFO),
        device_config=config,
        **SETTINGS,  # type: ignore[arg-type]
    )


@pytest.fixture
async def driver(settings: SwitchSettings) -> AsyncIterator[P4RuntimeDriver]:
    made = P4RuntimeDriver(settings)
    await made.connect()
    yield made
    await made.close()


def scenario(info: p4i.P4Info, store: dict[bytes, p4r.Entity]) -> Scenario:
    """What a server was told, by the names of a P4Info."""
    tables = {each.preamble.id: each for each in info.tables}
    actions = {each.preamble.id: each.preamble.name for each in info.actions}
    meters = {each.preamble.id: each.preamble.name for each in info.meters}
    made = Scenario("what the driver wrote")
    for entity in store.values():
        kind = entity.WhichOneof("entity")
        if kind == "table_entry":
            entry = entity.table_entry
            table = tables[entry.table_id]
            values = tuple(int.from_bytes(x.value, "big") for x in entry.action.action.params)
            if entry.is_default_action:
                made.policies[table.preamble.name] = values
                continue
            by_id = {match.field_id: match for match in entry.match}
            key = tuple(
                int.from_bytes(by_id[field.id].exact.value, "big")
                if field.match_type == p4i.MatchField.EXACT
                else (
                    int.from_bytes(by_id[field.id].lpm.value, "big"),
                    by_id[field.id].lpm.prefix_len,
                )
                for field in table.match_fields
            )
            action = actions[entry.action.action.action_id]
            made.entries.append(TableEntry(table.preamble.name, key, action, values))
        elif kind == "meter_entry":
            cell, config = entity.meter_entry, entity.meter_entry.config
            rates = MeterRates(config.cir, config.cburst, config.pir, config.pburst)
            made.meters[meters[cell.meter_id], cell.index.index] = rates
        elif kind == "packet_replication_engine_entry":
            session = entity.packet_replication_engine_entry.clone_session_entry
            made.sample = made.sample or session.session_id == 250
    return made


async def test_capacity_is_what_the_chip_has_room_for(
    driver: P4RuntimeDriver, info: p4i.P4Info
) -> None:
    sizes = {each.preamble.name: each.size for each in info.tables}
    for kind in TableKind:
        for family in (4, 6):
            assert driver.capacity.tables[kind, family] == sizes[f"{kind.value}_v{family}"]
    assert driver.capacity.limiters == 16384
    assert "Tofino" in driver.status.description


async def test_every_kind_of_block_does_on_a_tofino_what_it_says(
    driver: P4RuntimeDriver, switch: FakeSwitch, info: p4i.P4Info
) -> None:
    four, six = "203.0.113.", "2001:db8::"
    source, other = (Source(bytes((203, 0, 113, n))) for n in (7, 8))
    flow = Flow(17, bytes((203, 0, 113, 9)), 5060, bytes((198, 51, 100, 9)), 5060)
    net = Prefix(bytes((203, 0, 113, 128)), 25)
    net6 = Prefix(bytes.fromhex("20010db8" + 24 * "0"), 32)
    failures = await driver.write([
        AllowChange(Op.INSERT, Source(bytes((203, 0, 113, 200)))),
        BlockChange(Op.INSERT, source, Action.DROP),
        BlockChange(Op.INSERT, other, Action.LIMIT),
        BlockChange(Op.INSERT, flow, Action.DROP),
        BlockChange(Op.INSERT, net, Action.DROP),
        BlockChange(Op.INSERT, net6, Action.WATCH),
    ])  # fmt: skip
    assert not failures
    installed = await driver.read_installed()
    assert set(installed.blocks) == {source, other, flow, net, net6}
    program = tna.switch()
    state = scenario(info, switch.store)
    program.set_up(state)
    frames = [
        *(p.v4(source=four + str(n)) for n in (7, 8, 8, 8, 9, 129, 200, 10)),
        p.v4(source=four + "9", destination=80),
        p.v6(source=six + "1"),
        p.v4(to=b"\xff" * 6, source=four + "11"),
    ]
    for frame in frames:
        program.send(Packet(1, frame))
    assert program.answer.verdicts == [
        "drop", "3", "3", "drop", "drop", "drop", "3", "3", "3", "3", "flood",
    ]  # fmt: skip
    assert [reason for _, reason, _ in program.answer.samples] == [2, 1, 2]


async def test_where_only_packets_are_counted_no_bytes_are_shown(
    driver: P4RuntimeDriver, switch: FakeSwitch, settings: SwitchSettings
) -> None:
    source = Source(bytes((203, 0, 113, 7)))
    flow = Flow(17, bytes((203, 0, 113, 9)), 5060, bytes((198, 51, 100, 9)), 5060)
    blocks = [BlockChange(Op.INSERT, each, Action.DROP) for each in (source, flow)]
    assert not await driver.write(blocks)
    for entity in switch.store.values():
        if entity.WhichOneof("entity") == "table_entry":
            entity.table_entry.counter_data.packet_count = 5_000_000_000  # more than 32 bits
            entity.table_entry.counter_data.byte_count = 700
    counts = [each async for part in driver.read_counters() for each in part]
    assert {each.target: (each.packets, each.bytes) for each in counts} == {
        source: (5_000_000_000, 0),
        flow: (5_000_000_000, 700),
    }
    async with open_reader(settings) as reader:
        entries = [each async for part in reader.entries() for each in part]
    assert {each.target: each.bytes for each in entries} == {source: None, flow: 700}


async def test_the_walk_and_its_digest(
    driver: P4RuntimeDriver, switch: FakeSwitch, info: p4i.P4Info
) -> None:
    program = tna.switch()
    program.set_up(scenario(info, switch.store))
    text = b"SIP/2.0 404 Not Found\r\n\r\n"
    reply = p.ether(p.ip4(p.udp(text), p.UDP, "198.51.100.9", "203.0.113.7"), 0x0800, to=p.STRANGER)
    for packet in [Packet(3, reply)] * 3 + [Packet(1, p.v4())]:
        program.send(packet)
    assert program.answer.verdicts == ["1", "1", "1", "drop"]
    ((name, remote, score, port),) = program.answer.digests
    message = p4r.StreamMessageResponse()
    digests = {each.preamble.name: each.preamble.id for each in info.digests}
    message.digest.digest_id = digests[name]
    struct = message.digest.data.add().struct
    for value in (int(remote, 16), score, port):
        struct.members.add().bitstring = value.to_bytes(
            max(1, (value.bit_length() + 7) // 8), "big"
        )
    switch.push(message)
    async with asyncio.timeout(10):
        event = await anext(driver.evidence())
    assert isinstance(event, OutcomeCrossed)
    assert (event.source, event.score) == (Source(bytes((203, 0, 113, 7))), 12)


async def test_copies_reach_the_controller(
    driver: P4RuntimeDriver, switch: FakeSwitch, info: p4i.P4Info
) -> None:
    program = tna.switch()
    program.set_up(scenario(info, switch.store))
    program.send(Packet(2, p.v4()))
    ((port, reason, frame),) = program.answer.samples
    message = p4r.StreamMessageResponse()
    message.packet.payload = bytes.fromhex(frame)
    (header,) = info.controller_packet_metadata
    for field, value in zip(header.metadata, (port, reason), strict=True):
        message.packet.metadata.add(metadata_id=field.id, value=bytes((value,)))
    switch.push(message)
    async with asyncio.timeout(10):
        event = await anext(driver.evidence())
    assert isinstance(event, FirstPacket)
    assert (event.port, event.reason, event.frame) == (2, 2, p.v4())


async def test_a_tofino_without_its_pipeline_config_is_one_line(switch: FakeSwitch) -> None:
    driver = P4RuntimeDriver(SwitchSettings("tofino1", switch.address, target="tofino"))
    with pytest.raises(SwitchError, match="a Tofino needs device_config"):
        await driver.connect()
    await driver.close()
