"""A client's way to a server, seen at our edge: what is lost, and what is repeated for it.

Loss may strike before our edge (then we do not see it) or behind it. Repetition as RFC 3261 has
it: a request after 0.5, 1, 2, 4 s (17.1.1.2, 17.1.2.2), a final answer to an INVITE likewise until
its ACK comes (17.2.1, 13.3.1.4).
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from bench.simulation.server import Server
from bench.simulation.sip import Ask
from sdnblock.block import TCP, UDP
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.sip import SipMessage

_REPEAT: Final = (0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5)
_ANSWER_AFTER: Final = 0.003
_order = itertools.count()


@dataclass
class Actor:
    """Somebody with an agenda, whose messages come out in the order of time."""

    rng: random.Random
    _agenda: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    _out: list[tuple[float, int, SipSeen]] = field(default_factory=list)

    def at(self, time: float, act: Callable[[float], None]) -> None:
        """Do ``act(time)`` at ``time``."""
        heapq.heappush(self._agenda, (time, next(_order), act))

    def emit(self, event: SipSeen) -> None:
        """A message that is seen."""
        heapq.heappush(self._out, (event.time, next(_order), event))

    def events(self, end: float) -> Iterator[SipSeen]:
        """All that is seen before ``end``."""
        agenda, out = self._agenda, self._out
        while agenda or out:
            if out and (not agenda or out[0][0] <= agenda[0][0]):
                yield heapq.heappop(out)[2]
            elif agenda[0][0] >= end:
                agenda.clear()
            else:
                time, _, act = heapq.heappop(agenda)
                act(time)


@dataclass
class Line:
    """An address and port as our edge sees them, and how good the way there is."""

    actor: Actor
    server: Server
    address: bytes
    port: int
    loss: float = 0.005
    delay: float = 0.02
    tcp: bool = False

    def out(self, time: float, message: SipMessage) -> None:
        """The client's message passes our edge."""
        self._emit(time, message, True)

    def back(self, time: float, message: SipMessage) -> None:
        """Our server's message passes our edge."""
        self._emit(time, message, False)

    def lost(self) -> bool:
        """Whether one message does not make it over one half of the way."""
        return not self.tcp and self.actor.rng.random() < self.loss

    def exchange(self, time: float, ask: Ask, status: int, **challenge: object) -> float | None:
        """A request other than INVITE and its answer; when that arrives, None if never."""
        request = ask.message()
        answer = ask.answer(status, self.server.tag(self.actor.rng), **challenge)  # type: ignore[arg-type]
        for wait in _REPEAT:
            if self.lost():
                continue
            seen = time + wait + self.delay
            self.out(seen, request)
            if self.lost():
                continue
            self.back(seen + _ANSWER_AFTER, answer)
            if self.lost():
                continue
            return seen + _ANSWER_AFTER + self.delay
        return None

    def invite(
        self, time: float, ask: Ask, status: int, rings: float, tag: str, **challenge: object
    ) -> float | None:
        """An INVITE, what it rings, its final answer and ACK; when that is out, None if the
        server never got it. ``tag`` is the server's."""
        request = ask.message()
        for wait in _REPEAT:
            if self.lost():
                continue
            seen = time + wait + self.delay
            self.out(seen, request)
            if self.lost():
                continue
            if not challenge:
                self.back(seen + _ANSWER_AFTER, ask.answer(100, ""))
            if not self.lost():
                break
        else:
            return None
        if not challenge and rings:
            self.back(seen + 0.1, ask.answer(180, tag))
        answered = seen + _ANSWER_AFTER + rings
        answer = ask.answer(status, tag, **challenge)  # type: ignore[arg-type]
        ack = Ask(
            "ACK", ask.uri, ask.sender, ask.to, ask.call_id, ask.cseq, ask.branch, ask.via,
            ask.agent, ask.tag, tag,
        ).message()  # fmt: skip
        for wait in _REPEAT:
            self.back(answered + wait, answer)
            if self.lost():
                continue
            acked = answered + wait + 2 * self.delay
            if self.lost():
                continue
            self.out(acked, ack)
            return acked
        return answered + _REPEAT[-1]

    def _emit(self, time: float, message: SipMessage, inbound: bool) -> None:
        ours, theirs = (self.server.address, 5060), (self.address, self.port)
        (source, source_port), (to, to_port) = (theirs, ours) if inbound else (ours, theirs)
        self.actor.emit(
            SipSeen(
                time, TCP if self.tcp else UDP, source, source_port, to, to_port, message, "edge",
                established=self.tcp,
            )
        )  # fmt: skip
