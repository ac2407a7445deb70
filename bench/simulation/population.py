"""Who is out there: homes, offices, softphones on the move, PBXs, trunks, gateways, monitors.

Shares and rates: a registration an hour (RFC 3261, 10.2, and most providers), half of it in phones
that stay; five in a hundred calls go to wrong numbers (2 to 10 % are usual); one phone in
two hundred starts a day with a wrong password; one office in thirty has a power cut on a day.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.simulation.attackers import KINDS, PACES, Attacker
from bench.simulation.line import Actor, Line
from bench.simulation.machines import DIALLER, TRUNK, Monitor, Traffic, Trunk
from bench.simulation.phone import DAY, Habits, Phone
from bench.simulation.roamer import Roamer
from bench.simulation.server import Server

SHARES = {
    "home": 0.885,
    "mobile": 0.05,
    "office": 0.025,
    "pbx": 0.012,
    "trunk": 0.0015,
    "dialler": 0.0005,
    "gateway": 0.01,
    "monitor": 0.0155,
}
"""Of all addresses."""
_HOST = bytes(7) + b"\x10"
"""The lower half of every IPv6 address."""


@dataclass
class Population:
    """Everybody, and whose address is whose."""

    rng: random.Random
    servers: tuple[Server, ...]
    start: float
    end: float
    actors: list[Actor] = field(default_factory=list)
    kinds: dict[bytes, str] = field(default_factory=dict)
    phones: dict[bytes, list[Phone]] = field(default_factory=dict)
    attackers: dict[bytes, Attacker] = field(default_factory=dict)
    _next: int = 0

    def fill(self, count: int) -> None:
        """``count`` addresses and what is behind them."""
        for kind, share in SHARES.items():
            for _ in range(max(1, round(count * share))):
                self._make(kind)
        self._roamers()

    def attack(self, each: int) -> None:
        """``each`` attackers of every kind and pace, from addresses where nobody else is."""
        users = [phone.user for phones in self.phones.values() for phone in phones]
        for kind in KINDS:
            for pace in PACES:
                for _ in range(each):
                    address = self._address()
                    self.kinds[address] = "attacker"
                    line = self._line(self.rng.choice(self.servers), address)
                    attacker = kind(self.rng, line, users, pace)
                    attacker.at(self.start + self.rng.uniform(0, DAY / 2), attacker.attack)
                    self.attackers[address] = attacker
                    self.actors.append(attacker)

    def _make(self, kind: str) -> None:
        server, address = self.rng.choice(self.servers), self._address()
        self.kinds[address] = kind
        if kind == "home":
            self._home(server, address)
        elif kind == "office":
            self._office(server, address)
        elif kind in ("pbx", "trunk", "dialler", "gateway"):
            self._trunk(kind, server, address)
        elif kind == "monitor":
            self._monitor(server, address)

    def _address(self) -> bytes:
        """Every tenth a /64 of IPv6."""
        self._next += 1
        number = self._next
        if number % 10 == 0:
            return bytes.fromhex("20010db8") + number.to_bytes(4, "big") + _HOST
        return bytes((20 + (number >> 16), number >> 8 & 255, number & 255, 7))

    def _line(self, server: Server, address: bytes) -> Line:
        bad = self.rng.random() < 0.02
        port = 5060 if self.rng.random() < 0.3 else self.rng.randrange(1024, 65536)
        return Line(
            Actor(self.rng), server, address, port, self.rng.uniform(0.05, 0.2) if bad else 0.005,
            self.rng.uniform(0.005, 0.08), self.rng.random() < 0.1,
        )  # fmt: skip

    def _phone(self, line: Line, user: str, habits: Habits, peers: tuple[str, ...]) -> Phone:
        phone = Phone(self.rng, line, user, habits, peers)
        phone.live(self.start + self.rng.uniform(0, 3600), self.end)
        self._mistakes(phone)
        self.actors.append(phone)
        self.phones.setdefault(line.address, []).append(phone)
        return phone

    def _mistakes(self, phone: Phone) -> None:
        """A wrong password: for a few minutes, as when somebody types it, or until somebody
        looks after it."""
        day = self.start
        while day < self.end:
            chance = self.rng.random()
            if chance < 0.005:
                lasts = self.rng.uniform(20, 180) if chance < 0.003 else self.rng.uniform(600, DAY)
                begins = day + self.rng.uniform(0, DAY)
                phone.patience = self.rng.choice((30.0, 60.0, 120.0, 300.0))
                phone.at(begins, lambda at, until=lasts: _mistype(phone, at, at + until))  # type: ignore[misc]
            day += DAY

    def _home(self, server: Server, address: bytes) -> None:
        base = f"2{self._next:06d}"
        for number in range(1 if self.rng.random() < 0.7 else 2):
            habits = Habits(
                expires=self.rng.choice((3600.0, 3600.0, 7200.0)),
                caches_nonce=self.rng.random() < 0.5,
                calls_a_day=self.rng.choice((0.5, 1.0, 4.0)),
                keepalive=30.0 if self.rng.random() < 0.002 else 0.0,
                by_address=self.rng.random() < 0.3,
            )
            line = self._line(server, address)
            self._phone(line, f"{base}{number}", habits, (f"{base}9", "1000", "3117"))

    def _office(self, server: Server, address: bytes) -> None:
        size = min(200, 3 + int(self.rng.lognormvariate(2.0, 1.0)))
        users = tuple(f"o{self._next}x{number}" for number in range(size))
        lamps = self.rng.choice((0, 0, 3, 8))
        dead = self.rng.choice((1, 2, 5)) if lamps and self.rng.random() < 0.2 else 0
        caches = self.rng.random() < 0.5
        members = []
        for user in users:
            habits = Habits(
                expires=3600.0, caches_nonce=caches, calls_a_day=5.0, lamps=lamps,
                dead_lamps=min(dead, lamps), by_address=False,
            )  # fmt: skip
            line = self._line(server, address)
            line.port = self.rng.randrange(1024, 65536)
            members.append(self._phone(line, user, habits, users))
        day = self.start
        while day < self.end:
            if self.rng.random() < 1 / 30:
                cut = day + self.rng.uniform(0, DAY)
                for phone in members:
                    phone.at(cut + self.rng.uniform(0, 25), phone.restart)
            day += DAY

    def _roamers(self) -> None:
        """As many as the mobile operators have addresses: each serves many of them."""
        pool = [address for address, kind in self.kinds.items() if kind == "mobile"]
        for number in range(len(pool)):
            server = self.rng.choice(self.servers)
            line = self._line(server, self.rng.choice(pool))
            habits = Habits(calls_a_day=2.0, caches_nonce=self.rng.random() < 0.5)
            roamer = Roamer(self.rng, line, f"m{number}", habits, ("1000", f"m{number + 1}"))
            roamer.live(self.start + self.rng.uniform(0, 3600), self.end)
            roamer.roam(self.start + 3600, self.end, pool, 6.0)
            self.actors.append(roamer)

    def _trunk(self, kind: str, server: Server, address: bytes) -> None:
        calls = {"pbx": self.rng.uniform(10, 200), "trunk": 800, "dialler": 800}.get(kind, 40)
        traffic = Traffic(
            calls, DIALLER if kind == "dialler" else TRUNK,
            kind == "pbx" or (kind == "dialler" and self.rng.random() < 0.5), 300.0,
        )  # fmt: skip
        line = self._line(server, address)
        line.port, line.loss = 5060, 0.002
        trunk = Trunk(self.rng, line, f"t{self._next}", "Asterisk PBX 18.10.0")
        trunk.run(self.start + self.rng.uniform(0, 600), self.end, traffic)
        self.actors.append(trunk)

    def _monitor(self, server: Server, address: bytes) -> None:
        users = self.rng.choice(
            (
                (("", 200),),
                (("monitor", 200),),
                (("no-such-user", 404),),
                (("1001", 200), ("1002", 200), ("gone", 404)),
            )
        )
        monitor = Monitor(self.rng, self._line(server, address), "monitor", "blackbox/0.24")
        monitor.watch(
            self.start + self.rng.uniform(0, 60), self.rng.choice((30.0, 60.0, 120.0)), users
        )
        self.actors.append(monitor)

    def known(self, source: bytes) -> bytes:
        """Whose address ``source`` is: itself, or the one inhabitant of a /64 of IPv6."""
        return source if len(source) == 4 else source[:8] + _HOST

    def wrong(self, address: bytes, now: float) -> Iterator[Phone]:
        """Phones at an address that have a wrong password, or had one within an hour."""
        return (
            phone for phone in self.phones.get(address, ()) if now - phone.wrong_until < 3600.0
            and phone.wrong_until
        )  # fmt: skip


def _mistype(phone: Phone, now: float, until: float) -> None:
    phone.wrong_until = until
    phone.register(now)
