"""Flow modifications, instructions and flow statistics as bytes. Pure.

Every flow of ours carries :data:`COOKIE` in all but the last byte, which says what the flow
is for and, of blocks, which share of them it is in.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sdnblock.block import Action
from sdnblock.switches.openflow.matches import BadMatch
from sdnblock.switches.openflow.tables import FORWARD

VERSION: Final = 4
COOKIE: Final = int.from_bytes(b"sdnblok\0", "big")
COOKIE_MASK: Final = 0xFFFF_FFFF_FFFF_FF00
EXACT: Final = 0xFFFF_FFFF_FFFF_FFFF
SHARES: Final = 32
"""Blocks have so many cookies, so that they can be read a share at a time: while it gathers
a hundred thousand flows at once, Open vSwitch does nothing else for a tenth of a second."""
_USES: Final = 3
"""Bits of the cookie that are the use."""

NORMAL: Final = 0xFFFFFFFA
CONTROLLER: Final = 0xFFFFFFFD
_ANY: Final = 0xFFFFFFFF
NO_BUFFER: Final = 0xFFFFFFFF
WHOLE_PACKET: Final = 0xFFFF

FLOW_MOD: Final = 14
_FLOW_MOD: Final = struct.Struct("!BBHIQQBBHHHIIIH2x")
_FLOW_STATS: Final = struct.Struct("!HBxIIHHHH4xQQQ")
_SEND_FLOW_REMOVED: Final = 1 << 0
_RESET_COUNTS: Final = 1 << 2
_APPLY_ACTIONS: Final = 4
_NICIRA: Final = 0x00002320
_CONTROLLER2: Final = 37


class BadAnswer(Exception):
    """A message of a switch that is not what its header says."""


class Use(enum.IntEnum):
    """What a flow of ours is for: the last three bits of its cookie."""

    BLOCK = 1
    ALLOW = 2
    SETTING = 3
    SIP_IN = 4
    """Requests at a SIP port."""
    SIP_OUT = 5
    """What our servers send from a SIP port."""
    FIRST = 6
    """SIP that no entry hit: copied to us."""

    @property
    def cookie(self) -> int:
        """The whole cookie; of a block, that of the first share."""
        return COOKIE | self


def use_of(cookie: int) -> int:
    """The use of a flow of ours."""
    return cookie & ((1 << _USES) - 1)


def block_cookie(share: int) -> int:
    """The cookie of the blocks of one share."""
    return COOKIE | share << _USES | Use.BLOCK


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

    An added flow counts from zero, also where it replaces its like, and its end is told
    (OFPFF_SEND_FLOW_REM). The cookie's mask is never full: for a full one Open vSwitch goes
    through all flows with that cookie, one by one.
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
                block_cookie(zlib.crc32(match) % SHARES) if use is Use.BLOCK else use.cookie,
                0 if adds else COOKIE_MASK,
                table,
                command,
                0,
                0,
                priority,
                NO_BUFFER,
                _ANY,
                _ANY,
                _RESET_COUNTS | _SEND_FLOW_REMOVED if adds else 0,
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
    return _apply(struct.pack("!HHIH6x", 0, 16, port, longest))


def metered_copy(meter: int, longest: int) -> bytes:
    """Instruction: to the controller through a meter that only this copy passes.

    Open vSwitch's own action (NXAST_CONTROLLER2 in its ``ofp-actions.c``); OpenFlow's
    meters drop the packet itself.
    """
    properties = b"" if longest == WHOLE_PACKET else struct.pack("!HHH2x", 0, 6, longest)
    properties += struct.pack("!HHI", 5, 8, meter)
    size = 16 + len(properties)
    return _apply(struct.pack("!HHIH6x", 0xFFFF, size, _NICIRA, _CONTROLLER2) + properties)


def _apply(action: bytes) -> bytes:
    return struct.pack("!HH4x", _APPLY_ACTIONS, 8 + len(action)) + action


def block_instructions(action: Action, meter: int, copy: bytes) -> bytes:
    """What packets of a blocked target meet: nothing at all is a drop.

    ``meter`` is the target's for LIMIT; ``copy`` the instruction that copies a watched packet
    to us, empty for none.
    """
    if action is Action.DROP:
        return b""
    onward = goto(FORWARD)
    return (through_meter(meter) if action is Action.LIMIT else copy) + onward


def parse_block(instructions: bytes) -> tuple[Action, int]:
    """Action and meter (0: none) of a block's instructions. Raises BadMatch."""
    if not instructions:
        return Action.DROP, 0
    onward = goto(FORWARD)
    if instructions == onward:
        return Action.WATCH, 0
    first, rest = instructions[:-8], instructions[-8:]
    if rest == onward and len(first) >= 8:
        kind, length, meter = struct.unpack_from("!HHI", first)
        if (kind, length) == (6, 8) and len(first) == 8 and meter:
            return Action.LIMIT, meter
        if (kind, length) == (_APPLY_ACTIONS, len(first)) and _copies(first[8:]):
            return Action.WATCH, 0
    raise BadMatch("instructions that we never use")


def _copies(action: bytes) -> bool:
    """Whether this is one action that sends to the controller."""
    if len(action) < 16 or int.from_bytes(action[2:4], "big") != len(action):
        return False
    kind, _, whom, subtype = struct.unpack_from("!HHIH", action)
    return (kind, whom) == (0, CONTROLLER) or (kind, whom, subtype) == (
        *(0xFFFF, _NICIRA, _CONTROLLER2),
    )


def parse_stats(body: bytes) -> Iterator[FlowStats]:
    """The flows in one part of a flow statistics reply. Raises BadAnswer."""
    at, end, least = 0, len(body), _FLOW_STATS.size + 8
    while at < end:
        if at + least > end:
            raise BadAnswer("flow statistics are cut off")
        length, table, _, _, priority, _, _, _, cookie, packets, size = _FLOW_STATS.unpack_from(
            body, at
        )
        kind, match_length = struct.unpack_from("!HH", body, at + _FLOW_STATS.size)
        match_at = at + _FLOW_STATS.size + 4
        rest_at = at + _FLOW_STATS.size + (match_length + 7) // 8 * 8
        if kind != 1 or match_length < 4 or length < least or at + length > end:
            raise BadAnswer("flow statistics of a wrong length")
        if rest_at > at + length:
            raise BadAnswer("a match is longer than its flow")
        match = body[match_at : match_at + match_length - 4]
        instructions = body[rest_at : at + length]
        yield FlowStats(table, priority, cookie, match, instructions, packets, size)
        at += length
