"""A switch's packet counters with names for people, summed over the flows it holds now.

OpenFlow cannot see into SIP: messages are not told apart. A count goes with its flow, so
``verdict`` is about the present entries and begins again with a setting that changes.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from sdnblock.block import PROTOCOLS, Action, Flow, Source, Target
from sdnblock.switches.openflow import answers, questions, tables
from sdnblock.switches.openflow.channel import Refused
from sdnblock.switches.openflow.flows import FlowStats, Use, use_of
from sdnblock.switches.openflow.found import is_ours, read_flows, read_held
from sdnblock.switches.openflow.matches import BadMatch, parse_port
from sdnblock.switches.openflow.meters import Meters
from sdnblock.switches.openflow.questions import Multipart

_NAMES: Final = {number: name for name, number in PROTOCOLS.items()}
_VERDICTS: Final = (
    *("passed", "allowed", "dropped by flow", "dropped by source", "dropped by prefix"),
    *("dropped by limit", "watched", "limited, passed"),
)


async def read_packet_counters(multipart: Multipart, meters: Meters) -> dict[str, dict[str, int]]:
    """Group -> name -> packets, as ``Driver.read_packet_counters`` says.

    Raises BadAnswer, and as ``multipart`` does.
    """
    ports: Counter[tuple[int, int]] = Counter()
    verdict = Counter(dict.fromkeys(_VERDICTS, 0))
    for table in (tables.SERVICE, tables.FILTER):
        async for stats in read_flows(multipart, questions.table(table)):
            if not is_ours(stats.cookie):
                continue
            use = use_of(stats.cookie)
            if use in (Use.SIP_IN, Use.SIP_OUT):
                _count_port(stats, ports)
            elif table == tables.FILTER:
                verdict[_verdict(stats, meters)] += stats.packets
    over = await _dropped(multipart, meters)
    limited = verdict["limited, passed"]
    verdict["dropped by limit"] = min(over, limited)
    verdict["limited, passed"] = limited - min(over, limited)
    return {
        "sip_port": {f"{_NAMES[p]}/{port}": ports[p, port] for p, port in sorted(ports)},
        "message_in": {},
        "message_out": {},
        "verdict": {name: verdict[name] for name in _VERDICTS},
    }


def _count_port(stats: FlowStats, ports: Counter[tuple[int, int]]) -> None:
    try:
        protocol, port = parse_port(stats.match)
    except BadMatch:
        return  # not as we make them: comparing deals with it
    ports[protocol, port] += stats.packets


def _verdict(stats: FlowStats, meters: Meters) -> str:
    try:
        held = read_held(stats, meters.owns)
    except BadMatch:
        return "passed"  # of no entry
    if held.action is None:
        return "allowed"
    if held.action is Action.DROP:
        return f"dropped by {_kind(held.target)}"
    return "watched" if held.action is Action.WATCH else "limited, passed"


def _kind(target: Target) -> str:
    if isinstance(target, Flow):
        return "flow"
    return "source" if isinstance(target, Source) else "prefix"


async def _dropped(multipart: Multipart, meters: Meters) -> int:
    """Packets that the meters of limited targets have dropped."""
    if not meters.count:
        return 0
    try:
        parts = await multipart(questions.METER_COUNTERS)
    except Refused:
        return 0
    return sum(
        dropped
        for part in parts
        for meter, dropped in answers.parse_meter_stats(part)
        if meters.owns(meter)
    )
