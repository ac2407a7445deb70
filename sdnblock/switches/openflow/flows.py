"""Flow modifications and flow statistics as bytes. Pure.

Two tables. Table 0 is ours: trusted ports, allow entries and blocks; what passes goes on to
table 1, which forwards. Every flow of ours carries :data:`COOKIE` in all but the last byte,
which says what the flow is for.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sdnblock.block import Action
from sdnblock.switches.openflow.matches import BadMatch

VERSION: Final = 4
COOKIE: Final = int.from_bytes(b"sdnblok\0", "big")
COOKIE_MASK: Final = 0xFFFF_FFFF_FFFF_FF00
EXACT: Final = 0xFFFF_FFFF_FFFF_FFFF

FILTER_TABLE: Final = 0
FORWARD_TABLE: Final = 1

NORMAL: Final = 0xFFFFFFFA
CONTROLLER: Final = 0xFFFFFFFD
_ANY: Final = 0xFFFFFFFF
NO_BUFFER: Final = 0xFFFFFFFF
WHOLE_PACKET: Final = 0xFFFF

FLOW_MOD: Final = 14
_FLOW_MOD: Final = struct.Struct("!BBHIQQBBHHHIIIH2x")
_FLOW_STATS: Final = struct.Struct("!HBxIIHHHH4xQQQ")
_RESET_COUNTS: Final = 1 << 2


class Use(enum.IntEnum):
    """What a flow of ours is for: the last byte of its cookie."""

    BLOCK = 1
    ALLOW = 2
    SETTING = 3

    @property
    def cookie(self) -> int:
        """The whole cookie."""
        return COOKIE | self


class Command(enum.IntEnum):
    """``ofp_flow_mod_command`` (7.3.4.1), as far as it is used."""

    ADD = 0
    MODIFY_STRICT = 2
    DELETE_STRICT = 4


@dataclass(frozen=True, slots=True)
class FlowStats:
    """One flow as a switch tells it (7.3.5.2)."""

    table: int
    priority: int
    cookie: int
    match: bytes
    instructions: bytes
    packets: int
    bytes: int


def flow_mod(
    command: Command,
    use: Use,
    table: int,
    priority: int,
    match: bytes,
    instructions: bytes,
    xid: int,
) -> bytes:
    """A flow modification (7.3.4.1). Changes and deletions reach only flows of ours.

    An added flow counts from zero, also where it replaces its like. The cookie's mask is never
    full: for a full one Open vSwitch goes through all flows with that cookie, one by one.
    """
    padding = -(4 + len(match)) % 8
    adds = command is Command.ADD
    return b"".join(
        (
            _FLOW_MOD.pack(
                VERSION,
                FLOW_MOD,
                _FLOW_MOD.size + 4 + len(match) + padding + len(instructions),
                xid,
                use.cookie,
                0 if adds else COOKIE_MASK,
                table,
                command,
                0,
                0,
                priority,
                NO_BUFFER,
                _ANY,
                _ANY,
                _RESET_COUNTS if adds else 0,
            ),
            struct.pack("!HH", 1, 4 + len(match)),
            match,
            bytes(padding),
            instructions,
        )
    )


def goto(table: int) -> bytes:
    """Instruction: go on in a later table (7.2.4)."""
    return struct.pack("!HHB3x", 1, 8, table)


def through_meter(meter: int) -> bytes:
    """Instruction: through a meter first (7.2.4)."""
    return struct.pack("!HHI", 6, 8, meter)


def output(port: int, longest: int = 0) -> bytes:
    """Instruction: apply one output action (7.2.4, 7.2.5)."""
    return struct.pack("!HHxxxxHHIH6x", 4, 24, 0, 16, port, longest)


def block_instructions(action: Action, meter: int, sample: int | None) -> bytes:
    """What packets of a blocked target meet: nothing at all is a drop.

    ``meter`` is the target's for LIMIT. ``sample``: bytes of a watched packet to copy to
    us, None for none.
    """
    if action is Action.DROP:
        return b""
    if action is Action.LIMIT:
        return through_meter(meter) + goto(FORWARD_TABLE)
    copy = b"" if sample is None else output(CONTROLLER, sample)
    return copy + goto(FORWARD_TABLE)


def parse_block(instructions: bytes) -> tuple[Action, int]:
    """Action and meter (0: none) of a block's instructions. Raises BadMatch."""
    if not instructions:
        return Action.DROP, 0
    onward = goto(FORWARD_TABLE)
    if instructions == onward:
        return Action.WATCH, 0
    if len(instructions) == 16 and instructions[8:] == onward:
        kind, length, meter = struct.unpack_from("!HHI", instructions)
        if (kind, length) == (6, 8) and meter:
            return Action.LIMIT, meter
    if len(instructions) == 32 and instructions[24:] == onward:
        (longest,) = struct.unpack_from("!H", instructions, 16)
        if instructions[:24] == output(CONTROLLER, longest):
            return Action.WATCH, 0
    raise BadMatch("instructions that we never use")


def parse_stats(body: bytes) -> Iterator[FlowStats]:
    """The flows in one part of a flow statistics reply. Raises BadMatch."""
    at, end, least = 0, len(body), _FLOW_STATS.size + 8
    while at < end:
        if at + least > end:
            raise BadMatch("flow statistics are cut off")
        length, table, _, _, priority, _, _, _, cookie, packets, size = _FLOW_STATS.unpack_from(
            body, at
        )
        kind, match_length = struct.unpack_from("!HH", body, at + _FLOW_STATS.size)
        match_at = at + _FLOW_STATS.size + 4
        rest_at = at + _FLOW_STATS.size + (match_length + 7) // 8 * 8
        if kind != 1 or match_length < 4 or length < least or at + length > end:
            raise BadMatch("flow statistics of a wrong length")
        if rest_at > at + length:
            raise BadMatch("a match is longer than its flow")
        match = body[match_at : match_at + match_length - 4]
        instructions = body[rest_at : at + length]
        yield FlowStats(table, priority, cookie, match, instructions, packets, size)
        at += length
