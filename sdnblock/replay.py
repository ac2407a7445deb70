"""A capture through the detectors, on its own clock: what would have been blocked, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sdnblock.block import TCP, Action, Prefix, Source, Target, source_of
from sdnblock.detect.decision import Decision
from sdnblock.detect.engine import Engine
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.request_rate import RequestRateSettings
from sdnblock.detect.scanner import ScannerSettings
from sdnblock.detect.sides import Sides, guess_ours
from sdnblock.detect.verdict import Verdict
from sdnblock.detect.window import RequestWindow
from sdnblock.evidence.capture import read_capture
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.frames import Segment
from sdnblock.evidence.sip import SipMessage, parse_message
from sdnblock.evidence.tcp import TcpDirection
from sdnblock.signature_file import read_signatures

_STREAMS: Final = 10_000


@dataclass(slots=True)
class _Source:
    first: float
    """When it was first seen."""
    messages: int = 0


def read_events(path: Path) -> Iterator[SipSeen]:
    """Every SIP message of a capture. Raises CaptureError."""
    streams: dict[tuple[bytes, int, bytes, int], TcpDirection] = {}
    name = path.name
    for time, segment in read_capture(path):
        payload = segment.payload
        if segment.protocol != TCP:
            message = parse_message(payload) if payload else None
            if message is not None:
                yield SipSeen(
                    time, segment.protocol, segment.source, segment.source_port,
                    segment.destination, segment.destination_port, message, name,
                )  # fmt: skip
            continue
        key = (segment.source, segment.source_port, segment.destination, segment.destination_port)
        if segment.payload:
            if key not in streams and len(streams) >= _STREAMS:
                streams.clear()
            # Both sides have sent data: no forged segments, the connection stands.
            stands = (*key[2:], *key[:2]) in streams
            stream = streams.setdefault(key, TcpDirection())
            for message in stream.feed(segment.sequence, segment.payload):
                yield _seen(time, segment, message, name, stands and stream.in_step)
        if segment.ends:
            streams.pop(key, None)


def replay(
    events: Sequence[SipSeen],
    trusted: Iterable[Source | Prefix],
    detect: DetectSettings,
    allow: Iterable[Source | Prefix],
) -> list[Decision]:
    """What the detectors decide on ``events``. Without ``trusted`` our side is guessed.
    Raises ConfigError for a file of signatures that cannot be read.

    A source that is blocked already is not decided on again until its block has expired.
    """
    ours = list(trusted) or list(guess_ours(events))
    sides, allowed = Sides(ours), Sides(allow)
    engine = Engine(detect, sides)
    if file := detect.of(ScannerSettings).file:
        engine.signatures.replace("file", read_signatures(file)[0])
    rate = detect.of(RequestRateSettings)
    window = RequestWindow(rate.threshold if rate.enabled else 0, rate.window)
    sources: dict[bytes, _Source] = {}
    blocked: dict[Target, tuple[Action, float]] = {}
    decisions = []
    observe, count, is_ours = engine.observe, window.request, sides.ours
    for event in events:
        inbound = not is_ours(event.source)
        if inbound:
            source = sources.get(event.source)
            if source is None:
                source = sources[event.source] = _Source(event.time)
            source.messages += 1
        conclusions = observe(event)
        if inbound and not event.message.status:
            crossed = count(event)
            if crossed is not None:
                conclusions += observe(crossed)
        for verdict in conclusions:
            if not isinstance(verdict, Verdict):
                continue
            remote = verdict.source
            if allowed.ours(remote) or _held(blocked, verdict, event.time):
                continue
            blocked[verdict.target] = (verdict.action, event.time + verdict.seconds)
            found = sources.get(remote) or _Source(event.time)
            decisions.append(Decision(verdict, remote, found.first, event.time, found.messages))
    return decisions


def _seen(
    time: float, segment: Segment, message: SipMessage, via: str, established: bool = False
) -> SipSeen:
    return SipSeen(
        time, segment.protocol, segment.source, segment.source_port,
        segment.destination, segment.destination_port, message, via, established=established,
    )  # fmt: skip


def _held(blocked: dict[Target, tuple[Action, float]], verdict: Verdict, now: float) -> bool:
    """Whether a block in force covers the verdict with at least its action."""
    address, length = source_of(verdict.target)
    covers: list[Target] = [verdict.target]
    if length == len(address) * 8:
        covers.append(Source(address))
        if len(address) == 16:
            covers.append(Prefix(address[:8] + bytes(8), 64))
    for target in covers:
        action, until = blocked.get(target, (Action.WATCH, 0.0))
        if until > now and action.strength >= verdict.action.strength:
            return True
    return False
