"""Detectors: every attack convicted in time, and nobody honest."""

from __future__ import annotations

import pytest

from sdnblock.block import TCP, Action
from sdnblock.detect.past import LADDER
from sdnblock.evidence.grade import Grade
from tests.sip_world import World

ATTACKER, OFFICE = "203.0.113.66", "192.0.2.10"


def test_a_known_scanner_is_convicted_by_its_first_packet() -> None:
    world = World()
    world.request(ATTACKER, "OPTIONS", "100", agent="friendly-scanner")
    (verdict,) = world.verdicts
    assert (verdict.action, verdict.grade, verdict.seconds) == (
        Action.DROP,
        Grade.SPOOFABLE,
        600.0,
    )
    assert "friendly-scanner" in verdict.reason


@pytest.mark.parametrize(
    "agent", ["eyeBeam release 1", "Asterisk PBX 1.8", "My friendly-scanner", "", "Phone smap"]
)
def test_honest_names_convict_nobody(agent: str) -> None:
    world = World()
    world.request(ATTACKER, "OPTIONS", "100", agent=agent)
    assert not world.verdicts


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "INVITE"])
def test_enumeration_is_cut_after_four_failures(method: str) -> None:
    world = World()
    for number in range(4):
        assert not world.verdicts
        world.ask(ATTACKER, method, str(100 + number), 404)
        world.now += 60  # slowly
    (verdict,) = world.verdicts
    assert verdict.detector == "enumeration"
    assert verdict.action is Action.DROP
    assert "4 users that do not exist" in verdict.reason
    assert verdict.grade is Grade.SPOOFABLE


def test_enumeration_over_tcp_or_acknowledged_is_proven() -> None:
    world = World()
    for number in range(4):
        world.ask(ATTACKER, "REGISTER", str(number), 404, protocol=TCP)
    assert world.verdicts[0].grade is Grade.PROVEN


def test_one_wrong_number_ten_times_is_one_mistake() -> None:
    world = World()
    for _ in range(10):
        world.ask(OFFICE, "INVITE", "0800wrong", 404)
    assert not world.verdicts


@pytest.mark.parametrize("pause", [1 / 80, 30.0])
def test_password_guessing_is_cut_after_five_rejections(pause: float) -> None:
    world = World()
    for _ in range(5):
        assert not world.verdicts
        world.register(ATTACKER, "1001", good=False)
        world.now += pause
    (verdict,) = world.verdicts
    assert (verdict.detector, verdict.grade) == ("brute-force", Grade.PROVEN)
    assert "5 rejected credentials for user '1001'" in verdict.reason
    # From another port the address is convicted.
    for _ in range(5):
        world.register(ATTACKER, "1001", good=False, port=5099)
        world.now += pause
    assert ATTACKER in world.blocked()


def test_guessing_many_users_convicts_the_address_at_once() -> None:
    world = World()
    for number in range(5):
        world.register(ATTACKER, str(number), good=False)
    assert world.blocked() == {ATTACKER}
    assert world.verdicts[0].action is Action.DROP


def test_blocks_grow_on_repetition() -> None:
    world = World()
    found = []
    for _ in range(7):
        for number in range(5):
            world.register(ATTACKER, str(number), good=False)
        found.append(world.verdicts[-1].seconds)
        world.now += found[-1] + 3600  # the block has ended
    assert found == [*LADDER, LADDER[-1], LADDER[-1]]


# --- hard negatives: nobody of these may be blocked ------------------------------------------


def test_200_phones_behind_one_address_and_a_power_cut() -> None:
    world = World()
    for _ in range(3):
        nonces = []
        for phone in range(200):  # all at once: 200 challenges before the first answer
            call, _ = world.request(OFFICE, "REGISTER", f"u{phone}", port=20000 + phone)
            nonce = f"nonce{world.now}"
            world.response(OFFICE, 401, call, 1, "REGISTER", port=20000 + phone, nonce=nonce)
            nonces.append((call, nonce))
        for phone, (call, nonce) in enumerate(nonces):
            port = 20000 + phone
            world.request(OFFICE, "REGISTER", f"u{phone}", port=port, call=call, cseq=2,
                          nonce=nonce)  # fmt: skip
            world.response(OFFICE, 200, call, 2, "REGISTER", port=port)
        world.now += 3600
    assert not world.verdicts


def test_one_wrong_password_in_an_office_blocks_a_flow_and_not_the_office() -> None:
    world = World()
    for round_ in range(60):
        for phone in range(20):
            if round_ % 10 == 0:
                world.register(OFFICE, f"u{phone}", good=True, port=20000 + phone)
        world.register(OFFICE, "forgotten", good=False, port=20777)
        world.now += 60
    assert world.blocked() == {f"udp:{OFFICE}:20777>198.51.100.10:5060"}


def test_stale_nonces() -> None:
    world = World()
    for _ in range(100):
        world.register(OFFICE, "1001", good=False, stale=True)
    assert not world.verdicts


def test_retransmissions() -> None:
    world = World()
    for _ in range(3):
        call, _ = world.request(OFFICE, "INVITE", "404number")
        for _ in range(7):
            world.request(OFFICE, "INVITE", "404number", call=call)
            world.response(OFFICE, 404, call, 1, "INVITE")
    call, _ = world.request(OFFICE, "REGISTER", "1001")
    world.response(OFFICE, 401, call, 1, "REGISTER", nonce="n")
    for _ in range(10):
        world.request(OFFICE, "REGISTER", "1001", call=call, cseq=2, nonce="n")
        world.response(OFFICE, 401, call, 2, "REGISTER", nonce="m")
    assert not world.verdicts


def test_forked_and_cancelled_calls() -> None:
    world = World()
    for number in range(100):
        world.ask(OFFICE, "INVITE", f"busy{number}", 486 + number % 2)
    assert not world.verdicts


def test_a_trunk_that_dials_many_wrong_numbers() -> None:
    world = World()
    world.register(OFFICE, "trunk", good=True)
    for number in range(2000):
        world.ask(OFFICE, "INVITE", f"+44{number}", 404 if number % 5 == 0 else 200)
        world.now += 1
        if number % 1000 == 0:
            world.register(OFFICE, "trunk", good=True)
    assert not world.verdicts


def test_a_monitor_that_sends_options_all_day() -> None:
    world = World()
    for _ in range(3000):
        world.ask(OFFICE, "OPTIONS", "ping", 200)
        world.now += 30
    assert not world.verdicts


def test_a_person_who_mistypes_and_then_knows() -> None:
    world = World()
    for _ in range(10):
        for _ in range(3):
            world.register(OFFICE, "1001", good=False)
        world.register(OFFICE, "1001", good=True)
        world.now += 3600
    assert not world.verdicts


def test_a_source_with_credit_that_is_framed_loses_nothing() -> None:
    world = World()
    world.register(OFFICE, "1001", good=True)
    for number in range(400):
        world.request(OFFICE, "OPTIONS", f"x{number}", agent="friendly-scanner")
        world.ask(OFFICE, "OPTIONS", f"y{number}", 404)
        world.now += 1
    assert world.verdicts
    assert {verdict.action for verdict in world.verdicts} == {Action.WATCH}
    assert all(verdict.seconds <= 600 for verdict in world.verdicts)
