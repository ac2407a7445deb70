"""Settings that are not blocks, as entities and differences."""

from __future__ import annotations

from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.block import Action
from sdnblock.switches.p4runtime import configure
from sdnblock.switches.settings import FirstSettings, SwitchSettings, WalkSettings
from tests import p4runtime_kit as kit

ports = st.frozensets(st.integers(1, 511), max_size=20)
macs = st.dictionaries(st.binary(min_size=6, max_size=6), st.integers(1, 511), max_size=20)
sips = st.frozensets(st.tuples(st.sampled_from([6, 17]), st.integers(1, 65535)), max_size=20)
chosen = st.builds(
    lambda trusted, forward, sip: SwitchSettings(
        "s", trusted_ports=trusted, forward=forward, sip_ports=sip
    ),
    ports,
    macs,
    sips,
)


@given(chosen, chosen)
def test_the_difference_makes_one_the_other_and_changes_nothing_else(
    old: SwitchSettings, new: SwitchSettings
) -> None:
    schema = kit.schema()
    before = configure.wanted_entries(schema, old)
    after = configure.wanted_entries(schema, new)
    for table in configure.SETTING_TABLES:
        held = dict(before[table])
        first, last = configure.table_updates(schema, table, after[table], held)
        for update in first:
            key, data = configure.held_entry(update.entity.table_entry)
            assert (update.type == update.INSERT) == (key not in held)
            assert held.get(key) != data
            held[key] = data
        for update in last:
            assert update.type == update.DELETE
            del held[configure.held_entry(update.entity.table_entry)[0]]
        assert held == after[table]


def test_the_window_is_told_in_ticks() -> None:
    settings = SwitchSettings("s", request_threshold=20, request_window_seconds=1.024)
    entry = configure.policies(kit.schema(), settings)[0]
    assert entry.is_default_action
    assert [param.value for param in entry.action.action.params] == [b"\x14", b"\x03\xe8"]


def test_the_walk_and_first_packets_are_told_in_ticks_and_numbers() -> None:
    walk = WalkSettings(256, 1024.0, 0.0, Action.DROP, (("404", False, 64), ("2xx", True, -48)))
    settings = SwitchSettings("s", walk=walk, first=FirstSettings(packets=16, epoch_seconds=1100.0))
    _, outcome, first = configure.policies(kit.schema(), settings)
    found = [int.from_bytes(p.value, "big") for p in outcome.action.action.params]
    assert found == [256, 1_000_000, 1, 2]
    assert [int.from_bytes(p.value, "big") for p in first.action.action.params] == [16, 20]
    actions = kit.schema().actions
    assert configure.wanted_entries(kit.schema(), settings)["outcome"] == {
        (b"\x16", b"\0"): (actions["fail"].id, (b"\x40",)),
        (b"\x11", b"\1"): (actions["succeed"].id, (b"\x30",)),
    }


def test_absurd_windows_stay_in_the_field() -> None:
    for seconds, ticks in ((0.0, 1), (1e12, 2**31 - 1)):
        settings = SwitchSettings("s", request_window_seconds=seconds)
        entry = configure.policies(kit.schema(), settings)[0]
        assert int.from_bytes(entry.action.action.params[1].value, "big") == ticks


def test_no_samples_no_session() -> None:
    assert configure.clone_session(SwitchSettings("s", sample_rate=0), "xdp") is None
    first = FirstSettings(packets=1, rate=100, burst=17)
    settings = SwitchSettings("s", sample_rate=0, first=first)
    assert configure.clone_session(settings, "xdp") is not None
    budgets = configure.budgets(kit.schema(), settings)
    assert budgets["sample_meter"] == [(0, 0)]
    assert budgets["first_meter"] == [(7, 2)] * 32
    assert configure.flood_group(SwitchSettings("s")) is None


def test_copies_go_where_each_target_wants_them() -> None:
    settings = SwitchSettings("s", sample_bytes=128, cpu_port=320)
    for target, instance, length in (("bmv2", 1, 0), ("xdp", 1, 128), ("tofino", 0, 128)):
        entity = configure.clone_session(settings, target)
        assert entity is not None
        session = entity.packet_replication_engine_entry.clone_session_entry
        assert [(each.egress_port, each.instance) for each in session.replicas] == [(320, instance)]
        assert session.packet_length_bytes == length


def test_ports_of_replicas_compare_however_they_are_written() -> None:
    wanted = configure.flood_group(SwitchSettings("s", flood_ports=frozenset({1, 300})))
    held = configure.flood_group(SwitchSettings("s", flood_ports=frozenset({1})))
    assert wanted is not None
    assert held is not None
    assert not configure.same_replication(wanted, held)
    group = held.packet_replication_engine_entry.multicast_group_entry
    group.replicas.add(port=b"\1\x2c", instance=1)
    assert configure.same_replication(wanted, held)
    group.replicas[1].port = b"\1" * 9
    assert not configure.same_replication(wanted, held)


def test_rates_are_the_same_but_for_bmv2s_rounding() -> None:
    def rates(pps: int, burst: int) -> p4r.MeterConfig:
        return configure.meter_entity(1, 0, pps, burst).meter_entry.config

    assert configure.same_rates(rates(7, 9), rates(7, 9))
    assert not configure.same_rates(rates(8, 9), rates(7, 9))
    assert not configure.same_rates(rates(6, 9), rates(7, 9))
    assert not configure.same_rates(rates(7, 8), rates(7, 9))
    assert configure.same_rates(rates(248, 9), rates(249, 9)), "249e-6 * 1e6 is below 249"
