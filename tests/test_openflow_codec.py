"""OpenFlow as bytes: round trips, and os-ken reads what we write and writes what we read."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from os_ken.ofproto import ofproto_v1_3 as of
from os_ken.ofproto import ofproto_v1_3_parser as messages
from os_ken.ofproto.ofproto_parser import msg as read_message
from os_ken.ofproto.ofproto_protocol import ProtocolDesc

from sdnblock.block import UDP, Action, Flow, Prefix, Source, Target, format_address, parse_target
from sdnblock.switches.driver import FailureKind
from sdnblock.switches.openflow import answers, flows, matches, refusals, requests
from tests.openflow_kit import prefixes, sources, targets

PROTOCOL = ProtocolDesc(version=4)
actions = st.sampled_from(Action)
plain_copies = st.just(b"") | st.integers(0, 0xFFFF).map(
    lambda longest: flows.output(flows.CONTROLLER, longest)
)
# os-ken does not know the meter in Open vSwitch's action, and fails on it.
copies = plain_copies | st.builds(
    flows.metered_copy, st.integers(1, 0xFFFF0000), st.integers(1, 0xFFFF)
)
meters = st.integers(1, 0xFFFF0000)


def by_os_ken(raw: bytes) -> Any:
    version, kind, length, xid = answers.HEADER.unpack_from(raw)
    assert length == len(raw)
    return read_message(PROTOCOL, version, kind, length, xid, raw)


@given(targets)
def test_every_target_comes_back_from_its_match(target: Target) -> None:
    assert matches.parse_target(matches.target_match(target)) == target


@given(sources | prefixes)
def test_allow_entries_stand_above_every_block(prefix: Source | Prefix) -> None:
    assert matches.allow_priority(prefix) > matches.FLOW > matches.SOURCE
    assert matches.allow_priority(prefix) < 65000
    assert matches.target_priority(prefix) <= matches.SOURCE


@given(prefixes)
def test_a_longer_prefix_stands_above_a_shorter_and_below_sources(prefix: Prefix) -> None:
    shorter = Prefix(prefix.address, prefix.length - 1)
    assert matches.target_priority(shorter) < matches.target_priority(prefix) < matches.SOURCE


@given(targets, actions, meters, plain_copies)
def test_os_ken_reads_our_flow_mods(
    target: Target, action: Action, meter: int, copy: bytes
) -> None:
    instructions = flows.block_instructions(action, meter, copy)
    raw = flows.flow_mod(
        flows.Command.ADD,
        flows.Use.BLOCK,
        0,
        matches.target_priority(target),
        matches.target_match(target),
        instructions,
        77,
    )
    found = by_os_ken(raw)
    assert (found.xid, found.table_id, found.command) == (77, 0, of.OFPFC_ADD)
    cookies = {flows.block_cookie(share) for share in range(flows.SHARES)}
    assert found.cookie in cookies and found.cookie_mask == 0
    assert found.buffer_id == of.OFP_NO_BUFFER
    assert found.flags == of.OFPFF_RESET_COUNTS | of.OFPFF_SEND_FLOW_REM
    fields = dict(found.match.items())
    assert fields["eth_type"] == (0x0800 if target.family == 4 else 0x86DD)
    assert ("ip_proto" in fields) is isinstance(target, Flow)
    kinds = [type(each) for each in found.instructions]
    assert (
        kinds
        == {
            Action.DROP: [],
            Action.LIMIT: [messages.OFPInstructionMeter, messages.OFPInstructionGotoTable],
            Action.WATCH: [messages.OFPInstructionActions] * bool(copy)
            + [messages.OFPInstructionGotoTable],
        }[action]
    )
    # And os-ken writes the same bytes again.
    again = messages.OFPFlowMod(
        PROTOCOL,
        cookie=found.cookie,
        priority=found.priority,
        flags=found.flags,
        buffer_id=found.buffer_id,
        out_port=found.out_port,
        out_group=found.out_group,
        match=found.match,
        instructions=found.instructions,
    )
    again.set_xid(77)
    again.serialize()
    assert len(again.buf) == len(raw)


@given(actions, meters, copies)
def test_actions_come_back_from_their_instructions(action: Action, meter: int, copy: bytes) -> None:
    found = flows.parse_block(flows.block_instructions(action, meter, copy))
    assert found == (action, meter if action is Action.LIMIT else 0)


@given(st.lists(st.tuples(targets, actions, meters), max_size=5))
def test_statistics_are_read_as_os_ken_reads_them(rows: list[tuple[Target, Action, int]]) -> None:
    body = b""
    for number, (target, action, meter) in enumerate(rows):
        raw = flows.flow_mod(
            flows.Command.ADD,
            flows.Use.BLOCK,
            0,
            matches.target_priority(target),
            matches.target_match(target),
            flows.block_instructions(action, meter, flows.output(flows.CONTROLLER, 512)),
            1,
        )
        head = struct.pack(
            "!HBxIIHHHH4xQQQ", len(raw), 0, 1, 2, 7, 0, 0, 0, flows.COOKIE | 1, number, number * 60
        )
        each = head + raw[48:]  # match and instructions have the same form in both
        theirs = messages.OFPFlowStats.parser(each, 0)
        assert (theirs.packet_count, len(theirs.instructions)) == (
            number,
            {Action.DROP: 0, Action.LIMIT: 2, Action.WATCH: 2}[action],
        )
        assert dict(theirs.match.items())["eth_type"] in (0x0800, 0x86DD)
        body += each
    found = list(flows.parse_stats(body))
    assert [matches.parse_target(each.match) for each in found] == [row[0] for row in rows]
    assert [flows.parse_block(each.instructions)[0] for each in found] == [r[1] for r in rows]
    assert [(each.packets, each.bytes) for each in found] == [(n, n * 60) for n in range(len(rows))]


def test_blocks_are_spread_over_cookies_that_are_all_ours() -> None:
    """Neighbouring addresses, one prefix after the other, flows of one attacker: evenly."""
    cookies = [flows.block_cookie(share) for share in range(flows.SHARES)]
    assert len(set(cookies)) == flows.SHARES
    for cookie in cookies:
        assert cookie & flows.COOKIE_MASK == flows.COOKIE
        assert flows.use_of(cookie) == flows.Use.BLOCK
    hosts: list[Target] = [Source((0x0B000000 + n).to_bytes(4, "big")) for n in range(3200)]
    prefixes: list[Target] = [Prefix((n << 8).to_bytes(4, "big"), 24) for n in range(1, 3201)]
    attacker, server = bytes((203, 0, 113, 7)), bytes((198, 51, 100, 9))
    calls: list[Target] = [Flow(UDP, attacker, n, server, 5060) for n in range(1, 3201)]
    for many in (hosts, prefixes, calls):
        counts = dict.fromkeys(cookies, 0)
        for target in many:
            match = matches.target_match(target)
            raw = flows.flow_mod(flows.Command.ADD, flows.Use.BLOCK, 1, 1, match, b"", 1)
            counts[int.from_bytes(raw[8:16], "big")] += 1
        assert max(counts.values()) < 250


def test_changes_and_deletions_name_our_cookie() -> None:
    for command in (flows.Command.MODIFY_STRICT, flows.Command.DELETE_STRICT):
        found = by_os_ken(flows.flow_mod(command, flows.Use.ALLOW, 0, 1, b"", b"", 5))
        assert (found.cookie, found.cookie_mask) == (flows.COOKIE | 2, flows.COOKIE_MASK)
        assert (found.out_port, found.out_group) == (of.OFPP_ANY, of.OFPG_ANY)


@given(st.binary(max_size=200))
def test_garbage_is_refused_in_one_way(raw: bytes) -> None:
    for parse in (
        answers.parse_features,
        answers.parse_error,
        answers.parse_role,
        answers.parse_multipart,
        answers.parse_packet_in,
        answers.parse_description,
        answers.parse_table_sizes,
        answers.parse_meter_features,
        answers.parse_meter_configs,
        answers.parse_flow_removed,
        answers.parse_meter_stats,
        lambda body: answers.speaks_ours(4, body),
        lambda body: list(flows.parse_stats(body)),
    ):
        try:
            parse(raw)
        except flows.BadAnswer as error:
            assert "\n" not in str(error)
    for read in (matches.parse_target, matches.parse_port, flows.parse_block):
        try:
            read(raw)
        except matches.BadMatch as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "oxm",
    [
        b"",
        matches.field(matches.ETH_TYPE, b"\x08\x06"),
        matches.field(matches.ETH_TYPE, b"\x08\x00"),
        matches.target_match(parse_target("192.0.2.1"))[:-1],
        matches.target_match(parse_target("192.0.2.1")) + matches.field(0, bytes(4)),
        matches.field(matches.ETH_TYPE, b"\x08\x00") + matches.field(11, bytes(4)),
        matches.field(matches.ETH_TYPE, b"\x08\x00")
        + matches.field(11, b"\x0a\0\0\0", b"\xff\0\xff\0"),
        matches.field(matches.ETH_TYPE, b"\x08\x00")
        + matches.field(11, b"\x0a\0\0\1", b"\xff\0\0\0"),
    ],
)
def test_matches_that_we_never_make_are_refused(oxm: bytes) -> None:
    with pytest.raises(matches.BadMatch):
        matches.parse_target(oxm)


def test_hello_is_negotiated_by_bitmap_else_by_version() -> None:
    def bitmap(*versions: int) -> bytes:
        return struct.pack("!HHI", 1, 8, sum(1 << version for version in versions))

    assert answers.speaks_ours(6, bitmap(1, 4, 6))
    assert not answers.speaks_ours(6, bitmap(1, 5, 6))
    assert answers.speaks_ours(4, b"") and answers.speaks_ours(6, b"")
    assert not answers.speaks_ours(1, b"")
    assert requests.hello(1) == bytes.fromhex("0400000800000001")


def test_requests_are_what_os_ken_says_they_are() -> None:
    assert requests.add_meter(3, 9, 10, 20) == struct.pack(
        "!BBHIHHIHHII4x", 4, 29, 32, 3, of.OFPMC_ADD, 0b110, 9, 1, 16, 10, 20
    )
    assert requests.become_master(3, 5)[8:] == struct.pack("!I4xQ", 2, 5)
    assert requests.flow_stats(3, 1, flows.COOKIE)[-24:-8] == struct.pack(
        "!QQ", flows.COOKIE, flows.EXACT
    )
    assert requests.flow_stats(3)[-24:-8] == bytes(16)


@given(sources | prefixes)
def test_a_question_about_one_target_is_what_os_ken_asks(target: Source | Prefix) -> None:
    raw = requests.flow_stats_of(3, 1, matches.target_match(target))
    name = "ipv4_src" if target.family == 4 else "ipv6_src"
    size = len(target.address)
    value: Any = format_address(target.address)
    if isinstance(target, Prefix):
        value = (value, format_address(matches.target_match(target)[-size:]))
    match = messages.OFPMatch(eth_type={4: 0x0800, 6: 0x86DD}[target.family], **{name: value})
    theirs = messages.OFPFlowStatsRequest(PROTOCOL, 0, 1, of.OFPP_ANY, of.OFPG_ANY, 0, 0, match)
    theirs.set_xid(3)
    theirs.serialize()
    assert raw == bytes(theirs.buf)


def test_errors_are_told_apart() -> None:
    full = answers.ErrorAnswer(5, 1)
    assert refusals.failure_kind(full) is FailureKind.FULL
    assert refusals.failure_kind(answers.ErrorAnswer(12, 11)) is FailureKind.FULL
    assert refusals.failure_kind(answers.ErrorAnswer(5, 3)) is FailureKind.REFUSED
    assert refusals.describe(full) == "table full (OpenFlow error 5/1)"
    assert "99/7" in refusals.describe(answers.ErrorAnswer(99, 7))


def test_os_ken_loads_no_eventlet_and_the_command_line_no_os_ken() -> None:
    script = (
        "import sys; import {module}; print('eventlet' in sys.modules, 'os_ken' in sys.modules)"
    )
    for module, expected in (
        ("sdnblock.switches.openflow.requests", "False True"),
        ("sdnblock.cli", "False False"),
        ("sdnblock.daemon", "False False"),
        ("sdnblock.switches.openflow.driver", "False True"),
    ):
        found = subprocess.run(
            [sys.executable, "-c", script.format(module=module)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert found.stdout.split("\n")[0] == expected, module
