"""Detector flood: rates by method and source, crowds that are forged, customers that are framed."""

from __future__ import annotations

import pytest

from sdnblock.block import TCP, Action, Source, parse_address
from sdnblock.detect.flood.spoofing import BURST, Spoofing
from sdnblock.evidence.events import OutcomeCrossed, RateCrossed
from sdnblock.evidence.grade import Grade
from tests.sip_world import World, source

FLOODER, OFFICE = "203.0.113.66", "192.0.2.10"


def crossed(it: World, address: str, kind: str = "rate") -> None:
    """A switch's evidence about a source."""
    event = (
        RateCrossed("edge1", source(address), 60, 1.0, 1, it.now)
        if kind == "rate"
        else OutcomeCrossed("edge1", source(address), 256, Action.LIMIT, 60.0, it.now)
    )
    it.see(event)


def forged(number: int) -> str:
    """An address that nobody has been seen from."""
    return f"11.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@pytest.mark.parametrize(
    ("method", "level"),
    [("INVITE", 300), ("REGISTER", 300), ("OPTIONS", 300), ("SUBSCRIBE", 600), ("MESSAGE", 300),
     ("PUBLISH", 600)],
)  # fmt: skip
def test_rates_of_each_method(method: str, level: int) -> None:
    it = World()
    for number in range(level - 1):
        it.request(FLOODER, method, "1001", cseq=number)
    assert not it.verdicts
    it.request(FLOODER, method, "1001", cseq=level)
    (verdict,) = it.verdicts
    assert (verdict.detector, verdict.action, verdict.grade) == (
        *("flood", Action.LIMIT),
        Grade.SPOOFABLE,
    )
    assert f"{level} new {method} requests within" in verdict.reason


def test_one_packet_a_million_times() -> None:
    it = World()
    for _ in range(8 * 600):
        it.request(FLOODER, "INVITE", "1001", call="always", branch="z9hG4bKsame")
    assert "4800 messages within" in it.verdicts[0].reason


def test_what_is_slow_enough_is_no_flood() -> None:
    it = World()
    for number in range(3000):
        it.request(FLOODER, "OPTIONS", "1001", cseq=number)
        it.now += 0.04
    assert not it.verdicts


def test_an_office_may_send_as_much_as_its_phones() -> None:
    it = World()
    for phone in range(20):
        for number in range(200):
            it.request(OFFICE, "SUBSCRIBE", f"u{number}", port=2000 + phone, cseq=number)
    assert not it.verdicts


def test_who_answers_challenges_waits_for_them_and_floods_nobody() -> None:
    it = World()
    for _ in range(400):
        it.register(OFFICE, "1001", good=False, stale=True, wait=0.001)
    assert not it.verdicts


def test_a_customer_that_floods_is_reported_and_not_blocked() -> None:
    it = World()
    it.register(OFFICE, "1001", good=True)
    for number in range(400):
        it.request(OFFICE, "OPTIONS", "1001", cseq=number, protocol=TCP, established=True)
    assert not it.verdicts
    assert "it has credit, so nobody is blocked" in it.reports[0].reason


# --- forged sources --------------------------------------------------------------------------


def test_a_crowd_that_never_answers_is_forged_and_nobody_is_convicted() -> None:
    it = World()
    for number in range(1200):
        call, _ = it.request(forged(number), "REGISTER", "1001")
        it.response(forged(number), 401, call, 1, "REGISTER", nonce=f"n{number}")
        it.now += 0.02
    assert not it.verdicts
    (report,) = it.reports
    assert report.source == parse_address("198.51.100.10"), "ours: it is about no one source"
    assert "spoofed flood: " in report.reason and "REGISTER 100 %" in report.reason
    assert "none of them ever answered; 100 % look the same" in report.reason
    assert "RFC 2827" in report.reason


def test_the_alarm_is_repeated_while_it_goes_on_but_not_often() -> None:
    it = World()
    for minute in range(25):
        for number in range(220):
            it.request(forged(minute * 1000 + number), "OPTIONS", "1001")
        for _ in range(60):
            it.now += 1
            it.tick()
    assert len(it.reports) == 3


def test_a_thousand_sites_after_an_outage_are_no_flood() -> None:
    """All at once, each with a few requests; but they answer."""
    it = World()
    calls = []
    for number in range(1000):
        address = forged(number)
        call, _ = it.request(address, "REGISTER", f"u{number}")
        it.response(address, 401, call, 1, "REGISTER", nonce=f"n{number}")
        calls.append((address, call, f"u{number}", f"n{number}"))
    for address, call, user, nonce in calls:
        it.request(address, "REGISTER", user, call=call, cseq=2, nonce=nonce)
        it.response(address, 200, call, 2, "REGISTER")
    it.now += 20
    it.tick()
    assert not it.reports and not it.verdicts


def test_peers_that_only_send_keepalives_are_no_flood() -> None:
    it = World()
    for round_ in range(60):
        for number in range(150):
            it.ask(forged(number), "OPTIONS", "ping", 200)
        it.now += 30
        if round_ == 30:
            it.reports.clear()
    assert not it.reports and not it.verdicts


def test_forged_scanners_fill_no_table() -> None:
    """A packet each, in a scanner's name, from ever new addresses: a budget of convictions, and
    then only who does it again and again."""
    it = World()
    for number in range(2_000):
        it.request(forged(number), "OPTIONS", "100", agent="friendly-scanner")
    assert len(it.blocked()) <= BURST + 5 * 3
    assert any("withheld" in report.reason for report in it.reports)
    for _ in range(4):
        it.request(FLOODER, "OPTIONS", "100", agent="friendly-scanner")
        it.now += 1.1
    assert FLOODER in it.blocked(), "a real scanner among them is still convicted"


def test_many_customers_at_once_are_framed() -> None:
    it = World()
    offices = [f"192.0.2.{number}" for number in range(1, 41)]
    for number, office in enumerate(offices):
        it.register(office, f"u{number}", good=True)
        it.now += 60
    for kind in ("rate", "outcome"):
        for office in offices:
            crossed(it, office, kind)
    assert not it.blocked()
    (report,) = it.reports
    assert "20 sources with credit flood, or are refused" in report.reason
    assert "nobody is blocked for it" in report.reason


def test_a_verdict_budget_refills() -> None:
    spoofing, now = Spoofing(), 1000.0
    targets = [Source(number.to_bytes(4, "big")) for number in range(10_000)]
    admitted = sum(spoofing.admits(target, now) for target in targets[:5000])
    assert admitted == BURST
    assert spoofing.active(now)
    now += 3600
    assert not spoofing.active(now)
    assert spoofing.admits(targets[0], now)


# --- switches' evidence ----------------------------------------------------------------------


def test_a_source_of_which_only_a_switch_knows_is_judged_on_its_word() -> None:
    it = World()
    crossed(it, FLOODER, "outcome")
    crossed(it, "203.0.113.67", "rate")
    assert [(str(each.target), each.action) for each in it.verdicts] == [
        *((FLOODER, Action.DROP), ("203.0.113.67", Action.LIMIT)),
    ]


def test_a_monitor_that_asks_for_a_missing_user_is_only_watched() -> None:
    it = World()
    for number in range(1000):
        it.ask(OFFICE, "OPTIONS", "no-such-user", 404)
        if number % 4 == 3:
            crossed(it, OFFICE, "outcome")
        it.now += 30
    assert it.verdicts and not it.blocked()
    assert "but they are about 1 users: watched" in it.verdicts[0].reason


def test_a_scanner_that_begins_as_a_monitor_is_convicted_when_it_crosses_again() -> None:
    it = World()
    for _ in range(4):
        it.ask(FLOODER, "OPTIONS", "no-such-user", 404)
    crossed(it, FLOODER, "outcome")
    it.now += 2
    it.tick()
    assert not it.blocked()
    for number in range(4):  # of which no answer is seen
        it.request(FLOODER, "OPTIONS", f"{number}")
    crossed(it, FLOODER, "outcome")
    assert FLOODER in it.blocked()


def test_an_enumeration_is_supported_by_what_was_seen() -> None:
    it = World()
    for number in range(3):
        it.ask(FLOODER, "REGISTER", str(number), 404)
    crossed(it, FLOODER, "outcome")
    (verdict,) = it.verdicts
    assert (verdict.detector, verdict.action) == ("outcome-walk", Action.DROP)


def test_a_power_cut_in_an_office_that_nobody_knows_yet() -> None:
    it = World()
    for second in range(5):
        for phone in range(60):
            it.request(OFFICE, "REGISTER", f"u{second}-{phone}", port=2000 + 60 * second + phone)
        crossed(it, OFFICE, "rate")
        it.now += 1
    assert it.verdicts and not it.blocked()
    assert "of 60 phones: watched" in it.verdicts[0].reason


def test_many_ports_excuse_a_flood_for_half_a_minute_only() -> None:
    it = World()
    for second in range(60):
        for port in range(60):
            it.request(FLOODER, "OPTIONS", "1001", port=2000 + 60 * second + port)
        crossed(it, FLOODER, "rate")
        it.now += 1
        if second == 25:
            assert not it.blocked()
    assert it.blocked() == {FLOODER}


def test_credit_lifts_what_can_be_forged_and_nothing_else() -> None:
    it = World()
    it.request(OFFICE, "OPTIONS", "100", agent="friendly-scanner")
    crossed(it, OFFICE, "rate")
    for number in range(5):
        it.register(OFFICE, str(number), good=False)
    assert {verdict.grade for verdict in it.verdicts} == {Grade.PROVEN, Grade.SPOOFABLE}
    it.register(OFFICE, "1001", good=True)
    assert {(str(lift.target), lift.detector) for lift in it.lifts} == {
        (OFFICE, "scanner"),
        (OFFICE, "request-rate"),
    }
    it.lifts.clear()
    it.register(OFFICE, "1001", good=True)
    assert not it.lifts


def test_ipv6_credit_is_that_of_the_site() -> None:
    it = World()
    it.register("2001:db8:1:2::10", "1001", good=True)
    it.request("2001:db8:1:2::66", "OPTIONS", "100", agent="friendly-scanner")
    assert {verdict.action for verdict in it.verdicts} == {Action.WATCH}
