"""The pipeline's packet counters, with names for people."""

from __future__ import annotations

from typing import Final

from finsy.proto import p4r

from sdnblock.block import PROTOCOLS
from sdnblock.switches.p4runtime.schema import Schema
from sdnblock.switches.p4runtime.session import Session
from sdnblock.switches.p4runtime.values import BadValue, number

KINDS: Final = (
    "other",
    "keepalive",
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "REGISTER",
    "OPTIONS",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "REFER",
    "INFO",
    "MESSAGE",
    "UPDATE",
    "PRACK",
    "1xx",
    "2xx",
    "3xx",
    "4xx",
    "401",
    "403",
    "404",
    "407",
    "5xx",
    "6xx",
)
"""Message kinds by the index of ``message_in`` and ``message_out``. ``4xx`` is every 4xx
that has no number of its own here."""

VERDICTS: Final = (
    "passed",
    "allowed",
    "dropped by flow",
    "dropped by source",
    "dropped by prefix",
    "dropped by limit",
    "watched",
    "limited, passed",
    "dropped by outcome",
    "dropped by outcome limit",
    "limited by outcome, passed",
)
"""Verdicts by the index of ``verdict``; every packet from the untrusted side has one."""

_PROTOCOL_NAMES: Final = {number: name for name, number in PROTOCOLS.items()}


async def read_packet_counters(session: Session, schema: Schema) -> dict[str, dict[str, int]]:
    """Group -> name -> packets, as ``Driver.read_packet_counters`` says. Raises SwitchLost."""
    return {
        "sip_port": await _sip_ports(session, schema),
        "message_in": await _array(session, schema, "message_in", KINDS),
        "message_out": await _array(session, schema, "message_out", KINDS),
        "verdict": await _array(session, schema, "verdict", VERDICTS),
    }


async def _sip_ports(session: Session, schema: Schema) -> dict[str, int]:
    query = p4r.Entity(table_entry=p4r.TableEntry(table_id=schema.tables["sip_port"].id))
    query.table_entry.counter_data.SetInParent()
    counts: dict[tuple[int, int], int] = {}
    async for entities in session.read(query, schema.tables["sip_port"].size):
        for entity in entities:
            entry = entity.table_entry
            if len(entry.match) != 2:
                continue
            try:
                protocol = number(entry.match[0].exact.value, 8)
                port = number(entry.match[1].exact.value, 16)
            except BadValue:
                continue
            counts[protocol, port] = max(0, entry.counter_data.packet_count)
    return {
        f"{_PROTOCOL_NAMES.get(protocol, protocol)}/{port}": packets
        for (protocol, port), packets in sorted(counts.items())
    }


async def _array(
    session: Session, schema: Schema, counter: str, names: tuple[str, ...]
) -> dict[str, int]:
    counts = dict.fromkeys(names, 0)
    query = p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=schema.counters[counter].id))
    async for entities in session.read(query, schema.counters[counter].size):
        for entity in entities:
            cell = entity.counter_entry
            if 0 <= cell.index.index < len(names):
                counts[names[cell.index.index]] = max(0, cell.data.packet_count)
    return counts
