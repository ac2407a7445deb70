"""Scans spread over many sources and many days: convicted together; and nobody honest."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.block import TCP, UDP, Action, parse_address
from sdnblock.detect.asked import Asked
from sdnblock.detect.distributed import NAME, DistributedSettings
from sdnblock.detect.families import Families
from sdnblock.detect.fingerprint import dial_tail, fingerprint, shape
from sdnblock.detect.kept import Memory
from sdnblock.detect.registry import DetectSettings
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.grade import Grade
from sdnblock.evidence.sip import parse_message
from tests.sip_world import SERVER, World

HOUR, DAY = 3600.0, 86400.0
PHONE = "Yealink SIP-T46S 66.84.0.15"


def bot(number: int) -> str:
    return f"203.0.{113 + number // 200}.{number % 200 + 1}"


def home(number: int) -> str:
    return f"192.0.{number // 200}.{number % 200 + 1}"


def by_name(world: World) -> set[str]:
    """Sources that this detector convicted."""
    return {str(v.target) for v in world.verdicts if v.detector == NAME}


def scan(world: World, sources: int, each: int, status: int = 404, method: str = "REGISTER",
         wait: float = 60.0, **more: object) -> None:  # fmt: skip
    """``each`` questions of every source, one after the other, all about different users."""
    user = 1000
    for _ in range(each):
        for source in range(sources):
            user += 1
            world.ask(bot(source), method, str(user), status, agent="PBX", **more)
            world.now += wait


# --- guilty -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "INVITE", "SUBSCRIBE"])
def test_a_scan_of_many_sources_two_questions_each(method: str) -> None:
    world = World()
    scan(world, 40, 2, method=method)
    assert by_name(world) == {bot(number) for number in range(40)}
    assert {v.detector for v in world.verdicts} == {NAME}  # each is below every other threshold
    first = world.verdicts[0]
    assert first.grade is Grade.SPOOFABLE and first.seconds == 600
    assert "6 sources with one fingerprint (User-Agent 'PBX'" in first.reason
    assert first.reason.endswith("this one for 2")


def test_it_is_convicted_by_the_sixth_suspect() -> None:
    world = World()
    for source in range(6):
        assert not world.verdicts
        for user in range(2):
            world.ask(bot(source), "OPTIONS", f"u{source}{user}", 404, agent="PBX")
    assert len(by_name(world)) == 6


def test_a_scan_over_days_with_hours_between() -> None:
    world = World()
    scan(world, 12, 2, wait=2 * HOUR)  # two days
    # Those that were seen within the hour, and the others when they come again.
    early = by_name(world)
    for source in range(12):
        world.ask(bot(source), "REGISTER", f"again{source}", 404, agent="PBX")
    assert by_name(world) == {bot(number) for number in range(12)} > early


def test_after_the_memory_has_passed_nothing_is_left() -> None:
    world = World()
    scan(world, 5, 2, wait=1)
    world.now += 8 * DAY
    world.ask(bot(9), "REGISTER", "a", 404, agent="PBX")
    world.ask(bot(9), "REGISTER", "b", 404, agent="PBX")
    assert not world.verdicts


def test_proven_failures_drop_on_the_ladder() -> None:
    world = World()
    scan(world, 10, 2, protocol=TCP)
    assert {v.grade for v in world.verdicts} == {Grade.PROVEN}
    world.now += 700
    for source in range(10):
        world.ask(bot(source), "REGISTER", f"more{source}", 404, agent="PBX", protocol=TCP)
    assert world.verdicts[-1].seconds == 3600


def test_challenges_that_nobody_answers() -> None:
    """A server that says 401 to everybody, existing or not: seven questions of each source."""
    world = World()
    scan(world, 300, 7, status=401, wait=2.0)
    world.now += 60
    world.tick()
    assert len(by_name(world)) == 300


def test_challenges_that_are_only_seen_in_part_are_nobodys_fault() -> None:
    world = World()
    world.sampled = True
    scan(world, 300, 7, status=401, wait=2.0)
    world.now += 60
    world.tick()
    assert not world.verdicts


def test_guessed_passwords_of_many_users_from_many_sources() -> None:
    world = World()
    for number in range(20):
        for user in range(2):
            world.register(bot(number), f"{number}{user}", good=False)
            world.now += 30
    assert by_name(world) == {bot(number) for number in range(20)}
    assert {v.grade for v in world.verdicts} == {Grade.PROVEN}


def test_a_hunt_for_the_dial_prefix_from_many_sources_one_call_each() -> None:
    world = World()
    prefixes = ["00", "900", "011", "9011", "+", "0011", "99900", "810"]
    for number, prefix in enumerate(prefixes):
        # Another tool each time: it is the number that betrays them.
        world.ask(bot(number), "INVITE", f"{prefix}442079460000", 404, agent=f"tool{number}")
        world.now += 600
    assert by_name(world) == {bot(number) for number in range(len(prefixes))}
    assert "numbers that end in 079460000" in world.verdicts[0].reason


def test_an_ipv6_site_is_one_source() -> None:
    world = World()
    for number in range(50):
        world.ask(f"2001:db8::{number:x}", "OPTIONS", f"u{number}", 404, agent="PBX")
        world.ask(f"2001:db8::{number:x}", "OPTIONS", f"v{number}", 404, agent="PBX")
    assert not by_name(world)  # one source; the walk convicts it


def test_memory_outlives_a_restart() -> None:
    before, after = World(), World()
    scan(before, 5, 2, wait=1)
    assert not before.verdicts
    after.now = before.now
    for old, new in zip(before.engine.memory.tables(), after.engine.memory.tables(), strict=True):
        assert new.load([old.row(key) for key in old.take(1000)], after.now) == 0
    for user in range(2):
        after.ask(bot(5), "REGISTER", f"u{user}", 404, agent="PBX")
    assert by_name(after) == {bot(number) for number in range(6)}


def test_memory_outlives_new_settings() -> None:
    world = World()
    scan(world, 5, 2, wait=1)
    world.engine.configure(DetectSettings.with_(DistributedSettings(sources=5, users=10)))
    world.ask(bot(4), "REGISTER", "onemore", 404, agent="PBX")
    assert len(by_name(world)) == 5


# --- honest -----------------------------------------------------------------------------------


def test_phones_of_one_model_all_over_the_country() -> None:
    """Registering, mistyping, dialling wrong numbers, subscribing to what does not exist."""
    world = World()
    dice = random.Random(7)
    for day in range(3):
        for number in range(400):
            user = f"{2000 + number}"
            if dice.random() < 0.05:
                world.register(home(number), user, good=False)
            world.register(home(number), user, good=True)
            for wrong in range(dice.choice((0, 0, 1, 3))):
                world.ask(home(number), "INVITE", f"0{day}{number}{wrong}", 404, agent=PHONE,
                          who=user)  # fmt: skip
            world.ask(home(number), "SUBSCRIBE", "blf-gone", 404, agent=PHONE, who=user)
        world.now += DAY / 2
    assert not world.verdicts


def test_phones_whose_accounts_were_closed() -> None:
    """Each asks for its own user again and again, for days."""
    world = World()
    for _ in range(30):
        for number in range(100):
            world.ask(home(number), "REGISTER", f"{2000 + number}", 404, agent=PHONE)
        world.now += HOUR
    assert not world.verdicts


def test_phones_with_wrong_passwords_after_a_migration() -> None:
    world = World()
    for _ in range(4):  # below what convicts their flows
        for number in range(100):
            world.register(home(number), f"{2000 + number}", good=False)
        world.now += HOUR
    assert not world.verdicts


def test_monitors_of_one_make_from_many_places() -> None:
    world = World()
    for _ in range(60):
        for probe in range(20):
            world.ask(home(probe), "OPTIONS", "monitor", 404, agent="uptime/1.0")
            world.ask(home(probe), "OPTIONS", "ping", 200, agent="uptime/1.0")
            world.ask(home(probe), "REGISTER", "monitor", 401, agent="uptime/1.0")
        world.now += 60
    world.now += 60
    world.tick()
    assert not world.verdicts


def test_keepalives_without_a_user() -> None:
    world = World()
    for number in range(500):
        call, cseq = world.request(home(number % 50), "OPTIONS", "", agent="gw")
        world.response(home(number % 50), 404, call, cseq, "OPTIONS")
        world.now += 5
    assert not world.verdicts


def test_trunks_of_one_make_that_dial_many_wrong_numbers() -> None:
    world = World()
    for trunk in range(20):
        world.register(home(trunk), f"trunk{trunk}", good=True)
    for call in range(1500):
        trunk = call % 20
        wrong = call % 20 == 7 or call % 7 == 0
        world.ask(home(trunk), "INVITE", f"+4420{call:07}", 404 if wrong else 200, agent="SBC")
        world.now += 5
    assert not by_name(world)


@pytest.mark.parametrize("protocol", [UDP, TCP])
def test_trunks_that_are_known_by_their_address_on_the_first_day(protocol: int) -> None:
    """No credential, no credit yet, one make, and the first calls are wrong numbers."""
    world = World()
    for call in range(600):
        trunk = call % 20
        status = 404 if call < 20 or call % 6 == 0 else 200
        world.ask(home(trunk), "INVITE", f"+4420{call:07}", status, agent="SBC", protocol=protocol)
        world.now += 20
    assert not by_name(world)


def test_a_power_cut_and_200_phones_behind_each_of_ten_addresses() -> None:
    world = World()
    for _ in range(2):
        for office in range(10):
            for phone in range(200):
                world.register(home(office), f"{office}-{phone}", good=True, port=20000 + phone)
        world.now += HOUR
    assert not world.verdicts


def test_offices_that_answer_late_are_no_suspects() -> None:
    """All challenges first; the answers come after half a minute, with the credential."""
    world = World()
    for office in range(10):
        calls = []
        for phone in range(20):
            call, _ = world.request(home(office), "REGISTER", f"{office}-{phone}", agent=PHONE)
            world.response(home(office), 401, call, 1, "REGISTER", nonce=f"n{office}{phone}")
            calls.append((call, f"n{office}{phone}", f"{office}-{phone}"))
        world.now += 30
        for call, nonce, user in calls:
            world.request(home(office), "REGISTER", user, call=call, cseq=2, nonce=nonce)
            world.response(home(office), 200, call, 2, "REGISTER")
    world.now += 100
    world.tick()
    assert not world.verdicts


def test_a_fingerprint_with_success_elsewhere_is_acquitted() -> None:
    world = World()
    for number in range(30):
        world.register(home(number), f"{2000 + number}", good=True)
    # The same phone at ten places where nothing works yet: two lines each, both unknown.
    for number in range(100, 110):
        for line in range(2):
            world.ask(home(number), "REGISTER", f"{number}{line}", 404, agent="Phone/1.0")
    assert not world.verdicts


def test_forged_failures_of_customers_cost_them_nothing() -> None:
    world = World()
    for number in range(50):
        world.register(home(number), f"{2000 + number}", good=True)
    for user in range(4):
        for number in range(50):
            world.ask(home(number), "OPTIONS", f"x{number}{user}", 404, agent="PBX")
    assert not by_name(world)


def test_who_turns_out_to_be_a_customer_is_no_suspect() -> None:
    world = World()
    for number in range(5):
        for user in range(2):
            world.ask(bot(number), "REGISTER", f"{number}{user}", 404, agent="PBX")
    world.ask(home(1), "REGISTER", "oops", 404, agent="PBX")
    world.register(home(1), "right", good=True)
    world.now += 2 * DAY  # its credit has ended; what was before is forgotten all the same
    world.ask(home(1), "REGISTER", "oops3", 404, agent="PBX")
    assert not by_name(world)
    world.ask(home(1), "REGISTER", "oops4", 404, agent="PBX")
    assert home(1) in by_name(world)  # and with this it is the sixth


# --- fingerprints ----------------------------------------------------------------------------


def _asked(text: str, source: str = "203.0.113.9") -> Asked:
    message = parse_message(text.encode())
    assert message is not None
    return Asked(SipSeen(0, 17, parse_address(source), 5060, SERVER, 5060, message, "t"), None, ())


_SVMAP = (
    "OPTIONS sip:{user}@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {source}:5274;branch=z9hG4bK-97887{n}\r\n"
    'From: "x"<sip:100@1.1.1.1>;tag=383366333030303131336334013{n}3938\r\n'
    'To: "x"<sip:100@1.1.1.1>\r\nCall-ID: 13606158826820{n}605358974\r\nCSeq: 1 OPTIONS\r\n'
    "User-Agent: {agent}\r\n\r\n"
)


def test_the_same_tool_elsewhere_has_the_same_fingerprint_and_another_has_not() -> None:
    keys = {
        fingerprint(
            _asked(
                _SVMAP.format(user=100, to=f"198.51.100.{n}", source=bot(n), n=n * 7919, agent="a"),
                bot(n),
            )
        ).key
        for n in range(1, 50)
    }
    assert len(keys) == 1
    other = _SVMAP.format(user=100, to="198.51.100.1", source=bot(1), n=5, agent="b")
    assert fingerprint(_asked(other)).key not in keys


@given(st.text(max_size=300), st.sampled_from([4, 16]))
def test_a_shape_of_anything_is_short(text: str, size: int) -> None:
    assert len(shape(text, bytes(size))) <= 32


@given(st.binary(max_size=400))
def test_a_fingerprint_of_anything(data: bytes) -> None:
    text = b"REGISTER sip:x SIP/2.0\r\nFrom: " + data.replace(b"\r\n\r\n", b"") + b"\r\n\r\n"
    message = parse_message(text)
    if message is None:
        return
    event = SipSeen(0, 17, parse_address("203.0.113.9"), 5060, SERVER, 5060, message, "t")
    found = fingerprint(Asked(event, None, ()))
    assert len(found.key) == 16 and found.label.isascii() and found.label.isprintable()
    assert len(found.label) < 300


@pytest.mark.parametrize(
    ("number", "key"),
    [
        ("+442079460000", "dial-079460000"),
        ("9011442079460000", "dial-079460000"),
        ("2079460000", None),
    ],
)
def test_the_tail_of_a_number(number: str, key: str | None) -> None:
    found = dial_tail(number)
    assert (found.key if found else None) == key


def test_a_flood_of_forged_sources_and_tools_is_bounded() -> None:
    families = Families(Memory(), DAY)
    for number in range(60_000):
        address = (0x0A000000 + number).to_bytes(4, "big")
        families.failed(f"{number % 20_000:016x}", address, number, float(number), False)
    assert len(families._families) <= 10_000
    assert families._references == sum(len(f.members) for f in families._families.values())


def test_the_action_against_a_spoofable_suspect_is_a_short_drop() -> None:
    world = World()
    scan(world, 10, 2)
    assert {(v.action, v.seconds) for v in world.verdicts} == {(Action.DROP, 600.0)}
