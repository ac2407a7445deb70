"""Patient attackers among the honest: the other side of a small rate of false blocks.

A rate of false blocks says nothing unless attackers are still cut off, so these live in the same
days, and stop nowhere near what a limit of requests would see.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from bench.simulation.line import Line
from bench.simulation.machines import Machine
from bench.simulation.sip import DOMAIN, credential

PACES: Final = (1.0, 30.0, 300.0, 3600.0)
"""Seconds between two attempts. One in 30 seconds is what slow tools do by default."""
_AGENTS: Final = ("Yealink SIP-T46S 66.86.0.15", "Linphone/4.4.0", "baresip v1.1.0")


class Attacker(Machine):
    """Asks on and on, one attempt every ``pace`` seconds, unless its packets are dropped."""

    kind = ""

    def __init__(self, rng: random.Random, line: Line, victims: Sequence[str], pace: float) -> None:
        super().__init__(rng, line, rng.choice(victims), rng.choice(_AGENTS))
        self.line.loss = 0.0
        self.victims = victims
        self.pace = pace
        self.failures = 0
        """Answers that it learned nothing good from, of all days."""
        self.before_cut: int | None = None
        """Those before it was cut off for the first time; None: it never was."""
        self._cut_until = 0.0

    def cut(self, now: float, seconds: float) -> None:
        """A verdict: our switch drops its packets from now on, for so long."""
        self._cut_until = max(self._cut_until, now + seconds)
        if self.before_cut is None:
            self.before_cut = self.failures

    def attack(self, now: float) -> None:
        """One attempt, and the next one later."""
        self.at(now + self.pace * self.rng.uniform(0.9, 1.1), self.attack)
        if now >= self._cut_until:
            self.attempt(now)

    def attempt(self, now: float) -> None:
        """One."""
        raise NotImplementedError


class Guesser(Attacker):
    """Tries passwords of one user."""

    kind = "rejected credentials"

    def attempt(self, now: float) -> None:
        """A challenge is fetched and answered wrongly."""
        call_id, nonce = self.id(), self.line.server.nonce(now, self.rng)
        self.line.exchange(now, self.ask("REGISTER", self.user, call_id), 401, nonce=nonce)
        bad = credential(self.user, nonce, f"sip:{DOMAIN}", 1, f"{self.rng.getrandbits(64):x}")
        again = self.ask("REGISTER", self.user, call_id, credential=bad)
        next_nonce = self.line.server.nonce(now, self.rng)
        self.line.exchange(now + 0.1, again, 401, nonce=next_nonce)
        self.failures += 1


class Enumerator(Attacker):
    """Looks for users, and finds none."""

    kind = "users asked for in vain"

    def __init__(self, rng: random.Random, line: Line, victims: Sequence[str], pace: float) -> None:
        super().__init__(rng, line, victims, pace)
        self._method = rng.choice(("REGISTER", "OPTIONS", "INVITE"))
        self._number = rng.randrange(100, 10_000)

    def attempt(self, now: float) -> None:
        """The next user."""
        self._number += 1
        ask = self.ask(self._method, str(self._number), self.id())
        if self._method == "INVITE":
            self.line.invite(now, ask, 404, 0.0, self.line.server.tag(self.rng))
        else:
            self.line.exchange(now, ask, 404)
        self.failures += 1


KINDS: Final = (Guesser, Enumerator)
