"""Settings of a switch that are not blocks: wanted against held, and the writes between.

Pure: functions from settings and what was read to updates. New entries go
before old ones are deleted, so nothing that stays wanted is ever missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from finsy.proto import p4r

from sdnblock.block import Action
from sdnblock.switches.p4runtime.counters import KINDS
from sdnblock.switches.p4runtime.schema import Schema
from sdnblock.switches.p4runtime.values import encode, shortest
from sdnblock.switches.settings import SwitchSettings

FLOOD_GROUP: Final = 1
"""Multicast group to which BMv2 floods unknown MACs."""
SAMPLE_SESSION: Final = 250
"""Clone session of sampled packets."""
TICK_SECONDS: Final = 1024e-6
"""The unit of the request window."""

DIGEST_WAIT_NS: Final = 5_000_000
"""A digest waits this long for company, at most."""
DIGEST_LIST: Final = 128
DIGEST_ACK_NS: Final = 1_000_000_000
"""Without our ack, a duplicate is sent again after this long."""

_MAX_PORTS: Final = 512
_NETWORKS: Final = 16
"""Classes of networks that share the budget of first packets (``SIZE_NETWORKS``)."""
_RESPONSES: Final = {Action.WATCH: 0, Action.LIMIT: 1, Action.DROP: 2}

Key = tuple[bytes, ...]
"""Exact match values of an entry, canonical, in P4Info order."""
Data = tuple[int, tuple[bytes, ...]]
"""An action id and its parameters, canonical, in P4Info order."""

SETTING_TABLES: Final = ("port_side", "l2_forward", "sip_port", "outcome")


def wanted_entries(schema: Schema, settings: SwitchSettings) -> dict[str, dict[Key, Data]]:
    """The entries that each settings table should hold."""
    actions = schema.actions
    return {
        "port_side": {
            (encode(port),): (actions["set_side"].id, (b"\1",)) for port in settings.trusted_ports
        },
        "l2_forward": {
            (shortest(mac),): (actions["forward"].id, (encode(port),))
            for mac, port in settings.forward.items()
        },
        "sip_port": {
            (encode(protocol), encode(port)): (actions["sip"].id, ())
            for protocol, port in settings.sip_ports
        },
        "outcome": {
            (encode(KINDS.index(kind)), encode(int(again))): (
                actions["fail" if weight > 0 else "succeed"].id,
                (encode(abs(weight)),),
            )
            for kind, again, weight in settings.walk.weights
        },
    }


def held_entry(entry: p4r.TableEntry) -> tuple[Key, Data]:
    """An entry of a settings table as the switch has it; nothing is assumed of its values."""
    match = sorted(entry.match, key=lambda field: field.field_id)
    params = sorted(entry.action.action.params, key=lambda param: param.param_id)
    return (
        tuple(shortest(field.exact.value) for field in match),
        (entry.action.action.action_id, tuple(shortest(param.value) for param in params)),
    )


def table_updates(
    schema: Schema, table: str, wanted: dict[Key, Data], held: dict[Key, Data]
) -> tuple[list[p4r.Update], list[p4r.Update]]:
    """What makes ``held`` into ``wanted``: updates to send first, and deletes to send after."""
    first = [
        _entry(schema, table, p4r.Update.MODIFY if key in held else p4r.Update.INSERT, key, data)
        for key, data in wanted.items()
        if held.get(key) != data
    ]
    after = [
        _entry(schema, table, p4r.Update.DELETE, key, None) for key in held if key not in wanted
    ]
    return first, after


def _entry(
    schema: Schema, table: str, update_type: p4r.Update.Type.ValueType, key: Key, data: Data | None
) -> p4r.Update:
    update = p4r.Update(type=update_type)
    entry = update.entity.table_entry
    entry.table_id = schema.tables[table].id
    for field, value in zip(schema.tables[table].fields, key, strict=True):
        entry.match.add(field_id=field.id).exact.value = value
    if data is not None:
        entry.action.action.action_id, params = data
        for param_id, value in enumerate(params, 1):
            entry.action.action.params.add(param_id=param_id, value=value)
    return update


def policies(schema: Schema, settings: SwitchSettings) -> list[p4r.TableEntry]:
    """The default entries that hold the policies of stages."""
    walk, first = settings.walk, settings.first
    shift = round(math.log2(max(1.0, first.epoch_seconds / TICK_SECONDS)))
    return [
        _policy(
            schema, "request_window", "request_policy",
            settings.request_threshold, _ticks(settings.request_window_seconds),
        ),
        _policy(
            schema, "outcome_policy", "set_outcome_policy",
            walk.threshold, _ticks(walk.memory_seconds), _ticks(walk.hold_seconds),
            _RESPONSES[walk.response],
        ),
        _policy(schema, "first_policy", "set_first_policy", first.packets, min(shift, 31)),
    ]  # fmt: skip


def _ticks(seconds: float) -> int:
    # Above half the range, "later than" and "earlier than" could not be told apart.
    return min(max(1, round(seconds / TICK_SECONDS)), (1 << 31) - 1)


def _policy(schema: Schema, table: str, name: str, *values: int) -> p4r.TableEntry:
    action = schema.actions[name]
    entry = p4r.TableEntry(table_id=schema.tables[table].id, is_default_action=True)
    entry.action.action.action_id = action.id
    for param, value in zip(action.params, values, strict=True):
        entry.action.action.params.add(param_id=param.id, value=encode(value))
    return entry


def flood_group(settings: SwitchSettings) -> p4r.Entity | None:
    """Multicast group 1, None if nothing is to be flooded."""
    if not settings.flood_ports:
        return None
    entity = p4r.Entity()
    group = entity.packet_replication_engine_entry.multicast_group_entry
    group.multicast_group_id = FLOOD_GROUP
    for port in sorted(settings.flood_ports):
        group.replicas.add(egress_port=port, instance=1)
    return entity


def clone_session(settings: SwitchSettings, target: str) -> p4r.Entity | None:
    """The clone session of samples, None if nothing is to be sampled.

    The switch cuts frames to ``sample_bytes``; BMv2 cannot. Stratum wants instance 0 on a
    Tofino, which has no instances of clones.
    """
    if settings.sample_rate <= 0 and settings.first.packets <= 0:
        return None
    entity = p4r.Entity()
    session = entity.packet_replication_engine_entry.clone_session_entry
    session.session_id = SAMPLE_SESSION
    session.replicas.add(egress_port=settings.cpu_port, instance=0 if target == "tofino" else 1)
    session.packet_length_bytes = 0 if target == "bmv2" else settings.sample_bytes
    return entity


def same_replication(wanted: p4r.Entity, held: p4r.Entity) -> bool:
    """Whether two replication entries do the same, however their ports are written."""
    return _replication(wanted) == _replication(held)


def _replication(entity: p4r.Entity) -> tuple[object, ...]:
    entry = entity.packet_replication_engine_entry
    if entry.HasField("clone_session_entry"):
        session = entry.clone_session_entry
        return (session.session_id, session.packet_length_bytes, _replicas(session.replicas))
    group = entry.multicast_group_entry
    return (group.multicast_group_id, _replicas(group.replicas))


def _replicas(replicas: Iterable[p4r.Replica]) -> frozenset[tuple[int, int]]:
    return frozenset((_port(replica), replica.instance) for replica in replicas)


def _port(replica: p4r.Replica) -> int:
    if replica.WhichOneof("port_kind") == "port":
        return int.from_bytes(replica.port[:9], "big")  # a longer one is no port of ours
    return replica.egress_port


def digest_entry(digest_id: int) -> p4r.Entity:
    """The configuration of a digest."""
    entity = p4r.Entity()
    entity.digest_entry.digest_id = digest_id
    config = entity.digest_entry.config
    config.max_timeout_ns = DIGEST_WAIT_NS
    config.max_list_size = DIGEST_LIST
    config.ack_timeout_ns = DIGEST_ACK_NS
    return entity


def meter_entity(meter_id: int, index: int, rate: int, burst: int) -> p4r.Entity:
    """A meter cell that lets ``rate`` packets a second through, and ``burst`` at once.

    Both rates are the same: there is no yellow that would mean anything here.
    """
    entity = p4r.Entity()
    meter = entity.meter_entry
    meter.meter_id = meter_id
    meter.index.index = index
    meter.config.cir = meter.config.pir = rate
    meter.config.cburst = meter.config.pburst = burst
    return entity


def same_rates(held: p4r.MeterConfig, wanted: p4r.MeterConfig) -> bool:
    """Whether a meter's configuration is the wanted one, but for a server's rounding.

    BMv2 keeps rates as packets a microsecond in floating point, and cuts them when read.
    """
    return (
        held.cir in (wanted.cir, _cut(wanted.cir))
        and held.pir in (wanted.pir, _cut(wanted.pir))
        and (held.cburst, held.pburst) == (wanted.cburst, wanted.pburst)
    )


def _cut(rate: int) -> int:
    return int(rate / 1000000.0 * 1000000.0)


def budgets(schema: Schema, settings: SwitchSettings) -> dict[str, list[tuple[int, int]]]:
    """The meters besides ``limit_meter``: name -> (rate, burst) of each cell."""
    walk, first = (settings.limit_rate, settings.limit_burst), settings.first
    each = (-(-first.rate // _NETWORKS), -(-first.burst // _NETWORKS))
    sample = (settings.sample_rate, settings.sample_burst if settings.sample_rate else 0)
    wanted = {"sample_meter": sample, "held_meter": walk, "first_meter": each}
    return {name: [rates] * schema.meters[name].size for name, rates in wanted.items()}
