"""Detector fraud: each measure, both levels, who is blocked for it, calls that end unheard."""

from __future__ import annotations

import calendar
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.block import UDP, Action, Flow, parse_address, parse_prefix
from sdnblock.config import parse_config
from sdnblock.detect.engine import Engine
from sdnblock.detect.fraud.detector import FraudSettings
from sdnblock.detect.fraud.profiles import Measure, Profile, Profiles, dialled
from sdnblock.detect.fraud.schedule import Hours, moment, parse_days, parse_hours
from sdnblock.detect.fraud.statistics import Statistics
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.sides import Sides
from sdnblock.errors import ConfigError, TargetError
from sdnblock.evidence.grade import Grade
from tests.sip_world import SERVER, World, tag_for

CALLER, THIEF = "192.0.2.10", "203.0.113.66"
NOON = calendar.timegm((2026, 3, 4, 12, 0, 0))  # a Wednesday


def world(**levels: object) -> World:
    profile = Profile(name="abroad", prefixes=("00",), **levels)  # type: ignore[arg-type]
    return with_profiles(profile)


def with_profiles(*profiles: Profile, silence: float = 7200.0) -> World:
    settings = DetectSettings.with_(FraudSettings(utc=True, silence=silence, profile=profiles))
    return World(Engine(settings, Sides([parse_prefix("198.51.100.0/24")])), now=float(NOON))


def dial(
    it: World, source: str, user: str, number: str, *, port: int = 5060, status: int = 200,
    nonce: bool = True, ack: bool = True, headers: str = "",
) -> str:  # fmt: skip
    """A call to ``number``: challenged, answered, acknowledged; returns its Call-ID."""
    call = f"{user}-{it.now}@{source}"
    cseq, given = 1, ""
    if nonce:
        given = f"nonce{it.now}"
        it.request(source, "INVITE", number, port=port, call=call)
        it.response(source, 407, call, 1, "INVITE", port=port, nonce=given)
        cseq = 2
    it.request(source, "INVITE", number, port=port, call=call, cseq=cseq, nonce=given, who=user)
    it.response(source, 180 if status == 200 else 183, call, cseq, "INVITE", port=port)
    it.response(source, status, call, cseq, "INVITE", port=port, headers=headers)
    if ack:
        it.request(source, "ACK", number, port=port, call=call, cseq=cseq, to_tag=tag_for(call))
    return call


def hang_up(it: World, source: str, call: str, *, port: int = 5060, status: int = 200) -> None:
    it.request(source, "BYE", "x", port=port, call=call, cseq=9, to_tag=tag_for(call))
    it.response(source, status, call, 9, "BYE", port=port)


def test_calls_per_minute() -> None:
    it = world(cpm_warning=3, cpm_critical=5)
    for _ in range(2):
        hang_up(it, CALLER, dial(it, CALLER, "1001", "0044123"))
    assert not it.reports
    hang_up(it, CALLER, dial(it, CALLER, "1001", "0044123"))
    (report,) = it.reports
    assert "warning: 3 calls within a minute by user '1001'" in report.reason
    assert "begin with 00 (level 3 of profile 'abroad'; last '0044123')" in report.reason
    hang_up(it, CALLER, dial(it, CALLER, "1001", "0044123"))
    assert not it.verdicts and len(it.reports) == 1, "told once"
    dial(it, CALLER, "1001", "0044123", port=5066)
    (verdict,) = it.verdicts
    assert (verdict.grade, verdict.action) == (Grade.PROVEN, Action.DROP)
    assert verdict.target == Flow(UDP, parse_address(CALLER), 5066, SERVER, 5060)
    assert verdict.reason.startswith("5 calls within a minute")


def test_a_minute_slides() -> None:
    it = world(cpm_critical=5)
    for _ in range(40):
        hang_up(it, CALLER, dial(it, CALLER, "1001", "0044123"))
        it.now += 15.1
    assert not it.verdicts


def test_total_calls_begin_again_each_day() -> None:
    it = world(total_calls_critical=30)
    for _ in range(2):
        for _ in range(29):
            hang_up(it, CALLER, dial(it, CALLER, "1001", "0044123"))
        it.now += 86400
    assert not it.verdicts
    for _ in range(30):
        hang_up(it, CALLER, dial(it, CALLER, "1001", "0044123"))
    assert "30 calls today" in it.verdicts[0].reason


def test_sequential_calls_are_to_one_number_without_another_between() -> None:
    it = world(sequential_calls_critical=4)
    for number in ("0041", "0041", "0041", "0042", "0041", "0041", "0041", "00(4-1)"):
        assert not it.verdicts
        hang_up(it, CALLER, dial(it, CALLER, "1001", number))
    assert "4 calls to one number after another" in it.verdicts[0].reason


def test_calls_at_once_and_each_end_that_there_is() -> None:
    it = world(concurrent_calls_critical=3)
    for _ in range(10):
        one, two = (dial(it, CALLER, "1001", f"00{n}") for n in range(2))
        hang_up(it, CALLER, one)  # his BYE
        it.answer(
            CALLER,
            5060,
            f"BYE sip:1001@{CALLER} SIP/2.0\r\nTo: <sip:a@b>;tag=f\r\n"
            f"From: <sip:x@b>;tag={tag_for(two)}\r\nCall-ID: {two}\r\nCSeq: 1 BYE\r\n\r\n",
        )  # ours
        for status in (404, 486, 487, 603):
            dial(it, CALLER, "1001", "003", status=status)
    assert not it.verdicts
    for number in range(3):
        assert not it.verdicts
        dial(it, CALLER, "1001", f"00{number}")
    assert "3 calls at once" in it.verdicts[0].reason


def test_a_missed_bye_is_made_up_for_by_silence() -> None:
    it = world(concurrent_calls_critical=3)
    for _ in range(20):
        dial(it, CALLER, "1001", "0044")  # and no BYE is ever seen
        it.now += 3700
    assert not it.verdicts


def test_a_session_timer_tells_sooner() -> None:
    it = world(concurrent_calls_critical=3)
    for _ in range(20):
        dial(it, CALLER, "1001", "0044", headers="Session-Expires: 600;refresher=uac\r\n")
        it.now += 350
    assert not it.verdicts


def test_a_refreshed_call_goes_on() -> None:
    it = world(concurrent_calls_critical=3)
    calls = [dial(it, CALLER, "1001", "0044", headers="x: 600\r\n") for _ in range(2)]
    for number in range(20):
        it.now += 500
        for call in calls:
            it.request(CALLER, "UPDATE", "x", call=call, cseq=20 + number, to_tag=tag_for(call))
    assert not it.verdicts
    dial(it, CALLER, "1001", "0044")
    assert it.verdicts


def test_a_bye_that_ends_nothing_lowers_no_count() -> None:
    it = world(concurrent_calls_critical=3)
    for number in range(3):
        assert not it.verdicts
        call = dial(it, CALLER, "1001", f"00{number}")
        it.request(CALLER, "BYE", "x", call=call, cseq=9, to_tag="guessed")
        it.response(CALLER, 481, call, 9, "BYE")
        hang_up(it, CALLER, call, status=500)
    assert it.verdicts


def test_duration_by_the_bye_and_by_a_sign_of_life() -> None:
    it = world(call_duration_warning=60, call_duration_critical=600)
    call = dial(it, CALLER, "1001", "0044")
    it.now += 59
    hang_up(it, CALLER, call)
    assert not it.reports
    call = dial(it, CALLER, "1001", "0044")
    it.now += 120
    hang_up(it, CALLER, call)
    assert "120 seconds of one call" in it.reports[0].reason
    call = dial(it, CALLER, "1001", "0044")
    it.now += 700
    assert not it.verdicts
    it.request(CALLER, "INVITE", "x", call=call, cseq=20, to_tag=tag_for(call))
    assert "700 seconds of one call" in it.verdicts[0].reason


def test_how_long_an_unheard_call_lasted_is_not_guessed() -> None:
    it = world(call_duration_critical=600)
    dial(it, CALLER, "1001", "0044")
    it.now += 86400
    it.register(CALLER, "1001", good=True)
    assert not it.verdicts


def test_stolen_credentials_are_counted_wherever_they_call_from() -> None:
    it = world(cpm_critical=5)
    for number in range(5):
        assert not it.verdicts
        dial(it, f"203.0.113.{number}", "1001", "0088")
    assert it.blocked() == {"udp:203.0.113.4:5060>198.51.100.10:5060"}


def test_a_thief_who_changes_ports_loses_his_address_and_an_office_does_not() -> None:
    it = world(cpm_critical=2)
    for user in ("1001", "1002"):
        it.register(CALLER, user, good=True)
    for number in range(8):
        dial(it, CALLER, "1001", "0088", port=6000 + number)
        dial(it, THIEF, "1001", "0088", port=6000 + number)
    assert THIEF in it.blocked()
    assert CALLER not in it.blocked()
    assert f"udp:{CALLER}:6007>198.51.100.10:5060" in it.blocked()
    thief = next(verdict for verdict in it.verdicts if str(verdict.target) == THIEF)
    assert thief.action is Action.DROP


def test_a_from_user_can_be_anybodys() -> None:
    it = world(cpm_critical=5)
    it.register(CALLER, "1001", good=True)
    for _ in range(20):
        dial(it, THIEF, "1001", "0088", nonce=False)
    assert it.blocked() == {f"udp:{THIEF}:5060>198.51.100.10:5060"}
    assert {verdict.grade for verdict in it.verdicts} == {Grade.PROVEN}, "by their ACKs"
    assert "by From user '1001'" in it.verdicts[0].reason
    dial(it, CALLER, "1001", "0088")
    assert all(verdict.source != parse_address(CALLER) for verdict in it.verdicts)


def test_forged_calls_in_the_name_of_a_customer_do_not_block_him() -> None:
    it = world(cpm_critical=5)
    it.register(CALLER, "1001", good=True)
    for _ in range(20):
        dial(it, CALLER, "1001", "0088", nonce=False, ack=False)
    assert not it.verdicts, "nobody took those calls"
    for _ in range(20):
        dial(it, CALLER, "1001", "0088", nonce=False, ack=False, status=404)
    assert {verdict.action for verdict in it.verdicts} == {Action.WATCH}


def test_challenges_and_rejections_are_no_calls() -> None:
    it = world(cpm_critical=1)
    for status in (401, 403, 407):
        call = f"c{status}"
        it.request(CALLER, "INVITE", "0044", call=call)
        it.response(CALLER, 100, call, 1, "INVITE")
        it.response(CALLER, status, call, 1, "INVITE")
    assert not it.verdicts


def test_retransmissions_and_forks_are_one_call() -> None:
    it = world(cpm_critical=2)
    call = dial(it, CALLER, "1001", "0044")
    for _ in range(2):
        it.response(CALLER, 183, call, 2, "INVITE")
        it.response(CALLER, 200, call, 2, "INVITE")
    assert not it.verdicts


def test_an_invite_refused_while_another_of_its_call_goes_on_ends_nothing() -> None:
    it = world(concurrent_calls_warning=2)
    call, _ = it.request(CALLER, "INVITE", "0044123", call="a")
    it.request(CALLER, "INVITE", "0044123", call="a", cseq=2)
    it.response(CALLER, 180, call, 1, "INVITE")
    it.response(CALLER, 407, call, 2, "INVITE", nonce="n")
    dial(it, CALLER, "0044123", "0044124", nonce=False)
    assert it.reports, "both go on"


def test_an_invite_refused_after_it_rang_ends_its_call() -> None:
    it = world(concurrent_calls_warning=2)
    call, _ = it.request(CALLER, "INVITE", "0044123", call="a")
    it.response(CALLER, 180, call, 1, "INVITE")
    it.response(CALLER, 403, call, 1, "INVITE")
    dial(it, CALLER, "0044123", "0044124", nonce=False)
    assert not it.reports


def test_the_action_can_be_weaker() -> None:
    settings = FraudSettings(
        utc=True, action=Action.WATCH, profile=(Profile(prefixes=("",), cpm_critical=1),)
    )
    it = World(Engine(DetectSettings.with_(settings), Sides([parse_prefix("198.51.100.0/24")])))
    dial(it, CALLER, "1001", "7")
    assert it.verdicts[0].action is Action.WATCH


def test_the_longest_prefix_the_user_and_the_time_choose_the_profile() -> None:
    any_, abroad = Profile(name="any"), Profile(name="abroad", prefixes=("00", "+"))
    night = Profile(name="night", prefixes=("00",), hours=parse_hours("18:00-08:00"))
    trunk = Profile(name="trunk", prefixes=("0088",), users=("trunk-*",))
    profiles = Profiles((any_, night, abroad, trunk))
    noon, evening = moment(NOON, True), moment(NOON + 7 * 3600, True)
    for user, number, when, expected in (
        ("1001", "44", noon, ("", any_)),
        ("1001", "0044", noon, ("00", abroad)),
        ("1001", "+44", noon, ("+", abroad)),
        ("1001", "0044", evening, ("00", night)),
        ("1001", "00881", noon, ("00", abroad)),
        ("trunk-7", "00881", evening, ("0088", trunk)),
    ):
        assert profiles.find(user, number, when) == expected
    assert Profiles((abroad,)).find("1001", "44", noon) is None


def test_hours_and_days() -> None:
    assert [minute in parse_hours("18:00-08:00") for minute in (0, 479, 480, 1079, 1080)] == [
        *(True, True, False, False, True)
    ]
    assert [minute in parse_hours("09:30-17:00") for minute in (569, 570, 1019, 1020)] == [
        *(False, True, True, False)
    ]
    assert 1439 in parse_hours("00:00-24:00") and 0 in Hours()
    assert parse_days("Fri-Mon, wed") == {4, 5, 6, 0, 2}
    assert parse_days("") == set(range(7))
    for text in ("8-18", "25:00-26:00", "08:60-09:00", "08:00-08:00"):
        with pytest.raises(TargetError):
            parse_hours(text)
    for text in ("Funday", "Mon-", "Mon-Fri-Sun", ","):
        with pytest.raises(TargetError):
            parse_days(text)


def test_the_configuration() -> None:
    text = """
    [detect.fraud]
    silence = "1h"
    [[detect.fraud.profile]]
    name = "premium"
    prefixes = ["0900", "+1 (900)"]
    hours = "18:00-08:00"
    days = "Sat-Sun"
    cpm_critical = 3
    """
    settings = parse_config(tomllib.loads(text), None).detect.of(FraudSettings)
    (profile,) = settings.profile
    assert profile.prefixes == ("0900", "+1900")
    assert (sorted(profile.days), 0 in profile.hours) == ([5, 6], True)
    assert profile.levels(Measure.CPM) == (0, 3)
    assert settings.silence == 3600
    for wrong in ('prefixes = ["abc"]', 'hours = "x"', 'days = "x"', "cpm_critical = -1"):
        with pytest.raises(ConfigError):
            parse_config(tomllib.loads(f"[[detect.fraud.profile]]\n{wrong}"), None)


def test_the_default_profile_only_warns() -> None:
    (profile,) = FraudSettings().profile
    assert all(profile.levels(measure)[1] == 0 for measure in Measure)
    assert profile.levels(Measure.CPM)[0] > 0


def test_numbers_lose_what_pleases_the_eye() -> None:
    assert dialled("+44-(20) 123.4;phone-context=x") == "+44201234"


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 90), st.integers(0, 3))))
def test_counts_are_what_they_should_be(steps: list[tuple[bool, float, int]]) -> None:
    statistics, now, begun, running, numbers = Statistics(), 1000.0, [], 0, []
    for begins, wait, number in steps:
        now += wait
        if begins:
            statistics.begin(now, (2026, 1), str(number))
            begun.append(now)
            numbers.append(number)
            running += 1
        elif running:
            statistics.end()
            running -= 1
        values = statistics.values(now)
        assert values[Measure.CONCURRENT] == running
        assert values[Measure.TOTAL] == len(begun)
        low = sum(now - at < 59 for at in begun)
        assert low <= values[Measure.CPM] <= sum(now - at <= 60 for at in begun)
        run = 0
        while run < len(numbers) and numbers[-1 - run] == numbers[-1]:
            run += 1
        assert values[Measure.SEQUENTIAL] == run
