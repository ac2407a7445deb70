"""Honest machines: trunks, other operators' gateways, monitors."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

from bench.simulation.line import Actor, Line
from bench.simulation.phone import DAY
from bench.simulation.sip import DOMAIN, Ask, address, credential

TRUNK: Final = ((200, 58), (487, 12), (486, 10), (480, 9), (404, 7), (503, 3), (484, 1))
DIALLER: Final = ((200, 30), (487, 10), (486, 12), (480, 16), (404, 28), (603, 3), (484, 1))
"""A dialler with a bad list: nearly every third number does not exist."""


class Machine(Actor):
    """A machine at a line, which calls and asks as one user or as none."""

    def __init__(self, rng: random.Random, line: Line, user: str, agent: str) -> None:
        super().__init__(rng)
        self.line = replace(line, actor=self)
        self.user = user
        self.agent = agent
        self._cseq = 0

    def ask(
        self, method: str, to: str, call_id: str, sender: str = "", to_tag: str = "",
        credential: str = "",
    ) -> Ask:  # fmt: skip
        """A request of this machine's."""
        self._cseq += 1
        uri = f"sip:{to}@{DOMAIN}" if to else f"sip:{DOMAIN}"
        return Ask(
            method, uri, address(sender or self.user), address(to), call_id, self._cseq,
            f"z9hG4bK{self.rng.getrandbits(48):012x}", f"198.18.0.1:{self.line.port}", self.agent,
            to_tag=to_tag, credential=credential, contact=f"<sip:198.18.0.1:{self.line.port}>",
        )  # fmt: skip

    def id(self) -> str:
        """A Call-ID."""
        return f"{self.rng.getrandbits(64):016x}"


@dataclass(frozen=True)
class Traffic:
    """How much a trunk calls, and how that ends."""

    calls_a_day: float
    outcomes: tuple[tuple[int, int], ...]
    authenticated: bool
    ping: float = 60.0


class Trunk(Machine):
    """A PBX or an operator's gateway: calls under many From numbers, by one user or by none."""

    def run(self, start: float, end: float, traffic: Traffic) -> None:
        """An agenda: calls mostly in working hours, and OPTIONS all the time."""
        self.at(start, lambda at: self._ping(at, traffic.ping))
        if traffic.authenticated:
            self.at(start, self._register)
        day = start - start % DAY
        while day < end:
            for _ in range(int(traffic.calls_a_day)):
                when = day + DAY * self.rng.betavariate(5, 5)
                if start <= when < end:
                    self.at(when, lambda at: self._call(at, traffic))
            day += DAY

    def _ping(self, now: float, every: float) -> None:
        self.line.exchange(now, self.ask("OPTIONS", "", self.id()), 200)
        self.at(now + every, lambda at: self._ping(at, every))

    def _register(self, now: float) -> None:
        call_id, nonce = self.id(), self.line.server.nonce(now, self.rng)
        self.line.exchange(now, self.ask("REGISTER", self.user, call_id), 401, nonce=nonce)
        given = credential(self.user, nonce, f"sip:{DOMAIN}", 1, f"good{nonce}")
        self.line.exchange(
            now + 0.1, self.ask("REGISTER", self.user, call_id, credential=given), 200
        )
        self.at(now + 1800, self._register)

    def _call(self, now: float, traffic: Traffic) -> None:
        statuses, weights = zip(*traffic.outcomes, strict=True)
        status = self.rng.choices(statuses, weights)[0]
        number = f"0{self.rng.randrange(10**9):09d}"
        sender, call_id = f"0{self.rng.randrange(10**9):09d}", self.id()
        given = ""
        if traffic.authenticated:
            nonce = self.line.server.nonce(now, self.rng)
            asked = self.ask("INVITE", number, call_id, sender)
            done = self.line.invite(now, asked, 407, 0.0, self._tag(), nonce=nonce)
            if done is None:
                return
            now = done + 0.01
            given = credential(self.user, nonce, f"sip:{number}@{DOMAIN}", 1, f"good{nonce}")
        asked = self.ask("INVITE", number, call_id, sender, credential=given)
        rings, tag = self.rng.uniform(1, 20), self.line.server.tag(self.rng, status)
        acked = self.line.invite(now, asked, status, rings if status != 404 else 0.1, tag)
        if status == 200 and acked is not None:
            lasts = min(self.rng.lognormvariate(4.2, 1.2), 7200.0)
            self.at(acked + lasts, lambda at: self._hang_up(at, number, call_id, sender, tag))

    def _hang_up(self, now: float, number: str, call_id: str, sender: str, tag: str) -> None:
        self.line.exchange(now, self.ask("BYE", number, call_id, sender, tag), 200)

    def _tag(self) -> str:
        return self.line.server.tag(self.rng)


class Monitor(Machine):
    """Asks all day whether we live: the server, or test users of whom some are long gone."""

    def watch(self, start: float, every: float, users: tuple[tuple[str, int], ...]) -> None:
        """OPTIONS ``every`` so many seconds, to (user, answer) after (user, answer)."""
        self.at(start, lambda at: self._look(at, every, users, 0))

    def _look(
        self, now: float, every: float, users: tuple[tuple[str, int], ...], number: int
    ) -> None:
        user, status = users[number % len(users)]
        self.line.exchange(now, self.ask("OPTIONS", user, self.id()), status)
        self.at(now + every, lambda at: self._look(at, every, users, number + 1))
