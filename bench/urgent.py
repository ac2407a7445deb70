"""Blocks one after the other while something else goes on, and when each was in force.

``python -m bench.urgent REDIS_SOCKET`` (run in the outside namespace): about every 25 ms it
writes the block of a source that sends a frame a millisecond, as docs/redis.md has it, until
SIGTERM. Prints JSON, a list of [when it was written, seconds until it was in force]:
that is, until the first frame was sent of those of which none came through any more.
"""

from __future__ import annotations

import gc
import json
import random
import signal
import sys
import time
from dataclasses import dataclass, field

import redis

from bench.probe import Probe

_EVERY: float = 0.025
_PACE: float = 0.001
_BEFORE: int = 10
"""Frames that have to come through before the block is written."""
_QUIET: float = 0.1
"""Seconds without a frame that came through, after which no more are sent."""


@dataclass
class Attempt:
    """One source."""

    source: bytes
    sent: list[float] = field(default_factory=list)
    last: int = -1
    """The number of the last frame that came through."""
    heard: float = 0.0
    passed: int = 0
    written: float | None = None

    def over(self, now: float) -> bool:
        """Whether its block is in force, as far as one can see."""
        return self.written is not None and now - max(self.heard, self.written) > _QUIET

    def found(self) -> tuple[float, float]:
        """When it was written, and how long it took."""
        if self.written is None or self.last + 1 >= len(self.sent):
            raise SystemExit(f"{self.source!r} was not blocked to the end")
        return self.written, max(0.0, self.sent[self.last + 1] - self.written)


class Attempts:
    """Those that go on, and those that are over."""

    def __init__(self, socket: str) -> None:
        """``socket``: Redis' own."""
        self._redis = redis.Redis.from_url(f"unix://{socket}")
        self._probe = Probe()
        self._going: dict[bytes, Attempt] = {}
        self._all: dict[bytes, Attempt] = {}
        self._numbers = iter(range(1 << 20))
        self.stopping = False

    def run(self) -> list[tuple[float, float]]:
        """Until stopped."""
        began = due = time.monotonic()
        while self._going or not self.stopping:
            now = time.monotonic()
            if now >= due and not self.stopping:
                self._begin()
                due = now + _EVERY * random.uniform(0.6, 1.4)
            for attempt in list(self._going.values()):
                self._go_on(attempt, now)
            self._receive()
            if self.stopping and now - began > 300.0:
                raise SystemExit("a block never comes into force")
            time.sleep(0.0002)
        time.sleep(0.5)
        self._receive()
        return [attempt.found() for attempt in self._all.values()]

    def _begin(self) -> None:
        source = (0x2D000000 + next(self._numbers)).to_bytes(4, "big")
        self._going[source] = self._all[source] = Attempt(source)

    def _go_on(self, attempt: Attempt, now: float) -> None:
        if not attempt.sent or now - attempt.sent[-1] >= _PACE:
            self._probe.send(attempt.source, len(attempt.sent))
            attempt.sent.append(time.monotonic())
        if attempt.written is None and attempt.passed >= _BEFORE:
            if self.stopping:  # too late to begin
                del self._going[attempt.source]
                del self._all[attempt.source]
                return
            attempt.written = time.monotonic()
            self._write(".".join(map(str, attempt.source)))
        elif attempt.over(now):
            del self._going[attempt.source]

    def _write(self, target: str) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zadd("sdnblock:origin:honeypot", {target: "+inf"})
            pipe.xadd(
                "sdnblock:changes", {"key": "origin:honeypot", "target": target}, maxlen=10000
            )
            pipe.execute()

    def _receive(self) -> None:
        now = time.monotonic()
        for source, number in self._probe.numbers():
            attempt = self._all.get(source)
            if attempt is not None:
                attempt.last = max(attempt.last, number)
                attempt.passed += 1
                attempt.heard = now
                self._going[source] = attempt  # also again: the switch had only been slow


def main() -> None:
    """Measure and print."""
    attempts = Attempts(sys.argv[1])

    def stop(*_: object) -> None:
        attempts.stopping = True

    signal.signal(signal.SIGTERM, stop)
    gc.disable()
    print(json.dumps(attempts.run()))


if __name__ == "__main__":
    main()
