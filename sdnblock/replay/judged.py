"""Events through the detectors, in order, as if their verdicts were enforced at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sdnblock.block import Prefix, Source
from sdnblock.detect.decision import Decision
from sdnblock.detect.engine import Engine
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.request_rate import RequestRateSettings
from sdnblock.detect.scanner import ScannerSettings
from sdnblock.detect.sides import Sides, guess_ours
from sdnblock.detect.verdict import Lift, Verdict
from sdnblock.detect.window import RequestWindow
from sdnblock.evidence.events import SipSeen
from sdnblock.replay.blocks import Blocks
from sdnblock.signature_file import read_signatures

_TICK: Final = 1.0


@dataclass(slots=True)
class _Source:
    first: float
    """When it was first seen."""
    messages: int = 0


def replay(
    events: Sequence[SipSeen],
    trusted: Iterable[Source | Prefix],
    detect: DetectSettings,
    allow: Iterable[Source | Prefix],
) -> list[Decision]:
    """What the detectors decide on ``events``. Without ``trusted`` our side is guessed.
    Raises ConfigError for a file of signatures that cannot be read.

    What a block would have dropped, no detector sees: a source is decided on again only when
    its block has expired and it goes on, by what it does then.
    """
    sides, allowed = Sides(list(trusted) or guess_ours(events)), Sides(allow)
    engine = Engine(detect, sides)
    if file := detect.of(ScannerSettings).file:
        engine.signatures.replace("file", read_signatures(file)[0])
    rate = detect.of(RequestRateSettings)
    window = RequestWindow(rate.threshold if rate.enabled else 0, rate.window)
    sources: dict[bytes, _Source] = {}
    blocks = Blocks()
    decisions: list[Decision] = []
    ticked = 0.0
    for event in events:
        if sides.ours(event.source):
            conclusions = engine.observe(event)
        else:
            source = sources.get(event.source)
            if source is None:
                source = sources[event.source] = _Source(event.time)
            source.messages += 1
            if decisions and blocks.drops(event):
                if event.time - ticked < _TICK:
                    continue
                ticked = event.time
                conclusions = engine.tick(event.time)
            else:
                conclusions = engine.observe(event)
                if not event.message.status:
                    crossed = window.request(event)
                    if crossed is not None:
                        conclusions += engine.observe(crossed)
        for each in conclusions:
            if isinstance(each, Lift):
                blocks.lift(each)
            elif isinstance(each, Verdict):
                remote = each.source
                if allowed.ours(remote) or not blocks.put(each, event.time):
                    continue
                found = sources.get(remote) or _Source(event.time)
                decisions.append(Decision(each, remote, found.first, event.time, found.messages))
    return decisions
