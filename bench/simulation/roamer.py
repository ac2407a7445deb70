"""A softphone in somebody's pocket: a new address several times a day, and what comes of it.

It registers from the new address, takes its old binding away from there, sometimes repeats a
request that it began in another network, and calls before the new binding is known.
"""

from __future__ import annotations

from dataclasses import replace

from bench.simulation.phone import DAY, Phone
from bench.simulation.sip import address


class Roamer(Phone):
    """``moves`` are the addresses that it has, one after the other."""

    def roam(self, start: float, end: float, pool: list[bytes], a_day: float) -> None:
        """Change to another address of ``pool`` about ``a_day`` times a day."""
        when = start
        while when < end:
            when += self.rng.expovariate(a_day / DAY)
            self.at(when, lambda at: self._move(at, self.rng.choice(pool)))

    def _move(self, now: float, to: bytes) -> None:
        old = f"<sip:{self.user}@192.168.1.20:{self.line.port}>;expires=0"
        if self.rng.random() < 0.05 and self._nonce:
            self._torn(now, to)
        self.line.address, self.line.port = to, self.rng.randrange(1024, 65536)
        self._nonce, self._registration = "", self._id()
        if self.rng.random() < 0.5:
            self._remove(now, old)
        self._authenticated(now + 0.3, "REGISTER", f"sip:{self._host}", self.user)
        if self.rng.random() < 0.2:
            self._call(now + 0.4, self._peer())

    def _torn(self, now: float, to: bytes) -> None:
        """A REGISTER whose answer came to nobody is repeated from the next network."""
        uri = f"sip:{self._host}"
        self._count += 1
        ask = replace(
            self.ask("REGISTER", uri, self.user, self._registration),
            credential=self._credential(uri, False),
        )
        if not self.line.server.fresh(self._nonce, now):
            return
        answer = ask.answer(200, self._tag())
        self.line.out(now - 0.5, ask.message())
        self.line.back(now - 0.49, answer)
        moved = replace(self.line, address=to, port=self.rng.randrange(1024, 65536))
        moved.out(now, ask.message())
        moved.back(now + 0.01, answer)

    def _remove(self, now: float, old: str) -> None:
        """Take the binding of before away, with a credential, from the new address."""
        uri, call_id = f"sip:{self._host}", self._id()
        self._nonce, self._count = self.line.server.nonce(now, self.rng), 0
        first = replace(self.ask("REGISTER", uri, self.user, call_id), contact=old)
        if self.line.exchange(now, first, 401, nonce=self._nonce) is None:
            return
        self._count += 1
        again = replace(
            self.ask("REGISTER", uri, self.user, call_id), contact=old,
            credential=self._credential(uri, False), to=address(self.user, self._host),
        )  # fmt: skip
        self.line.exchange(now + 0.1, again, 200)
