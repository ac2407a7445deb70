"""One phone of an honest user: it registers, subscribes, calls, and makes honest mistakes."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

from bench.simulation.line import Actor, Line
from bench.simulation.sip import DOMAIN, Ask, address, credential

DAY: Final = 86400.0

AGENTS: Final = (
    "Yealink SIP-T46S 66.86.0.15", "Grandstream GXP2170 1.0.11.6", "PolycomVVX-VVX_411-UA/6.4",
    "Cisco/SPA504G-7.6.2f", "snomD785/10.1.64.14", "Linphone/4.4.0", "Zoiper rv2.10.11",
    "FRITZ!OS", "MicroSIP/3.21.3", "Bria 6.5.1", "baresip v1.1.0 (x86_64/linux)", "",
)  # fmt: skip

OUTCOMES: Final = ((200, 62), (487, 14), (486, 9), (480, 6), (408, 2), (404, 4), (484, 1), (603, 2))
"""How calls of people end, in percent: answered, given up, busy, away, and 5 % wrong numbers."""


@dataclass
class Habits:
    """What differs between phones."""

    expires: float = 3600.0
    caches_nonce: bool = False
    calls_a_day: float = 6.0
    redials: float = 0.3
    """How often a wrong number is tried once more, as people do who mistrust their fingers."""
    lamps: int = 0
    """Users that it subscribes to when it starts and every hour."""
    dead_lamps: int = 0
    """Of them, those that have left the firm."""
    keepalive: float = 0.0
    """Seconds between OPTIONS, to keep a NAT open; 0: none."""
    by_address: bool = False
    """It knows the server by its address, and has a private one in Contact and Via."""


class Phone(Actor):
    """A user at a :class:`Line`."""

    def __init__(
        self, rng: random.Random, line: Line, user: str, habits: Habits, peers: tuple[str, ...]
    ) -> None:
        super().__init__(rng)
        self.line = replace(line, actor=self)
        self.user = user
        self.habits = habits
        self.wrong_until = 0.0
        """Until when it has the wrong password."""
        self.patience = 60.0
        """Seconds between two attempts after a failure."""
        self._peers = peers
        self._agent = rng.choice(AGENTS)
        self._nonce = ""
        self._count = 0
        self._registration = self._id()
        self._cseq = rng.randrange(1, 1000)

    def live(self, start: float, end: float) -> None:
        """An agenda from ``start`` (it is switched on) to ``end``."""
        self.at(start, self.register)
        if self.habits.lamps:
            self.at(start + self.rng.uniform(1, 5), self._subscribe)
        if self.habits.keepalive:
            self.at(start + self.habits.keepalive, self._keepalive)
        day = start - start % DAY
        while day < end:
            for _ in range(_poisson(self.rng, self.habits.calls_a_day)):
                self.at(day + DAY * self.rng.betavariate(4, 4), self._dial)
            day += DAY

    def register(self, now: float) -> None:
        """Register, and again before that expires."""
        done = self._authenticated(now, "REGISTER", f"sip:{self._host}", self.user)
        if done is not None:
            self.at(done + self.habits.expires * self.rng.uniform(0.5, 0.95), self.register)
        else:
            self.at(now + self.patience * self.rng.uniform(0.8, 1.2), self.register)

    def restart(self, now: float) -> None:
        """Power comes back: begin anew, from another port where a NAT picks them."""
        self._nonce, self._registration = "", self._id()
        if self.habits.by_address:
            self.line.port = self.rng.randrange(1024, 65536)
        self._authenticated(now, "REGISTER", f"sip:{self._host}", self.user)
        if self.habits.lamps:
            self._subscribe(now + self.rng.uniform(1, 5), again=False)

    @property
    def _host(self) -> str:
        return "198.51.100.10" if self.habits.by_address else DOMAIN

    def _tag(self) -> str:
        return self.line.server.tag(self.rng)

    def _id(self) -> str:
        return f"{self.rng.getrandbits(64):016x}@192.168.1.{self.rng.randrange(2, 250)}"

    def ask(self, method: str, uri: str, to: str, call_id: str, **more: str) -> Ask:
        """A request of this phone's."""
        self._cseq += 1
        via = f"192.168.1.20:{self.line.port}"
        contact = f"<sip:{self.user}@{via}>"
        return Ask(
            method, uri, address(self.user, self._host), address(to, self._host), call_id,
            self._cseq, f"z9hG4bK{self.rng.getrandbits(48):012x}", via, self._agent,
            contact=contact if method != "OPTIONS" else "", **more,
        )  # fmt: skip

    def _authenticated(
        self, now: float, method: str, uri: str, to: str, status: int = 200
    ) -> float | None:
        """A request that needs a credential; when it was taken, None if it never was."""
        call_id = self._registration if method == "REGISTER" else self._id()
        wrong = now < self.wrong_until
        for _attempt in range(3):
            ask = self.ask(method, uri, to, call_id)
            if self._nonce and (self.habits.caches_nonce or _attempt):
                self._count += 1
                ask = replace(ask, credential=self._credential(uri, wrong))
                if self.line.server.fresh(self._nonce, now):
                    if not wrong:
                        return self.line.exchange(now, ask, status)
                    self._nonce, self._count = self.line.server.nonce(now, self.rng), 0
                    self.line.exchange(now, ask, 401, nonce=self._nonce)
                    return None
                self._nonce, self._count = self.line.server.nonce(now, self.rng), 0
                done = self.line.exchange(now, ask, 401, nonce=self._nonce, stale=True)
            else:
                self._nonce, self._count = self.line.server.nonce(now, self.rng), 0
                done = self.line.exchange(now, ask, 401, nonce=self._nonce)
            if done is None:
                return None
            now = done + 0.01
        return None

    def _credential(self, uri: str, wrong: bool) -> str:
        # A server may give the same nonce twice within a second: the client's own never is.
        client = f"c{self._cseq}"
        response = f"{'bad' if wrong else 'good'}{self._count}{self._nonce}{client}"
        return credential(self.user, self._nonce, uri, self._count, response, client)

    def _subscribe(self, now: float, again: bool = True) -> None:
        for number in range(self.habits.lamps):
            dead = number < self.habits.dead_lamps
            user = f"gone{number}" if dead else self._peers[number % len(self._peers)]
            uri = f"sip:{user}@{self._host}"
            when = now + 0.05 * number
            if dead:
                ask = self.ask("SUBSCRIBE", uri, user, self._id())
                self.line.exchange(when, ask, 404)
            else:
                self._authenticated(when, "SUBSCRIBE", uri, user)
        if again:
            self.at(now + 3600.0, self._subscribe)

    def _keepalive(self, now: float) -> None:
        self.line.exchange(now, self.ask("OPTIONS", f"sip:{self._host}", "", self._id()), 200)
        self.at(now + self.habits.keepalive, self._keepalive)

    def _dial(self, now: float) -> None:
        statuses, weights = zip(*OUTCOMES, strict=True)
        status = self.rng.choices(statuses, weights)[0]
        wrong = status in (404, 484)
        number = _number(self.rng) if wrong or self.rng.random() < 0.6 else self._peer()
        self._call(now, number, status)
        if wrong:
            while self.rng.random() < self.habits.redials:
                now += self.rng.uniform(5, 30)
                self._call(now, number, status)
            self.at(now + self.rng.uniform(10, 60), lambda at: self._call(at, _number(self.rng)))

    def _peer(self) -> str:
        return self.rng.choice(self._peers)

    def _call(self, now: float, number: str, status: int = 200) -> None:
        """A call of one to many minutes, or its failure."""
        call_id, uri = self._id(), f"sip:{number}@{self._host}"
        ask = self.ask("INVITE", uri, number, call_id)
        nonce = self.line.server.nonce(now, self.rng)
        acked = self.line.invite(now, ask, 407, 0.0, self._tag(), nonce=nonce)
        if acked is None:
            return
        wrong = now < self.wrong_until
        self._nonce, self._count = nonce, 1
        ask = replace(
            self.ask("INVITE", uri, number, call_id), credential=self._credential(uri, wrong)
        )
        if wrong:
            again = self.line.server.nonce(now, self.rng)
            self.line.invite(acked + 0.01, ask, 407, 0.0, self._tag(), nonce=again)
            return
        rings = self.rng.uniform(2, 25) if status not in (404, 484, 603) else 0.2
        tag = self.line.server.tag(self.rng, status)
        acked = self.line.invite(acked + 0.01, ask, status, rings, tag)
        if status == 200 and acked is not None:
            lasts = min(self.rng.lognormvariate(4.5, 1.2), 7200.0)
            self.at(acked + lasts, lambda at: self._hang_up(at, number, call_id, tag))

    def _hang_up(self, now: float, number: str, call_id: str, tag: str) -> None:
        bye = self.ask("BYE", f"sip:{number}@{self._host}", number, call_id, to_tag=tag)
        self.line.exchange(now, bye, 200)


def _number(rng: random.Random) -> str:
    """As people dial: with and without area, abroad, star codes, and a hash at the end."""
    digits = f"{rng.randrange(10**10):010d}"
    return rng.choice(
        (f"0{digits[:9]}", f"+44{digits}", f"00{digits}1", digits[:4], f"*{digits[:2]}",
         f"0{digits[:9]}#")
    )  # fmt: skip


def _poisson(rng: random.Random, mean: float) -> int:
    """Knuth's; the means here are small."""
    count, product, limit = 0, rng.random(), 2.718281828459045**-mean
    while product > limit:
        count, product = count + 1, product * rng.random()
    return count
