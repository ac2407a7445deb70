"""Detectors unregister, replay, identity and invite-source: the attack, and the
honest customer who looks just like it."""

from __future__ import annotations

import pytest

from sdnblock.block import TCP, Action, parse_prefix
from sdnblock.detect.engine import Engine
from sdnblock.detect.identity import IdentitySettings
from sdnblock.detect.invite_source import InviteSourceSettings
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.sides import Sides
from sdnblock.evidence.grade import Grade
from tests.sip_world import World, tag_for

ATTACKER, PHONE, OTHER = "203.0.113.66", "192.0.2.10", "198.18.7.7"
BIND = "Contact: <sip:{user}@{address}:5060>\r\nExpires: 3600\r\n"
STAR = "Contact: *\r\nExpires: 0\r\n"


def with_(*settings: object) -> World:
    sides = Sides([parse_prefix("198.51.100.0/24")])
    return World(Engine(DetectSettings.with_(*settings), sides))


def registers(world: World, source: str, user: str, headers: str = "", *, account: str = "",
              status: int = 200, agent: str = "Phone/1.0", port: int = 5060) -> None:  # fmt: skip
    """A REGISTER that is challenged, answers, and gets ``status``."""
    headers = headers or BIND.format(user=user, address=source)
    call, _ = world.request(source, "REGISTER", user, headers=headers, agent=agent, port=port)
    nonce = f"nonce-{call}"
    world.response(source, 401, call, 1, "REGISTER", nonce=nonce, port=port)
    world.request(source, "REGISTER", user, call=call, cseq=2, nonce=nonce, headers=headers,
                  account=account, agent=agent, port=port)  # fmt: skip
    world.response(source, status, call, 2, "REGISTER", port=port)


def asks(world: World, source: str, user: str, status: int, headers: str = STAR,
         agent: str = "Phone/1.0") -> None:  # fmt: skip
    """A REGISTER without a credential."""
    call, _ = world.request(source, "REGISTER", user, headers=headers, agent=agent)
    world.response(source, status, call, 1, "REGISTER", nonce=f"n{call}" if status == 401 else "")


# --- unregister ------------------------------------------------------------------------------


def test_an_open_registrar_that_lets_a_stranger_unregister() -> None:
    world = World()
    asks(world, PHONE, "1001", 200, BIND.format(user="1001", address=PHONE))
    asks(world, ATTACKER, "1001", 200)
    (verdict,) = world.verdicts
    assert (verdict.detector, verdict.grade) == ("unregister", Grade.SPOOFABLE)
    assert world.blocked() == {ATTACKER}
    assert "'1001', which others registered, without a credential" in verdict.reason


def test_tries_to_unregister_many_without_a_credential() -> None:
    world = World()
    for number in range(8):
        registers(world, PHONE, f"u{number}")
    for number in range(8):
        asks(world, ATTACKER, f"u{number}", 401)
        world.now += 5
    assert world.verdicts[0].action is Action.LIMIT
    assert world.blocked() == {ATTACKER}
    assert "4 times" in world.verdicts[0].reason or "3 users" in world.verdicts[0].reason


def test_tries_to_unregister_fast() -> None:
    world = World()
    for number in range(60):
        registers(world, PHONE, f"u{number}")
    for number in range(60):
        asks(world, ATTACKER, f"u{number}", 401)
    assert world.blocked() == {ATTACKER}


def test_one_user_again_and_again() -> None:
    world = World()
    registers(world, PHONE, "1001")
    for _ in range(5):
        assert not world.verdicts
        asks(world, ATTACKER, "1001", 401)
        world.now += 3
    assert world.blocked() == {ATTACKER}


def test_an_account_that_unregisters_others() -> None:
    world = World()
    registers(world, PHONE, "1001")
    registers(world, PHONE, "1002")
    registers(world, ATTACKER, "1001", STAR, account="evil")
    assert not world.verdicts and "with the credential of 'evil'" in world.reports[-1].reason
    registers(world, ATTACKER, "1002", STAR, account="evil")
    assert world.verdicts[-1].detector == "unregister"
    assert world.verdicts[-1].grade is Grade.PROVEN


def test_a_phone_that_moved_takes_its_old_binding_away() -> None:
    world = World()
    for _ in range(5):
        registers(world, PHONE, "1001")
        registers(world, OTHER, "1001", STAR)
        registers(world, OTHER, "1001")
        registers(world, PHONE, "1001", STAR)
    assert not world.verdicts and not world.reports


def test_an_office_whose_address_changed_begins_by_unregistering() -> None:
    world = World()
    for phone in range(200):
        registers(world, PHONE, f"u{phone}")
    world.now += 600
    calls = []
    for phone in range(40):  # a batch of challenges before the first answer
        call, _ = world.request(OTHER, "REGISTER", f"u{phone}", headers=STAR, port=20000 + phone)
        world.response(OTHER, 401, call, 1, "REGISTER", nonce=f"n{call}", port=20000 + phone)
        calls.append(call)
    for phone, call in enumerate(calls):
        world.request(OTHER, "REGISTER", f"u{phone}", headers=STAR, port=20000 + phone, call=call,
                      cseq=2, nonce=f"n{call}")  # fmt: skip
        world.response(OTHER, 200, call, 2, "REGISTER", port=20000 + phone)
    assert not world.verdicts


def test_a_trunk_that_registers_many_names_with_one_credential() -> None:
    world = World()
    for number in range(5):
        registers(world, PHONE, f"+4930{number}", account="trunk")
    for number in range(5):
        registers(world, OTHER, f"+4930{number}", STAR, account="trunk")
    assert not world.verdicts and not world.reports


def test_a_phone_that_unregisters_what_nobody_registered() -> None:
    world = World()
    for number in range(10):
        asks(world, PHONE, f"u{number}", 401)
        world.now += 20
    assert not world.verdicts


# --- replay ----------------------------------------------------------------------------------


def credential(number: int, nc: int = 1, qop: bool = True) -> str:
    more = f', cnonce="c{number}", qop=auth, nc={nc:08x}' if qop else ""
    return f'response="{number:032x}"{more}'


def uses(world: World, source: str, digest: str, call: str, cseq: int = 2, nonce: str = "n",
         **more: object) -> None:  # fmt: skip
    world.request(source, "REGISTER", "1001", nonce=nonce, digest=digest, call=call, cseq=cseq,
                  **more)  # type: ignore[arg-type]  # fmt: skip


def test_a_recorded_credential_from_elsewhere() -> None:
    world = World()
    uses(world, PHONE, credential(1), "c1")
    world.now += 30
    uses(world, ATTACKER, credential(1), "other")
    (verdict,) = world.verdicts
    assert (verdict.detector, verdict.grade, verdict.action) == (
        "replay", Grade.SPOOFABLE, Action.DROP,
    )  # fmt: skip
    assert "user '1001'" in verdict.reason
    assert world.blocked() == {ATTACKER}


def test_the_whole_recorded_request_later_over_tcp() -> None:
    world = World()
    uses(world, PHONE, credential(1), "c1")
    world.now += 100
    uses(world, ATTACKER, credential(1), "c1", protocol=TCP, established=True)
    assert world.verdicts[0].grade is Grade.PROVEN


def test_a_count_that_goes_back_elsewhere() -> None:
    world = World()
    for nc in (1, 2, 3):
        uses(world, PHONE, credential(nc, nc), f"c{nc}")
    world.now += 100
    uses(world, ATTACKER, credential(9, 2), "c9")
    assert world.blocked() == {ATTACKER}
    assert "nonce count 2 of user '1001'" in world.verdicts[0].reason


def test_two_users_who_were_given_the_same_nonce() -> None:
    """Kamailio with its defaults gives it to all who ask within the same second."""
    world = World()
    for nc in range(1, 64):
        uses(world, PHONE, credential(nc, nc), f"c{nc}")
    for nc in range(1, 10):
        world.now += 100
        world.request("192.0.2.77", "REGISTER", "2002", nonce="n", call=f"d{nc}", cseq=2,
                      digest=credential(1000 + nc, nc))  # fmt: skip
    assert not world.verdicts


def test_honest_repetitions() -> None:
    world = World()
    for _ in range(5):  # retransmissions, and once more over another network or proxy
        uses(world, PHONE, credential(1), "c1")
    world.now += 20
    uses(world, OTHER, credential(1), "c1", branch="z9hG4bK2")
    for nc in (2, 3):  # it moved, and counts on
        uses(world, OTHER, credential(nc, nc), f"c{nc}")
    world.now += 100
    for number in range(10, 15):  # a phone that never counts, from here and there
        uses(world, (PHONE, OTHER)[number % 2], credential(number, 1), f"c{number}", nonce="m")
        world.now += 100
    assert not world.verdicts and not world.reports


def test_without_qop_it_is_only_told() -> None:
    world = World()
    uses(world, PHONE, credential(1, qop=False), "c1")
    world.now += 1000
    uses(world, OTHER, credential(1, qop=False), "c2")
    assert not world.verdicts
    assert world.reports[0].detector == "replay"


# --- identity --------------------------------------------------------------------------------


def calls_as(world: World, source: str, account: str, shown: str, status: int, *,
             port: int = 5060, number: str = "100") -> None:  # fmt: skip
    """An INVITE of ``account`` that says it is from ``shown``."""
    call, _ = world.request(source, "INVITE", number, who=shown, port=port)
    nonce = f"nonce-{call}"
    world.response(source, 407, call, 1, "INVITE", nonce=nonce, port=port)
    world.request(source, "INVITE", number, who=shown, account=account, nonce=nonce, call=call,
                  cseq=2, port=port)  # fmt: skip
    world.response(source, status, call, 2, "INVITE", port=port)


def test_an_account_that_registers_others_and_is_refused() -> None:
    world = World()
    for user in ("bogdan", "maria", "john"):
        assert not world.verdicts
        registers(world, ATTACKER, user, account="liviu", status=403)
    (verdict,) = world.verdicts
    assert (verdict.detector, verdict.grade) == ("identity", Grade.PROVEN)
    assert "'liviu' said 3 times to be 3 others" in verdict.reason
    assert world.blocked() == {ATTACKER}


def test_a_customer_who_claims_to_be_others_loses_his_flow() -> None:
    world = World()
    registers(world, PHONE, "1001")
    for number in range(3):
        calls_as(world, PHONE, "1001", f"boss{number}", 403, port=5070)
    assert world.blocked() == {f"udp:{PHONE}:5070>198.51.100.10:5060"}


def test_the_same_refused_name_is_a_phone_set_up_wrongly() -> None:
    world = World()
    for _ in range(5):
        assert not world.verdicts
        calls_as(world, PHONE, "1001", "wrong", 403)
        world.now += 60
    assert world.blocked() == {f"udp:{PHONE}:5060>198.51.100.10:5060"}
    assert world.verdicts[0].seconds <= 86400


@pytest.mark.parametrize("shown", ["anonymous", "unknown", "Restricted"])
def test_anonymous_callers(shown: str) -> None:
    world = World()
    for _ in range(10):
        calls_as(world, PHONE, "1001", shown, 403)
    assert not [verdict for verdict in world.verdicts if verdict.detector == "identity"]


def test_a_trunk_that_presents_the_numbers_of_its_callers() -> None:
    world = World()
    for number in range(50):
        calls_as(world, PHONE, "trunk", f"+4930{number}", 200)
        calls_as(world, PHONE, "trunk", f"+4930{number}", 404 if number % 3 else 486)
    assert not world.verdicts and not world.reports
    # One that the server knows, refused for its number, is no fake either.
    for _ in range(10):
        calls_as(world, PHONE, "trunk", "+49300", 403)
    assert not [each for each in world.verdicts if each.detector == "identity"]


def test_an_account_with_a_name_of_its_own() -> None:
    world = World()
    for _ in range(30):
        registers(world, PHONE, "1001", account="auth-1001")
        calls_as(world, PHONE, "auth-1001", "1001", 200)
    assert not world.verdicts and not world.reports


def test_an_account_that_is_suddenly_somebody_else_is_told() -> None:
    world = World()
    for _ in range(15):
        calls_as(world, PHONE, "1001", "1001", 200)
    calls_as(world, PHONE, "1001", "bank", 200)
    (report,) = world.reports
    assert "'1001' says it is 'bank', for the first time" in report.reason
    assert not world.verdicts


def test_trusted_accounts() -> None:
    world = with_(IdentitySettings(trusted_users=("Trunk",)))
    registers(world, PHONE, "trunk")
    for number in range(10):
        calls_as(world, PHONE, "trunk", f"+4930{number}", 403)
    assert not world.verdicts and not world.reports


# --- invite-source ---------------------------------------------------------------------------


def test_a_call_from_elsewhere_is_told() -> None:
    world = World()
    registers(world, PHONE, "1001")
    calls_as(world, ATTACKER, "1001", "1001", 200)
    (report,) = world.reports
    assert (report.detector, report.grade) == ("invite-source", Grade.PROVEN)
    assert "user '1001' with a credential, who is registered from elsewhere" in report.reason
    assert not world.verdicts


def test_or_blocked_where_nobody_roams() -> None:
    world = with_(InviteSourceSettings(action="drop"))
    registers(world, PHONE, "1001")
    calls_as(world, ATTACKER, "1001", "1001", 200)
    assert world.blocked() == {f"udp:{ATTACKER}:5060>198.51.100.10:5060"}
    assert world.verdicts[0].action is Action.DROP


def test_a_password_that_four_places_use_within_an_hour() -> None:
    world = World()
    registers(world, PHONE, "1001")
    for number in range(4):
        assert not world.verdicts
        calls_as(world, f"203.0.{number}.9", "1001", "someone", 200)
        world.now += 600
    (verdict,) = world.verdicts
    assert (verdict.grade, verdict.action) == (Grade.PROVEN, Action.LIMIT)
    assert "4th strange place" in verdict.reason
    assert PHONE not in "".join(world.blocked())


def test_a_call_that_nobody_let_in_or_took_is_none() -> None:
    world = World()
    registers(world, PHONE, "1001")
    for status in (401, 403, 407):
        calls_as(world, ATTACKER, "1001", "1001", status)
    call, _ = world.request(ATTACKER, "INVITE", "100", who="1001")  # forged: never acknowledged
    world.response(ATTACKER, 200, call, 1, "INVITE")
    assert not [each for each in world.reports if each.detector == "invite-source"]
    for user in ("1", "2", "3"):
        world.ask("192.0.2.99", "INVITE", user, 486)
    world.request(ATTACKER, "ACK", "100", who="1001", call=call, to_tag=tag_for(call))
    assert [each.detector for each in world.reports][-1] == "invite-source"


def test_who_moves_or_has_several_phones_or_two_families() -> None:
    world = with_(InviteSourceSettings(action="drop"))
    registers(world, PHONE, "1001")
    registers(world, OTHER, "1001")  # a second phone
    for source in (PHONE, OTHER, "192.0.2.200", "2001:db8:9::1"):
        calls_as(world, source, "1001", "1001", 200)
    calls_as(world, ATTACKER, "stranger", "stranger", 200)  # not registered at all
    world.now += 4000
    calls_as(world, ATTACKER, "1001", "1001", 200)  # the registrations have ended
    assert not world.verdicts and not world.reports
