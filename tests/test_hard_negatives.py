"""Everybody who must stay unblocked: no drop, no limit, from any detector with its defaults.

Beside every message the detectors get what a switch would say of it: its request window and its
walk over our answers. Each scene is played to a source that nobody knows yet and, where that
makes a difference, to one with credit; against a server that gives each client a nonce of its
own, and against one that gives all of them the same within a second, as Kamailio does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bench.simulation.switch import Switch
from sdnblock.block import TCP, UDP
from sdnblock.evidence.events import REASON_FIRST, Evidence, FirstPacket, SipSeen
from sdnblock.evidence.first_packet import read_first_packet
from tests.dataplane import packets
from tests.sip_world import SERVER, World, tag_for

OFFICE = "192.0.2.10"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@dataclass
class Edge(World):
    """A world with a switch at its edge."""

    shared_nonces: bool = False
    switch: Switch = field(default_factory=Switch)
    told: int = 0
    """How often the switch had something to say."""
    rng: random.Random = field(default_factory=lambda: random.Random(7))

    def see(self, event: Evidence) -> None:
        super().see(event)
        if isinstance(event, SipSeen):
            told = self.switch.see(event, event.source != SERVER)
            if told is not None:
                self.told += 1
                super().see(told)

    def nonce(self) -> str:
        """A new challenge's."""
        return f"n{int(self.now)}" if self.shared_nonces else f"n{self.rng.getrandbits(64):x}"

    def challenge(
        self, office: str, user: str, port: int, method: str = "REGISTER"
    ) -> tuple[str, str]:
        """A request and its 401 or 407; Call-ID and nonce."""
        call, _ = self.request(office, method, user, port=port)
        nonce = self.nonce()
        status = 401 if method == "REGISTER" else 407
        self.response(office, status, call, 1, method, port=port, nonce=nonce)
        return call, nonce

    def prove(
        self, office: str, user: str, port: int, call: str, nonce: str, status: int = 200,
        method: str = "REGISTER", *, stale: bool = False, cseq: int = 2,
    ) -> None:  # fmt: skip
        """The credential, and what became of it."""
        self.request(office, method, user, port=port, call=call, cseq=cseq, nonce=nonce)
        again = self.nonce() if status in (401, 407) else ""
        self.response(
            office, status, call, cseq, method, port=port, nonce=again, stale=stale,
        )  # fmt: skip

    def login(self, office: str, user: str, port: int, status: int = 200) -> None:
        """Both."""
        call, nonce = self.challenge(office, user, port)
        self.now += 0.03
        self.prove(office, user, port, call, nonce, status)

    def call(self, office: str, number: str, port: int, status: int, *, ack: bool = True) -> str:
        """A call without a credential, as an operator's gateway makes it."""
        call, _ = self.request(office, "INVITE", number, port=port)
        self.response(office, 100, call, 1, "INVITE", port=port)
        self.now += 0.2
        self.response(office, status, call, 1, "INVITE", port=port)
        if ack:
            self.request(office, "ACK", number, port=port, call=call, to_tag=tag_for(call))
        return call

    def honest(self) -> None:
        """Nobody lost anything."""
        self.now += 20
        self.tick()
        assert self.blocked() == set(), [f"{v.detector}: {v.reason}" for v in self.verdicts]


@pytest.fixture(params=["own nonces", "shared nonces"])
def it(request: pytest.FixtureRequest) -> Edge:
    return Edge(shared_nonces=request.param == "shared nonces")


def ports(count: int) -> range:
    """Those of ``count`` phones behind a NAT."""
    return range(20000, 20000 + count)


# --- two hundred phones behind one address ---------------------------------------------------


def test_200_phones_behind_one_address_for_a_day(it: Edge) -> None:
    for _hour in range(8):
        for number, port in enumerate(ports(200)):
            it.login(OFFICE, f"u{number}", port)
            it.now += 53.0
    it.honest()


@pytest.mark.parametrize("office", [OFFICE, "2001:db8:1:2::10"])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_the_power_cut(it: Edge, office: str, known: bool, seconds: float) -> None:
    """All challenged before the first answers, within a moment or within ten seconds; then
    everybody subscribes to three lamps."""
    if known:
        it.login(office, "u1", 20001)
        it.now += HOUR
    for _cut in range(2):
        opened = []
        for number, port in enumerate(ports(200)):
            opened.append((f"u{number}", port, *it.challenge(office, f"u{number}", port)))
            it.now += seconds / 200
        for user, port, call, nonce in opened:
            it.prove(office, user, port, call, nonce)
            it.now += seconds / 200
        for _lamp in range(3):
            opened = [
                (f"u{number}", port, *it.challenge(office, f"u{number}", port, "SUBSCRIBE"))
                for number, port in enumerate(ports(200))
            ]
            for user, port, call, nonce in opened:
                it.prove(office, user, port, call, nonce, 200, "SUBSCRIBE")
        it.now += 2 * HOUR
    assert it.told, "the switch had something to say, or this proves little"
    it.honest()


def test_the_power_cut_of_an_office_behind_one_port(it: Edge) -> None:
    """A gateway of the office's own gives all of them one port; it is known."""
    it.login(OFFICE, "u1", 5060)
    it.now += HOUR
    opened = [(f"u{n}", *it.challenge(OFFICE, f"u{n}", 5060)) for n in range(200)]
    for user, call, nonce in opened:
        it.prove(OFFICE, user, 5060, call, nonce)
    it.honest()


def test_a_power_cut_while_the_server_is_overloaded(it: Edge) -> None:
    """Nothing is answered for ten seconds; everybody repeats, as timer E has it."""
    opened = []
    for wait in (0.0, 0.5, 1.0, 2.0, 4.0):
        it.now += wait
        for number, port in enumerate(ports(200)):
            it.request(
                OFFICE, "REGISTER", f"u{number}", port=port, call=f"c{number}",
                branch=f"z9hG4bK{number}",
            )  # fmt: skip
    for number, port in enumerate(ports(200)):
        nonce = it.nonce()
        for _ in range(5):  # each repetition was queued, and is answered
            it.response(
                OFFICE, 401, f"c{number}", 1, "REGISTER", port=port, nonce=nonce,
                branch=f"z9hG4bK{number}",
            )  # fmt: skip
        opened.append((f"u{number}", port, f"c{number}", nonce))
    for user, port, call, nonce in opened:
        it.prove(OFFICE, user, port, call, nonce)
    it.honest()


# --- wrong passwords ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_a_wrong_password_in_an_office_costs_its_flow_at_most(
    it: Edge, status: int, method: str
) -> None:
    status = 407 if method == "INVITE" and status == 401 else status
    for round_ in range(60):
        if round_ % 10 == 0:
            for number, port in enumerate(ports(20)):
                it.login(OFFICE, f"u{number}", port)
        call, nonce = it.challenge(OFFICE, "forgotten", 20777, method)
        it.prove(OFFICE, "forgotten", 20777, call, nonce, status, method)
        it.now += MINUTE
    assert it.blocked() <= {f"udp:{OFFICE}:20777>198.51.100.10:5060"}


def test_a_wrong_password_behind_the_one_port_of_an_office_costs_nobody_else_anything(
    it: Edge,
) -> None:
    """Its flow is everybody's."""
    for round_ in range(60):
        if round_ % 10 == 0:
            for number in range(20):
                it.login(OFFICE, f"u{number}", 5060)
        it.login(OFFICE, "forgotten", 5060, 401)
        it.now += MINUTE
    it.honest()


def test_a_person_who_mistypes_and_then_knows(it: Edge) -> None:
    for _ in range(10):
        for _ in range(3):
            it.login(OFFICE, "1001", 20001, 401)
            it.now += 20
        it.login(OFFICE, "1001", 20001)
        it.now += HOUR
    it.honest()


def test_stale_nonces(it: Edge) -> None:
    """A server with a short memory, and phones that use their nonce again."""
    nonces = dict.fromkeys(ports(50), "long-ago")
    for round_ in range(40):
        for port in nonces:
            call = f"r{round_}p{port}"
            it.prove(OFFICE, f"u{port}", port, call, nonces[port], 401, stale=True, cseq=1)
            nonces[port] = it.nonce()
            it.prove(OFFICE, f"u{port}", port, call, nonces[port])
        it.now += 10 * MINUTE
    it.honest()


def test_stale_again_and_again(it: Edge) -> None:
    """A server whose nonces live shorter than the way there takes: nothing else ever comes."""
    for _ in range(300):
        call, nonce = it.challenge(OFFICE, "1001", 20001)
        it.prove(OFFICE, "1001", 20001, call, nonce, 401, stale=True)
        it.now += 0.3
    it.honest()


# --- lost packets ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "SUBSCRIBE", "MESSAGE", "INVITE"])
def test_one_refusal_that_is_lost_eleven_times(it: Edge, method: str) -> None:
    for number in range(2):
        for wait in (0.0, 0.5, 1.0, 2.0, *[4.0] * 7):
            it.now += wait
            it.request(
                OFFICE, method, f"wrong{number}", call=f"c{number}", branch=f"z9hG4bK{number}"
            )
            it.response(OFFICE, 404, f"c{number}", 1, method, branch=f"z9hG4bK{number}")
        it.now += MINUTE
    assert it.told
    it.honest()


def test_one_rejected_credential_that_is_repeated(it: Edge) -> None:
    for _ in range(3):
        call, nonce = it.challenge(OFFICE, "1001", 20001)
        for _ in range(11):
            it.prove(OFFICE, "1001", 20001, call, nonce, 401)
            it.now += 0.5
        it.now += MINUTE
    it.honest()


# --- calls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pause", [0.0, 5.0])
def test_forked_calls_end_busy_and_cancelled(it: Edge, pause: float) -> None:
    for number in range(120):
        call = it.call(OFFICE, f"team{number % 7}", 5060, 486 + number % 2)
        for branch in range(3):  # of each fork
            it.response(OFFICE, 487, call, 1, "INVITE", tag=f"fork{branch}")
        it.now += pause
    it.honest()


@pytest.mark.parametrize("share", [5, 3])
@pytest.mark.parametrize("authenticated", [False, True])
def test_a_trunk_that_dials_many_wrong_numbers(it: Edge, share: int, authenticated: bool) -> None:
    """Every fifth, or every third, after three that were answered."""
    if authenticated:
        it.login(OFFICE, "trunk", 5060)
    for number in range(800):
        it.call(OFFICE, f"0044{number}", 5060, 200 if number < 3 or number % share else 404)
        it.now += 2
        if number % 300 == 299 and authenticated:
            it.login(OFFICE, "trunk", 5060)
    it.honest()


def test_a_person_who_tries_a_wrong_number_again_and_again(it: Edge) -> None:
    for _ in range(30):
        it.call(OFFICE, "0800wrong", 5060, 404)
        it.now += 3
    it.honest()


@pytest.mark.parametrize("known", [False, True])
def test_lamps_of_people_who_have_left(it: Edge, known: bool) -> None:
    """Twenty phones, each with six such lamps among twelve, every hour."""
    for hour in range(4):
        for number, port in enumerate(ports(20)):
            if known or hour:
                it.login(OFFICE, f"u{number}", port)
            for lamp in range(12):
                it.now += 0.2
                if lamp % 2:
                    it.ask(OFFICE, "SUBSCRIBE", f"gone{lamp}", 404, port=port)
                    continue
                call, nonce = it.challenge(OFFICE, f"u{lamp}", port, "SUBSCRIBE")
                it.prove(OFFICE, f"u{number}", port, call, nonce, 200, "SUBSCRIBE")
        it.now += HOUR
    it.honest()


# --- keepalives and monitors -------------------------------------------------------------------


def test_keepalives_of_a_whole_office(it: Edge) -> None:
    for _ in range(30):
        for port in ports(60):
            it.ask(OFFICE, "OPTIONS", "ping", 200, port=port)
        it.now += 25
    it.honest()


@pytest.mark.parametrize("payload", [b"\r\n\r\n", b"", b"\0", b"\0\0\0\0", b"jaK", b"\r\n"])
def test_keepalives_that_are_no_sip(payload: bytes) -> None:
    frame = packets.v4(payload, source=OFFICE)
    assert read_first_packet(FirstPacket("edge", 1, REASON_FIRST, frame, 0.0)) is None


MONITORS: dict[str, Callable[[int], tuple[str, int]]] = {
    "the server": lambda _: ("", 200),
    "a user that exists": lambda _: ("monitor", 200),
    "a user that does not exist": lambda _: ("nobody", 404),
    "a user that needs a credential": lambda _: ("monitor", 407),
    "a user who is forbidden": lambda _: ("monitor", 403),
    "three users of whom one has left": lambda n: (f"10{n % 3:02d}", 404 if n % 3 == 2 else 200),
    "four users of whom two have left": lambda n: (f"10{n % 4:02d}", 404 if n % 2 else 200),
    "nothing that answers": lambda _: ("monitor", 503),
}


@pytest.mark.parametrize("asks", MONITORS)
@pytest.mark.parametrize(("every", "protocol"), [(5.0, UDP), (30.0, TCP)])
def test_a_monitor_that_sends_options_all_day(
    it: Edge, asks: str, every: float, protocol: int
) -> None:
    for number in range(300):
        user, status = MONITORS[asks](number)
        it.ask(OFFICE, "OPTIONS", user, status, protocol=protocol)
        it.now += every
    it.honest()


# --- our own failures ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_our_server_refuses_everybody_for_five_minutes(it: Edge, status: int) -> None:
    """Its database is away. Two hundred homes and an office of fifty know nothing of it."""
    homes = [f"192.0.2.{number}" for number in range(20, 180)]
    for home in homes:
        it.login(home, home, 5060)
    for number, port in enumerate(ports(50)):
        it.login(OFFICE, f"u{number}", port)
    it.now += HOUR
    for _round in range(5):
        for home in homes:
            it.ask(home, "REGISTER", home, status)
        for number, port in enumerate(ports(10)):
            it.ask(OFFICE, "REGISTER", f"u{number}", status, port=port)
        it.now += MINUTE
    it.honest()
