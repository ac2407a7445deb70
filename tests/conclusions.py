"""What is read of much traffic, honest, hostile and damaged, and what is concluded from it.

    python -m tests.conclusions

Always the same text; so two builds can be compared (see test_native.py).
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.replay_traffic import everyday, worst, write
from sdnblock.detect.engine import Engine
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.sides import Sides, guess_ours
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.frames import LINK_TYPES, decode
from sdnblock.evidence.sip import parse_message
from sdnblock.evidence.sip_stream import SipStream
from sdnblock.replay import read_events, replay
from tests.damage import damaged

_HEADERS: Final = 42
"""Bytes of Ethernet, IPv4 and UDP."""


def main() -> None:
    """Print it."""
    for line in told():
        print(line)


def told() -> Iterator[str]:
    """Line by line."""
    with tempfile.TemporaryDirectory() as place:
        for name, packets in (("everyday", everyday(6000)), ("worst", worst(1000))):
            path = Path(place) / name
            write(path, packets)
            events = list(read_events(path))
            yield from (str(each.row()) for each in replay(events, (), DetectSettings(), ()))
            for seed in range(3):
                yield from _observed(
                    _damaged(events, random.Random(seed)), Sides(guess_ours(events))
                )
            frames = [frame for _, frame in (everyday if name == "everyday" else worst)(300)]
            yield from _read(frames, random.Random(name))


def _observed(events: list[SipSeen], sides: Sides) -> Iterator[str]:
    engine = Engine(DetectSettings(), sides)
    for event in events:
        yield from map(repr, engine.observe(event))
    for table in engine.memory.tables():
        rows = (table.row(key) for key, _ in table.items())
        yield from sorted(f"{table.kind.name} {row}" for row in rows)


def _damaged(events: list[SipSeen], rng: random.Random) -> list[SipSeen]:
    """Some lost, some twice, some by TCP or with another's message, some too late."""
    found: list[SipSeen] = []
    for event in events:
        luck = rng.random()
        if luck < 0.05:
            continue
        found.append(event)
        if luck < 0.15:
            found.append(event)
        if luck < 0.20:
            message = rng.choice(events).message if rng.random() < 0.3 else event.message
            found.append(
                SipSeen(
                    event.time,
                    6 if rng.random() < 0.3 else 17,
                    event.source,
                    rng.randrange(1, 4),
                    event.destination,
                    event.destination_port,
                    message,
                    "damaged",
                    established=rng.random() < 0.5,
                    sampled=rng.random() < 0.2,
                    whole=rng.random() < 0.9,
                )
            )
    for at in range(0, len(found) - 4, 7):
        if rng.random() < 0.3:
            other = at + rng.randrange(1, 4)
            found[at], found[other] = found[other], found[at]
    return found


def _read(frames: list[bytes], rng: random.Random) -> Iterator[str]:
    """Frames, messages and streams with holes and things that do not belong there."""
    payloads = [frame[_HEADERS:] for frame in frames]
    for _ in range(4 * len(frames)):
        frame = damaged(frames, rng)
        yield from (repr(decode(link_type, frame)) for link_type in LINK_TYPES)
        payload = damaged(payloads, rng)
        yield _all_of(payload)
        stream, cut = SipStream(), rng.randrange(len(payload) + 1)
        for part in (payload[:cut], payload[cut:], rng.choice(payloads)):
            yield " ".join(repr(each) for each in stream.feed(part))


def _all_of(payload: bytes) -> str:
    message = parse_message(payload)
    if message is None:
        return "none"
    return repr(
        (
            message,
            message.fields,
            message.repeated,
            message.transaction,
            message.from_,
            message.to,
            message.from_tag,
            message.to_tag,
            message.request_uri,
            message.contacts,
            message.credentials,
            message.challenges,
            message.content_length,
            message.session_expires,
        )
    )


if __name__ == "__main__":
    main()
