"""What detection remembers: bounded whatever comes, the same after a restart, never trusted."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sdnblock.block import Action, Flow, Prefix, Source, parse_address, parse_prefix
from sdnblock.blocklist.row import Row
from sdnblock.detect import credit, past
from sdnblock.detect.engine import Engine
from sdnblock.detect.finding import Finding
from sdnblock.detect.flood.spoofing import Spoofing
from sdnblock.detect.judge import Judge
from sdnblock.detect.kept import Kept, Memory
from sdnblock.detect.kind import Kind
from sdnblock.detect.numbers import NumberSettings, TestNumbers
from sdnblock.detect.past import LADDER, Past, unpack_past
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.sides import Sides
from sdnblock.detect.site import parse_site, site_of, site_text
from sdnblock.detect.stories import Stories
from sdnblock.detect.verdict import Verdict
from sdnblock.evidence.grade import Grade
from tests.sip_world import World, tag_for

NOW = 1_700_000_000.0
ATTACKER = parse_address("203.0.113.66")
MOST = 4


def _unpack(time: float, packed: Any) -> tuple[float, int]:
    if not isinstance(packed, int):
        raise ValueError("no number")
    return time, packed


KIND: Kind[str, tuple[float, int]] = Kind(
    "thing", 100.0, MOST, str, str, lambda r: r[0], lambda r: r[1], _unpack, lambda r: r[1] % 2 == 0
)


class KeptMachine(RuleBasedStateMachine):
    """Against two plain dicts: what is held, and what somebody else has kept of it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.table = Kept(KIND)
        self.model: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self.kept: dict[str, Row] = {}

    @rule(key=st.sampled_from("abcdefghijkl"), value=st.integers(0, 5))
    def put(self, key: str, value: int) -> None:
        self.now += 1
        self.table.put(key, (self.now, value))
        self.model[key] = (self.now, value)
        self.model.move_to_end(key)
        same = [k for k, (_, v) in self.model.items() if v % 2 == value % 2]
        for old in same[:-MOST]:
            del self.model[old]

    @rule(key=st.sampled_from("abcdefghijkl"))
    def drop(self, key: str) -> None:
        self.table.drop(key)
        self.model.pop(key, None)

    @rule(seconds=st.sampled_from([1, 50, 101]))
    def expire(self, seconds: int) -> None:
        self.now += seconds
        self.table.expire(self.now)
        self.model = OrderedDict(
            (key, record) for key, record in self.model.items() if self.now - record[0] <= 100
        )

    @rule(most=st.integers(1, 5), works=st.booleans())
    def keep(self, most: int, works: bool) -> None:
        keys = self.table.take(most)
        assert len(keys) <= most
        if not works:
            self.table.give_back(keys)
            return
        for key in keys:
            row = self.table.row(key)
            self.kept.pop(key, None)
            if not row.gone:
                self.kept[key] = row

    @rule()
    def restart(self) -> None:
        """Everything is written; a new table is given what was kept, and is the same."""
        while keys := self.table.take(100):
            for key in keys:
                row = self.table.row(key)
                self.kept.pop(key, None)
                if not row.gone:
                    self.kept[key] = row
        fresh = Kept(KIND)
        rows = sorted(self.kept.values(), key=lambda row: row.time)
        assert fresh.load(rows, self.now) == 0
        assert set(dict(self.table.items())) <= set(dict(fresh.items()))
        assert not fresh.waiting
        fresh.load(rows, self.now)  # once more changes nothing
        for key, record in self.table.items():
            assert fresh.get(key) == record
        # Writing it all again is what was kept, but for what has been pushed out.
        fresh.change_all()
        assert {fresh.row(key) for key in fresh.take(100)} <= set(self.kept.values())

    @invariant()
    def holds_the_same(self) -> None:
        assert dict(self.table.items()) == dict(self.model)
        assert len(self.table) == len(self.model) <= 2 * MOST
        assert all(self.table.get(key) == record for key, record in self.model.items())
        assert self.table.waiting <= 4 * MOST + 12


TestKept = KeptMachine.TestCase


def test_a_flood_that_anybody_can_make_pushes_out_nothing_firm() -> None:
    table = Kept(KIND)
    table.put("firm", (1.0, 2))
    for number in range(1000):
        table.put(f"flood{number}", (2.0 + number, 1))
    assert table.get("firm") == (1.0, 2)
    assert len(table) == 1 + MOST


@given(st.lists(st.tuples(st.text(max_size=5), st.floats(), st.text(max_size=20))))
def test_whatever_is_kept_is_never_trusted(rows: list[tuple[str, float, str]]) -> None:
    memory = Memory()
    engine = Engine(DetectSettings(), Sides([]))
    for table in (*engine.memory.tables(), memory.keep(KIND)):
        refused = table.load([Row(*row) for row in rows], NOW)
        assert refused + len(table) <= len(rows)
        table.change_all()
        for key in table.take(100):
            json.loads(table.row(key).data or "null")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=20,
)


@given(_JSON)
def test_a_past_of_anything_is_a_past_or_refused(packed: Any) -> None:
    try:
        found = unpack_past(NOW, packed)
    except ValueError:
        return
    assert unpack_past(NOW, json.loads(json.dumps(found.pack()))) == found


_TIMES = st.floats(NOW, NOW + 1e6)


@given(
    st.lists(
        st.tuples(_TIMES, st.sampled_from(Grade), st.booleans(), st.sampled_from(LADDER)),
        min_size=1,
        max_size=12,
    )
)
def test_a_past_survives_being_kept(
    convictions: list[tuple[float, Grade, bool, float]],
) -> None:
    found = Past(NOW)
    for time, grade, on_flow, seconds in sorted(convictions, key=lambda each: each[0]):
        target = (
            Flow(17, ATTACKER, 5060, parse_address("198.51.100.10"), 5060)
            if on_flow
            else Source(ATTACKER)
        )
        found.note(
            Verdict(target, Action.DROP, seconds, "d", "r" * 300, grade, ATTACKER),
            time,
        )
        assert found.convictions <= len(convictions)
        assert len(found.reasons) <= 4
    again = unpack_past(found.time, json.loads(json.dumps(found.pack())))
    assert again == found


@pytest.mark.parametrize(
    ("address", "text"),
    [("203.0.113.7", "203.0.113.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")],
)
def test_a_site_as_text(address: str, text: str) -> None:
    packed = parse_address(address)
    assert site_text(packed) == text
    assert parse_site(text) == site_of(packed)


@pytest.mark.parametrize("text", ["203.0.113.0/24", "2001:db8::1", "2001:db8::/63", ""])
def test_what_is_no_site(text: str) -> None:
    with pytest.raises(Exception, match=r"."):
        parse_site(text)


# --- the judge and its past ------------------------------------------------------------------


class Court:
    """A judge with a clock."""

    def __init__(self, *feeds: str) -> None:
        self.memory = Memory()
        self.credit = credit.Credit(self.memory)
        self.feeds = list(feeds)
        self.now = NOW
        self._make()

    def _make(self) -> None:
        self.judge = Judge(self.credit, self.memory, Spoofing(), lambda _: self.feeds)

    def restart(self) -> None:
        """Another controller, given what was kept."""
        rows: dict[str, list[Row]] = {}
        for table in self.memory.tables():
            table.change_all()
            rows[table.kind.name] = [table.row(key) for key in table.take(1000)]
        self.memory = Memory()
        self.credit = credit.Credit(self.memory)
        self._make()
        for table in self.memory.tables():
            assert table.load(rows[table.kind.name], self.now) == 0

    def convict(self, grade: Grade = Grade.PROVEN, flow: bool = False, wait: float = 0) -> Verdict:
        """One more finding; then ``wait`` seconds after the end of its block."""
        on = Flow(17, ATTACKER, 5060, parse_address("198.51.100.10"), 5060) if flow else None
        verdict = self.judge.judge(Finding("test", ATTACKER, grade, "why", on), self.now)
        assert isinstance(verdict, Verdict)
        self.now += verdict.seconds + wait
        return verdict


def test_the_ladder_goes_on_after_a_restart() -> None:
    court = Court()
    found = []
    for _ in range(6):
        found.append(court.convict(wait=10).seconds)
        court.restart()
    assert found == [*LADDER, LADDER[-1]]


def test_a_past_is_forgotten_thirty_days_after_its_last_block() -> None:
    court = Court()
    for _ in LADDER:
        court.convict(wait=10)
    assert court.convict(wait=past.FORGOTTEN_AFTER - 10).seconds == LADDER[-1]
    assert court.convict(wait=past.FORGOTTEN_AFTER + 10).seconds == LADDER[-1]
    assert court.convict().seconds == LADDER[0]


def test_more_evidence_of_the_same_offence_climbs_nothing() -> None:
    court = Court()
    for _ in range(20):
        verdict = court.judge.judge(Finding("test", ATTACKER, Grade.PROVEN, "why"), court.now)
        assert isinstance(verdict, Verdict)
        assert verdict.seconds == LADDER[0]
        court.now += 60
    court.now += LADDER[0]
    assert court.convict().seconds == LADDER[1]


def test_flows_do_not_make_the_address_worse() -> None:
    court = Court()
    assert [court.convict(flow=True, wait=1).seconds for _ in range(3)] == list(LADDER[:3])
    assert court.convict(wait=1).seconds == LADDER[0]


def test_a_feed_that_names_a_proven_source_is_one_rung_more() -> None:
    court = Court("apiban")
    verdict = court.convict(wait=1)
    assert verdict.seconds == LADDER[1]
    assert verdict.reason == "why; named by apiban"
    second = court.convict()
    assert second.seconds == LADDER[2]
    assert second.reason == "why; convicted 1 time before; named by apiban"


def test_spoofable_evidence_never_escalates() -> None:
    court = Court("apiban", "voipbl")
    for _ in range(3):
        court.convict(wait=1)
    for _ in range(20):
        verdict = court.convict(Grade.SPOOFABLE, wait=1)
        assert verdict.seconds == 600.0
    court.credit._earned.put(ATTACKER, court.now)
    assert court.convict(Grade.SPOOFABLE).action is Action.WATCH


def test_an_ipv6_site_is_one_source_whatever_its_addresses_are() -> None:
    world = World()
    world.register("2001:db8:1:2::10", "1001", good=True)
    for number in range(30):  # the neighbour's name, or somebody who forges it
        world.request(f"2001:db8:1:2::{number:x}", "OPTIONS", "x", agent="friendly-scanner")
    assert {v.action for v in world.verdicts} == {Action.WATCH}
    assert {v.target for v in world.verdicts} == {parse_prefix("2001:db8:1:2::/64")}
    assert isinstance(world.verdicts[0].target, Prefix)


def test_until_all_is_known_everybody_has_credit() -> None:
    world = World()
    for table in world.engine.memory.tables():
        table.complete = False
    world.request("203.0.113.66", "OPTIONS", "x", agent="friendly-scanner")
    for table in world.engine.memory.tables():
        table.complete = True
    world.now += 10
    world.request("203.0.113.66", "OPTIONS", "x", agent="friendly-scanner")
    assert [verdict.action for verdict in world.verdicts] == [Action.WATCH, Action.DROP]


def call_of(world: World, source: str, seconds: float, *, ack: bool = True, ours: bool = False,
            tag: str = "") -> None:  # fmt: skip
    """A call that no credential was asked for, and its end."""
    call, cseq = world.request(source, "INVITE", "1002")
    world.response(source, 200, call, cseq, "INVITE")
    if ack:
        world.request(source, "ACK", "1002", call=call, cseq=cseq, to_tag=tag_for(call))
    world.now += seconds
    if ours:
        world.answer(
            source, 5060, "BYE sip:x@192.0.2.20 SIP/2.0\r\nTo: <sip:x@b>;tag=f\r\n"
            f"From: <sip:y@b>;tag={tag or tag_for(call)}\r\nCall-ID: {call}\r\n"
            "CSeq: 1 BYE\r\n\r\n",
        )  # fmt: skip
    else:
        world.request(source, "BYE", "1002", call=call, cseq=2, to_tag=tag or tag_for(call))


def test_calls_that_last_earn_credit_and_are_not_bought_quickly() -> None:
    world = World()
    for user in ("1", "2", "3"):
        world.ask("192.0.2.99", "INVITE", user, 486)  # our tags are seen to be random
    trunk, buyer = "192.0.2.20", "203.0.113.66"

    def has(source: str) -> bool:
        return world.engine.credit.has(parse_address(source), world.now)

    for _ in range(50):
        call_of(world, buyer, 10.0)  # fifty within less than an hour
        call_of(world, buyer, 1.0)
    assert not has(buyer)
    for ours in (False, True, False):
        assert not has(trunk)
        call_of(world, trunk, 10.0, ours=ours)
        world.now += 1800
    assert has(trunk)
    for source, kept in (("192.0.2.21", {"seconds": 5.0}), ("192.0.2.22", {"ack": False}),
                         ("192.0.2.23", {"tag": "guessed"})):  # fmt: skip
        for _ in range(5):
            call_of(world, source, **{"seconds": 20.0, **kept})  # type: ignore[arg-type]
            world.now += 1800
        assert not has(source)


def test_credit_is_written_now_and_then_only() -> None:
    world = World()
    (table,) = (t for t in world.engine.memory.tables() if t.kind.name == "credit")
    written = 0
    for _ in range(3600 // 30):
        world.register("192.0.2.20", "1001", good=True)
        world.now += 30
        written += len(table.take(10))
    assert 6 <= written <= 8


def test_an_office_is_no_single_phone_after_a_restart() -> None:
    world, after = World(), World()
    for number in range(100):
        world.register("192.0.2.20", f"u{number}", good=True)
    (old,) = (t for t in world.engine.memory.tables() if t.kind.name == "tenants")
    (new,) = (t for t in after.engine.memory.tables() if t.kind.name == "tenants")
    assert new.load([old.row(key) for key in old.take(10)], world.now) == 0
    assert len(new.row(parse_address("192.0.2.20")).data) < 8192
    after.now = world.now
    after.register("192.0.2.20", "u99", good=True)
    office = parse_address("192.0.2.20")
    assert after.engine._tenants.count(office, after.now) == 64
    assert not after.engine._tenants.alone(office, "u99", after.now)


def _restarted(world: World) -> World:
    """Another controller, given what was kept of everything."""
    after = World()
    after.now = world.now
    for old, new in zip(world.engine.memory.tables(), after.engine.memory.tables(), strict=True):
        old.change_all()
        assert new.load([old.row(key) for key in old.take(1000)], after.now) == 0
        for key, record in old.items():
            assert new.row(key) == old.row(key), record
    return after


def test_a_scan_of_one_failure_in_30_hours_is_convicted_over_restarts() -> None:
    world = World()
    for number in range(4):
        assert not world.verdicts
        world = _restarted(world)
        world.ask("203.0.113.66", "REGISTER", f"u{number}", 404)
        world.now += 30 * 3600
    assert [verdict.detector for verdict in world.verdicts] == ["enumeration"]
    assert "4 users that do not exist" in world.verdicts[0].reason


def test_a_guess_a_day_is_convicted_over_restarts() -> None:
    world = World()
    for number in range(5):
        assert not world.verdicts
        world = _restarted(world)
        world.register("203.0.113.66", f"u{number % 3}", good=False)
        world.now += 86400
    assert world.blocked() == {"203.0.113.66"}
    assert "5 rejected credentials for 3 users" in world.verdicts[0].reason


def test_a_person_who_knows_his_password_after_all_leaves_nothing_behind() -> None:
    world = World()
    for _ in range(3):
        world.register("192.0.2.20", "1001", good=False)
    world.register("192.0.2.20", "1001", good=True)
    (table,) = (t for t in world.engine.memory.tables() if t.kind.name == "guesses")
    assert not len(table)


@pytest.mark.parametrize("data", ["1" + "0" * 400, "-1e400", "NaN", "1e400", "[]", "{}", '"x"'])
def test_records_of_hostile_numbers_are_refused(data: str) -> None:
    """In every place of every kind of record."""
    memory = Engine(DetectSettings(), Sides([])).memory
    TestNumbers(NumberSettings(), credit.Credit(memory), memory)
    Stories(memory)
    story = (
        '{{"first_seen":{0},"messages":{0},"requests":{{"a":{0}}},"answers":{0},"users":{0},'
        '"user_agents":{0},"findings":[{{"time":{0}}}],"decisions":{0}}}'
    )
    shapes = [
        "{0}", "[{0}]", "[[{0},{0}]]", '[["u",{0}]]', "[{0},{0},{0},{0},{0}]", story,
        "[{0},false,[[{0},{0},{0},{0},{0}]],[{0}],[{0}]]", '[["k",{0},{0},[{0}],[{0}]]]',
        "[{0},{0},{0},{0},{0},{0},{{}},[]]", '[1,1,1,{0},1,1,{{"a":{0}}},[[{0},"d","r"]]]',
    ]  # fmt: skip
    for table in memory.tables():
        rows = [
            Row(key, NOW, shape.format(data))
            for key in ("203.0.113.7", "00112233", "dial-1")
            for shape in shapes
        ]
        table.load(rows, NOW)
        for key, _ in list(table.items()):
            json.loads(table.row(key).data or "null")
