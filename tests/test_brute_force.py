"""Detector brute-force: guesses of every kind, and everything that only looks like one."""

from __future__ import annotations

from sdnblock.block import Action
from sdnblock.evidence.grade import Grade
from tests.sip_world import World

ATTACKER, OFFICE = "203.0.113.66", "192.0.2.10"


def flow(source: str, port: int) -> str:
    return f"udp:{source}:{port}>198.51.100.10:5060"


def guess(world: World, source: str, user: str, nonce: str, *, port: int = 5060,
          status: int = 401, method: str = "REGISTER", realm: str = "r") -> None:  # fmt: skip
    """One credential, and our refusal of it."""
    call, _ = world.request(source, method, user, nonce=nonce, port=port, realm=realm)
    world.response(source, status, call, 1, method, port=port, nonce=f"{call}again")


def given_nonce(world: World, *sources: str) -> str:
    """A nonce that every one of ``sources`` was sent."""
    nonce = f"nonce of {world.now}".replace(" ", "")
    for source in sources:
        call, _ = world.request(source, "REGISTER", "somebody")
        world.response(source, 401, call, 1, "REGISTER", nonce=nonce)
    return nonce


def test_five_and_no_more_at_any_pace() -> None:
    for pause in (1 / 80, 30.0, 3600.0):
        world = World()
        for count in range(1, 6):
            world.register(ATTACKER, "1001", good=False)
            assert bool(world.verdicts) is (count == 5)
            world.now += pause


def test_a_home_with_a_wrong_password_is_never_gone_for_longer_than_a_day() -> None:
    world = World()
    for _ in range(40):
        for _ in range(5):
            world.register(ATTACKER, "1001", good=False)
        world.now += 40_000
    assert max(verdict.seconds for verdict in world.verdicts) == 86400
    assert world.verdicts[-1].seconds == 86400
    assert world.blocked() == {flow(ATTACKER, 5060), ATTACKER}


def test_a_server_that_gives_all_the_same_nonce_limits_what_is_known() -> None:
    world = World()
    nonce = given_nonce(world, ATTACKER, OFFICE)
    for number in range(5):
        guess(world, ATTACKER, f"u{number}", nonce)
    (verdict,) = world.verdicts
    assert (verdict.grade, verdict.seconds) == (Grade.SPOOFABLE, 600)


def test_a_nonce_that_nobody_was_given_counts_little() -> None:
    world = World()
    for number in range(19):
        guess(world, ATTACKER, f"u{number}", "made up")
    assert not world.verdicts
    guess(world, ATTACKER, "u20", "made up")
    (verdict,) = world.verdicts
    assert verdict.grade is Grade.SPOOFABLE


def test_forged_guesses_in_the_name_of_a_customer_do_him_no_harm() -> None:
    world = World()
    world.register(OFFICE, "1001", good=True)
    nonce = given_nonce(world, ATTACKER)
    for number in range(200):
        guess(world, OFFICE, f"u{number % 7}", nonce)
        guess(world, OFFICE, f"v{number}", "made up")
    assert {verdict.action for verdict in world.verdicts} <= {Action.WATCH}


def test_an_account_does_not_license_to_guess_others() -> None:
    world = World()
    world.register(ATTACKER, "own", good=True)
    for number in range(5):
        assert ATTACKER not in world.blocked()
        world.register(ATTACKER, f"u{number}", good=False, port=7000 + number)
    assert world.verdicts[-1].action is Action.DROP
    assert ATTACKER in world.blocked()
    assert "tried 5 users in vain; one user is known" in world.verdicts[-1].reason


def test_nor_do_several_cracked_accounts() -> None:
    world = World()
    for number in range(3):
        world.register(ATTACKER, f"own{number}", good=True)
    for number in range(30):
        assert ATTACKER not in world.blocked()
        world.register(ATTACKER, f"u{number}", good=False)
    assert ATTACKER in world.blocked()


def test_one_phone_of_an_office_loses_its_flow() -> None:
    world = World()
    for phone in range(20):
        world.register(OFFICE, f"u{phone}", good=True, port=20000 + phone)
    for _ in range(5):
        world.register(OFFICE, "wrong", good=False, port=30000)
        world.now += 60
    assert world.blocked() == {flow(OFFICE, 30000)}


def test_a_second_line_with_a_wrong_password_keeps_the_first_one() -> None:
    world = World()
    world.register(OFFICE, "line1", good=True)
    for _ in range(300):
        world.register(OFFICE, "line2", good=False)
        world.now += 30
        if world.now % 3600 < 30:
            world.register(OFFICE, "line1", good=True)
    assert not world.verdicts
    (report,) = (each for each in world.reports if each.detector == "brute-force")
    assert "user 'line1' uses the same flow" in report.reason


def test_but_no_phone_tries_twenty_times_a_minute() -> None:
    world = World()
    world.register(OFFICE, "line1", good=True)
    for _ in range(25):
        world.register(OFFICE, "line2", good=False)
    assert world.blocked() == {flow(OFFICE, 5060)}


def test_an_office_behind_its_own_proxy_keeps_its_only_flow() -> None:
    world = World()
    for round_ in range(10):
        for phone in range(30):
            world.register(OFFICE, f"u{phone}", good=True)
        for wrong in range(3):
            world.register(OFFICE, f"wrong{wrong}", good=False)
        world.now += 600 + round_
    assert not world.verdicts
    assert world.reports


def test_a_second_realm_is_no_rejection() -> None:
    world = World()
    for number in range(20):
        call, _ = world.request(OFFICE, "INVITE", "100", call=f"c{number}")
        world.response(OFFICE, 407, call, 1, "INVITE", nonce=f"a{number}", realm="proxy")
        world.request(OFFICE, "INVITE", "100", call=call, cseq=2, nonce=f"a{number}", realm="proxy")
        world.response(OFFICE, 401, call, 2, "INVITE", nonce=f"b{number}", realm="gateway")
    assert not world.verdicts


def test_barred_calls_of_a_customer_are_no_guesses() -> None:
    world = World()
    world.register(OFFICE, "1001", good=True)
    for number in range(20):
        nonce = given_nonce(world, OFFICE)
        call, _ = world.request(OFFICE, "INVITE", f"0900{number}", who="1001", nonce=nonce)
        world.response(OFFICE, 403, call, 1, "INVITE")
    assert not world.verdicts


def test_a_server_that_forgot_its_nonces_and_does_not_say_stale() -> None:
    world = World()
    nonces = {}
    for phone in range(200):
        nonces[phone] = nonce = f"n-{phone}"
        call, _ = world.request(OFFICE, "REGISTER", f"u{phone}", port=20000 + phone)
        world.response(OFFICE, 401, call, 1, "REGISTER", port=20000 + phone, nonce=nonce)
        world.request(OFFICE, "REGISTER", f"u{phone}", call=call, cseq=2, nonce=nonce,
                      port=20000 + phone)  # fmt: skip
        world.response(OFFICE, 200, call, 2, "REGISTER", port=20000 + phone)
    world.now += 3600
    for phone in range(200):  # all at once, with what worked an hour ago
        guess(world, OFFICE, f"u{phone}", nonces[phone], port=20000 + phone)
    assert not world.verdicts


def test_a_decoy_success_forgives_only_its_own_user() -> None:
    world = World()
    for number in range(4):
        world.register(ATTACKER, f"u{number}", good=False)
    world.register(ATTACKER, "u0", good=True)  # he got one: credit, but the others count
    for number in range(4, 6):
        world.register(ATTACKER, f"u{number}", good=False, port=9000)
    assert world.blocked() == set()
    for number in range(6, 12):
        world.register(ATTACKER, f"u{number}", good=False, port=9000)
    assert ATTACKER in world.blocked()


def test_an_ipv6_site_is_one_source() -> None:
    world = World()
    for number in range(5):
        world.register(f"2001:db8:1:2::{number + 1:x}", f"u{number}", good=False)
    assert world.blocked() == {"2001:db8:1:2::/64"}
