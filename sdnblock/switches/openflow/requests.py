"""Control messages that we send, built with os-ken's classes (OpenFlow 1.3.5)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from os_ken.ofproto import ofproto_v1_3 as of
from os_ken.ofproto import ofproto_v1_3_parser as messages
from os_ken.ofproto.ofproto_protocol import ProtocolDesc

from sdnblock.switches.openflow.flows import EXACT

Build = Callable[[int], bytes]
"""Makes a message with the given xid."""
MeterMod = Callable[[int, int, int, int], bytes]
"""Makes a meter modification of xid, meter, rate and burst."""

_PROTOCOL: Final = ProtocolDesc(version=of.OFP_VERSION)
ALL_TABLES: Final = 0xFF
_NO_MATCH: Final = bytes([0, 1, 0, 4, 0, 0, 0, 0])
CONTROLLER_METER: Final = 0xFFFFFFFE
"""``OFPM_CONTROLLER`` (7.3.4.4): whatever is on its way to a controller goes through it."""


def _bytes(message: Any, xid: int) -> bytes:
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


def hello(xid: int) -> bytes:
    """OFPT_HELLO with 1.3 as the highest version; no bitmap says the same (6.3.1, 7.5.1)."""
    return _bytes(messages.OFPHello(_PROTOCOL), xid)


def incompatible(xid: int) -> bytes:
    """OFPT_ERROR for a switch that does not speak 1.3 (7.4.4)."""
    return _bytes(
        messages.OFPErrorMsg(
            _PROTOCOL, of.OFPET_HELLO_FAILED, of.OFPHFC_INCOMPATIBLE, b"only OpenFlow 1.3"
        ),
        xid,
    )


def echo_request(xid: int) -> bytes:
    """OFPT_ECHO_REQUEST (7.5.2)."""
    return _bytes(messages.OFPEchoRequest(_PROTOCOL), xid)


def echo_reply(xid: int, data: bytes) -> bytes:
    """OFPT_ECHO_REPLY with the request's data (7.5.3)."""
    return _bytes(messages.OFPEchoReply(_PROTOCOL, data=data), xid)


def features(xid: int) -> bytes:
    """OFPT_FEATURES_REQUEST (7.3.1)."""
    return _bytes(messages.OFPFeaturesRequest(_PROTOCOL), xid)


def barrier(xid: int) -> bytes:
    """OFPT_BARRIER_REQUEST (7.3.8)."""
    return _bytes(messages.OFPBarrierRequest(_PROTOCOL), xid)


def become_master(xid: int, generation: int) -> bytes:
    """OFPT_ROLE_REQUEST for the master's role (7.3.9)."""
    return _bytes(messages.OFPRoleRequest(_PROTOCOL, of.OFPCR_ROLE_MASTER, generation), xid)


def ask_role(xid: int) -> bytes:
    """OFPT_ROLE_REQUEST that changes nothing (7.3.9)."""
    return _bytes(messages.OFPRoleRequest(_PROTOCOL, of.OFPCR_ROLE_NOCHANGE, 0), xid)


def description(xid: int) -> bytes:
    """OFPMP_DESC (7.3.5.1)."""
    return _bytes(messages.OFPDescStatsRequest(_PROTOCOL, 0), xid)


def table_features(xid: int) -> bytes:
    """OFPMP_TABLE_FEATURES, reading only (7.3.5.5)."""
    return _bytes(messages.OFPTableFeaturesStatsRequest(_PROTOCOL, 0, []), xid)


def flow_stats(xid: int, table: int = ALL_TABLES, cookie: int | None = None) -> bytes:
    """OFPMP_FLOW: the flows of a table, or those of one cookie in it (7.3.5.2)."""
    mask = 0 if cookie is None else EXACT
    return _bytes(
        messages.OFPFlowStatsRequest(
            _PROTOCOL, 0, table, of.OFPP_ANY, of.OFPG_ANY, cookie or 0, mask
        ),
        xid,
    )


def flow_stats_of(xid: int, table: int, match: bytes) -> bytes:
    """OFPMP_FLOW: the flows of a table that are within a match, which is OXM fields."""
    padded = struct.pack("!HH", 1, 4 + len(match)) + match + bytes(-(4 + len(match)) % 8)
    raw = flow_stats(xid, table)[: -len(_NO_MATCH)] + padded
    return raw[:2] + len(raw).to_bytes(2, "big") + raw[4:]


def meter_features(xid: int) -> bytes:
    """OFPMP_METER_FEATURES (7.3.5.14)."""
    return _bytes(messages.OFPMeterFeaturesStatsRequest(_PROTOCOL, 0), xid)


def meter_configs(xid: int) -> bytes:
    """OFPMP_METER_CONFIG of all meters (7.3.5.13)."""
    return _bytes(messages.OFPMeterConfigStatsRequest(_PROTOCOL, 0, of.OFPM_ALL), xid)


def meter_stats(xid: int) -> bytes:
    """OFPMP_METER of all meters (7.3.5.12)."""
    return _bytes(messages.OFPMeterStatsRequest(_PROTOCOL, 0, of.OFPM_ALL), xid)


def add_meter(xid: int, meter: int, rate: int, burst: int) -> bytes:
    """OFPT_METER_MOD: a meter that drops what exceeds ``rate`` packets a second (7.3.4.4)."""
    return _meter(xid, of.OFPMC_ADD, meter, rate, burst)


def modify_meter(xid: int, meter: int, rate: int, burst: int) -> bytes:
    """OFPT_METER_MOD: another rate for a meter that is there."""
    return _meter(xid, of.OFPMC_MODIFY, meter, rate, burst)


def delete_meter(xid: int, meter: int) -> bytes:
    """OFPT_METER_MOD: away with a meter, and with every flow that uses it."""
    return _bytes(messages.OFPMeterMod(_PROTOCOL, of.OFPMC_DELETE, 0, meter), xid)


def _meter(xid: int, command: int, meter: int, rate: int, burst: int) -> bytes:
    flags = of.OFPMF_PKTPS | of.OFPMF_BURST
    bands = [messages.OFPMeterBandDrop(rate, burst)]
    return _bytes(messages.OFPMeterMod(_PROTOCOL, command, flags, meter, bands), xid)
