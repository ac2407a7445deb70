"""Requests and their outcomes: what is proven, what is new, and what is the same once more."""

from __future__ import annotations

import pytest

from sdnblock.block import TCP
from sdnblock.detect.detector import Detector
from sdnblock.detect.proof import Nonces, ProofSettings
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.scanner import ScannerSettings
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.grade import Grade
from tests.native_build import NATIVE
from tests.sip_world import World, tag_for

ATTACKER, VICTIM = "203.0.113.66", "192.0.2.10"


class Notebook(Detector):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.requests: list[SipSeen] = []
        self.outcomes: list[Outcome] = []
        self.proofs: list[Outcome] = []

    def begun(self, event: SipSeen) -> tuple[()]:
        self.requests.append(event)
        return ()

    def outcome(self, outcome: Outcome) -> tuple[()]:
        self.outcomes.append(outcome)
        return ()

    def proved(self, outcome: Outcome) -> tuple[()]:
        self.proofs.append(outcome)
        return ()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def notebook(world: World) -> Notebook:
    book = Notebook()
    world.engine.add(book)
    return book


def test_one_forged_tcp_segment_proves_nothing(world: World, notebook: Notebook) -> None:
    # Copied by a switch: nobody knows whether the connection stands.
    world.request(VICTIM, "OPTIONS", "1", agent="friendly-scanner", protocol=TCP)
    assert world.verdicts[0].grade is Grade.SPOOFABLE
    # Nor does an answer over UDP, or on another connection, prove it.
    call, _ = world.request(VICTIM, "OPTIONS", "1", protocol=TCP)
    world.response(VICTIM, 404, call, 1, "OPTIONS")
    call, _ = world.request(VICTIM, "OPTIONS", "1", protocol=TCP, port=1111)
    world.response(VICTIM, 404, call, 1, "OPTIONS", protocol=TCP, port=5060)
    assert [each.proven for each in notebook.outcomes] == [False, False]


def test_a_connection_that_stands_proves(world: World, notebook: Notebook) -> None:
    world.request(ATTACKER, "OPTIONS", "1", agent="friendly-scanner", protocol=TCP,
                  established=True)  # fmt: skip
    assert world.verdicts[0].grade is Grade.PROVEN
    # And so does an answer of ours on it.
    call, _ = world.request(ATTACKER, "OPTIONS", "1", protocol=TCP, port=4444)
    world.response(ATTACKER, 404, call, 1, "OPTIONS", protocol=TCP, port=4444)
    assert notebook.outcomes[-1].proven


def test_a_nonce_proves_only_the_address_it_was_sent_to(world: World, notebook: Notebook) -> None:
    call, _ = world.request(ATTACKER, "REGISTER", "own")
    world.response(ATTACKER, 401, call, 1, "REGISTER", nonce="mine")
    for number in range(20):  # in the name of the victim
        call, _ = world.request(VICTIM, "REGISTER", f"u{number}", nonce="mine")
        world.response(VICTIM, 401, call, 1, "REGISTER", nonce=f"other{number}")
    assert not any(each.proven for each in notebook.outcomes)
    assert all(each.credential for each in notebook.outcomes[1:])
    assert all(verdict.grade is Grade.SPOOFABLE for verdict in world.verdicts)
    world.request(ATTACKER, "REGISTER", "own", nonce="mine", call="c")
    world.response(ATTACKER, 401, "c", 1, "REGISTER")
    assert notebook.outcomes[-1].proven


def test_a_nonce_that_everybody_gets_proves_nobody(world: World, notebook: Notebook) -> None:
    # Forged in the victim's name and asked for oneself, in the same second.
    for source in (VICTIM, ATTACKER):
        call, _ = world.request(source, "REGISTER", "u")
        world.response(source, 401, call, 1, "REGISTER", nonce="of this second")
    call, _ = world.request(VICTIM, "REGISTER", "u", nonce="of this second")
    world.response(VICTIM, 401, call, 1, "REGISTER")
    assert not notebook.outcomes[-1].proven
    assert notebook.outcomes[-1].challenged


def some_answers(world: World) -> None:
    """Three calls of others: how the server makes its tags is known then."""
    for number in range(3):
        world.ask(f"192.0.2.{100 + number}", "INVITE", "200", 486)


def test_an_ack_proves_with_our_tag_to_that_address(world: World, notebook: Notebook) -> None:
    some_answers(world)
    call, _ = world.request(VICTIM, "INVITE", "404", branch="z9hG4bK1")
    world.response(VICTIM, 404, call, 1, "INVITE", branch="z9hG4bK1")
    world.request(VICTIM, "ACK", "404", call=call, to_tag="guessed")
    world.request(ATTACKER, "ACK", "404", call=call, to_tag=tag_for(call))
    assert not notebook.proofs
    for _ in range(2):
        world.request(VICTIM, "ACK", "404", call=call, to_tag=tag_for(call), branch="z9hG4bK2")
    (proof,) = notebook.proofs
    assert (proof.proven, proof.status, proof.user) == (True, 404, "404")
    assert len(notebook.requests) == 4  # an ACK is no request of its own


def test_a_tag_that_can_be_computed_proves_nothing(world: World, notebook: Notebook) -> None:
    # As Kamailio makes them: a constant and a checksum of the request.
    some_answers(world)
    for number in range(20):
        call, _ = world.request(VICTIM, "INVITE", f"{number}", call=f"forged{number}")
        tag = f"9dd61ff61e802d8e2bef5f14621ef3c2.{number:08x}"
        world.response(VICTIM, 404, call, 1, "INVITE", tag=tag)
        if number:
            world.request(VICTIM, "ACK", f"{number}", call=call, to_tag=tag)
    assert not notebook.proofs
    assert all(verdict.grade is Grade.SPOOFABLE for verdict in world.verdicts)


def test_what_is_known_of_the_server_can_be_said(world: World, notebook: Notebook) -> None:
    world.engine.configure(DetectSettings.with_(ProofSettings("shared", "random")))
    world.register(VICTIM, "1001", good=False)
    world.ask(VICTIM, "INVITE", "1", 404)
    call = notebook.outcomes[-1].asked.call_id
    world.request(VICTIM, "ACK", "1", call=call, to_tag=tag_for(call))
    assert [each.proven for each in notebook.outcomes] == [False, False, False]
    assert len(notebook.proofs) == 1
    world.engine.configure(DetectSettings.with_(ProofSettings("bound", "predictable")))
    world.register(VICTIM, "1001", good=False)
    assert notebook.outcomes[-1].proven
    world.ask(VICTIM, "INVITE", "1", 404)
    call = notebook.outcomes[-1].asked.call_id
    world.request(VICTIM, "ACK", "1", call=call, to_tag=tag_for(call))
    assert len(notebook.proofs) == 1


def test_a_server_that_shares_nonces_proves_nothing_for_a_day(
    world: World, notebook: Notebook
) -> None:
    for source in (VICTIM, ATTACKER):
        call, _ = world.request(source, "REGISTER", "u")
        world.response(source, 401, call, 1, "REGISTER", nonce="of this second")
    world.register(VICTIM, "1001", good=False)
    assert not notebook.outcomes[-1].proven
    world.now += 86401
    world.register(VICTIM, "1001", good=False)
    assert notebook.outcomes[-1].proven


def test_where_not_all_answers_are_seen_a_nonce_proves_nothing() -> None:
    nonces = Nonces()
    server, remote = b"\1\2\3\4", b"\4\3\2\1"
    nonces.sent("n", server, remote, 0.0, sampled=True)
    assert not nonces.proves("n", remote, 0.0, "auto")
    assert nonces.proves("n", remote, 0.0, "bound")
    nonces.sent("n", server, remote, 0.1)  # the server itself tells of it too
    assert nonces.proves("n", remote, 0.1, "auto")


def test_of_several_credentials_the_one_that_answers_us_counts(
    world: World, notebook: Notebook
) -> None:
    call, _ = world.request(ATTACKER, "REGISTER", "1001")
    world.response(ATTACKER, 401, call, 1, "REGISTER", nonce="ours")
    decoy = 'Authorization: Digest username="x", realm="y", nonce="theirs", response="0"\r\n'
    world.request(ATTACKER, "REGISTER", "1001", cseq=2, nonce="ours", headers=decoy)
    world.response(ATTACKER, 401, notebook.requests[-1].message.call_id, 2, "REGISTER")
    assert notebook.outcomes[-1].proven
    digest = notebook.outcomes[-1].asked.digest
    assert digest is not None and digest.get("nonce") == "ours"


def test_once_however_often_and_whoever_saw_it(world: World, notebook: Notebook) -> None:
    for _ in range(3):
        world.request(VICTIM, "INVITE", "100", call="c", branch="z9hG4bK1")
    for _ in range(3):
        world.response(VICTIM, 404, "c", 1, "INVITE", branch="z9hG4bK1")
    world.request(VICTIM, "INVITE", "100", call="c", branch="z9hG4bK1")
    world.response(VICTIM, 404, "c", 1, "INVITE", branch="z9hG4bK1")
    assert len(notebook.requests) == len(notebook.outcomes) == 1


def test_branches_of_a_fork_are_told_apart(world: World, notebook: Notebook) -> None:
    for branch in ("z9hG4bK1", "z9hG4bK2"):
        world.request(VICTIM, "INVITE", "100", call="c", branch=branch)
    for _ in range(2):
        for branch, status in (("z9hG4bK1", 486), ("z9hG4bK2", 487)):
            world.request(VICTIM, "INVITE", "100", call="c", branch=branch)
            world.response(VICTIM, status, "c", 1, "INVITE", branch=branch)
    assert [each.status for each in notebook.outcomes] == [486, 487]


def test_the_answer_to_a_cancel_is_not_that_of_its_invite(world: World, notebook: Notebook) -> None:
    world.request(VICTIM, "INVITE", "100", call="c", branch="z9hG4bK1")
    world.request(VICTIM, "CANCEL", "100", call="c", branch="z9hG4bK1")
    world.response(VICTIM, 200, "c", 1, "CANCEL", branch="z9hG4bK1")
    world.response(VICTIM, 487, "c", 1, "INVITE", branch="z9hG4bK1")
    assert [(each.method, each.status) for each in notebook.outcomes] == [
        ("CANCEL", 200),
        ("INVITE", 487),
    ]


def test_a_tool_that_never_changes_its_call_id_is_no_phone(
    world: World, notebook: Notebook
) -> None:
    for number in range(4):
        world.request(ATTACKER, "OPTIONS", f"{number}", call="same", branch="z9hG4bK1")
        world.response(ATTACKER, 404, "same", 1, "OPTIONS", branch="z9hG4bK1")
    assert [each.user for each in notebook.outcomes] == ["0", "1", "2", "3"]
    assert world.blocked() == {ATTACKER}


def test_what_an_outcome_tells_of_its_request(world: World, notebook: Notebook) -> None:
    world.request(
        VICTIM, "REGISTER", "1001", nonce="n", call="c", agent="Phone/2",
        headers="Contact: <sip:a@192.0.2.1>\r\nContact: <sip:b@192.0.2.2>\r\nExpires: 60\r\n",
    )  # fmt: skip
    world.response(VICTIM, 403, "c", 1, "REGISTER")
    asked = notebook.outcomes[0].asked
    assert asked.from_ is not None and asked.to is not None and asked.uri is not None
    assert (asked.from_.user, asked.to.host, asked.uri.host) == (
        "1001", "example.net", "example.net",
    )  # fmt: skip
    assert asked.digest is not None
    assert (asked.digest.get("username"), asked.digest.get("realm")) == ("1001", "r")
    assert asked.contacts == ["<sip:a@192.0.2.1>", "<sip:b@192.0.2.2>"]
    assert (asked.expires_text, asked.user_agent, asked.from_tag) == ("60", "Phone/2", "f")
    assert not asked.in_dialog


@pytest.mark.skipif(NATIVE, reason="machine code cannot be patched")
def test_a_flood_of_long_requests_stays_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    transactions = world.engine._transactions
    for number in range(40):
        world.request(ATTACKER, "OPTIONS", f"{number}", headers=f"Contact: {'x' * 1020}\r\n")
    assert transactions._size > 40_000
    monkeypatch.setattr("sdnblock.detect.transactions._MOST_SIZE", 10_000)
    world.request(ATTACKER, "OPTIONS", "onemore")
    assert transactions._size <= 10_000
    assert 1 < len(transactions._pending) < 12
    world.now += 100
    world.request(ATTACKER, "OPTIONS", "last")
    assert len(transactions._pending) == 1
    assert 0 < transactions._size < 1000


def test_detectors_keep_their_memory_when_their_settings_stay() -> None:
    world = World()
    for number in range(3):
        world.ask(ATTACKER, "OPTIONS", str(number), 404)
    world.engine.configure(DetectSettings.with_(ScannerSettings(user_agents=("Bad",))))
    world.ask(ATTACKER, "OPTIONS", "3", 404)
    assert world.blocked() == {ATTACKER}
    world.request(VICTIM, "OPTIONS", "1", agent="friendly-scanner")
    assert world.blocked() == {ATTACKER}
    world.request(VICTIM, "OPTIONS", "1", agent="Bad")
    assert VICTIM in world.blocked()
    world.engine.configure(DetectSettings.with_(ScannerSettings(enabled=False)))
    world.request("192.0.2.11", "OPTIONS", "1", agent="Bad")
    assert "192.0.2.11" not in world.blocked()
