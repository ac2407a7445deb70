"""What a source was convicted of before: the judge's memory, kept over restarts.

A source (IPv4 host, IPv6 /64) is forgotten 30 days after the last block of it has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from sdnblock.block import Flow
from sdnblock.detect.kept import Kept, Memory, packed_count, packed_text, packed_time
from sdnblock.detect.kind import Kind
from sdnblock.detect.site import parse_site, site_of, site_text
from sdnblock.detect.verdict import Verdict
from sdnblock.evidence.grade import Grade

LADDER: Final[tuple[float, ...]] = (600.0, 3600.0, 86400.0, 604800.0, 2592000.0)
"""Seconds of the first, second, ... conviction of a source on proven evidence."""

FORGOTTEN_AFTER: Final = 2592000.0
"""Seconds after the end of its last block, for which a source's past counts."""

_MOST: Final = 200_000
_REASONS: Final = 4
_DETECTORS: Final = 16
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Reason:
    """One conviction, for people."""

    time: float
    detector: str
    reason: str


@dataclass(slots=True)
class Past:
    """The convictions of one source. Times in Unix seconds."""

    time: float
    """Of the last."""
    proven: int = 0
    """How often its address was convicted on proven evidence: its rung on the ladder."""
    flows: int = 0
    """How often one of its flows was: the address did not get worse by that."""
    spoofable: int = 0
    """How often on evidence that somebody may have forged: climbs nothing."""
    until: float = 0.0
    """When the last proven block of its address ends."""
    flow_until: float = 0.0
    spoofable_until: float = 0.0
    detectors: dict[str, int] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)
    """The latest, at most four."""

    @property
    def convictions(self) -> int:
        """All together."""
        return self.proven + self.flows + self.spoofable

    def forgotten(self, now: float) -> bool:
        """Whether it counts no more."""
        return now - max(self.time, self.until, self.flow_until) > FORGOTTEN_AFTER

    def note(self, verdict: Verdict, now: float) -> None:
        """One more. While the block of the last one lasts, more evidence is no new offence."""
        self.time = now
        if verdict.grade is Grade.SPOOFABLE:
            self.spoofable += now >= self.spoofable_until
            self.spoofable_until = max(self.spoofable_until, now + verdict.seconds)
        elif isinstance(verdict.target, Flow):
            self.flows += now >= self.flow_until
            self.flow_until = max(self.flow_until, now + verdict.seconds)
        else:
            self.proven += now >= self.until
            self.until = max(self.until, now + verdict.seconds)
        name = verdict.detector
        if name in self.detectors or len(self.detectors) < _DETECTORS:
            self.detectors[name] = self.detectors.get(name, 0) + 1
        self.reasons.append(Reason(now, name, verdict.reason[:_LONGEST]))
        del self.reasons[:-_REASONS]

    def pack(self) -> list[Any]:
        """Plain values, without the time."""
        reasons = [[each.time, each.detector, each.reason] for each in self.reasons]
        return [
            self.proven, self.flows, self.spoofable,
            self.until, self.flow_until, self.spoofable_until, self.detectors, reasons,
        ]  # fmt: skip


def unpack_past(time: float, packed: Any) -> Past:
    """:meth:`Past.pack` back, from outside. Raises ValueError."""
    try:
        proven, flows, spoofable, until, flow_until, spoofable_until, detectors, reasons = packed
        return Past(
            time, packed_count(proven), packed_count(flows), packed_count(spoofable),
            _end(until, time), _end(flow_until, time), _end(spoofable_until, time),
            {
                packed_text(name, 64): packed_count(times)
                for name, times in list(detectors.items())[:_DETECTORS]
            },
            [
                Reason(_end(when, time), packed_text(name, 64), packed_text(reason, _LONGEST))
                for when, name, reason in reasons[-_REASONS:]
            ],
        )  # fmt: skip
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not the past of a source: {error}") from None


KIND: Final[Kind[bytes, Past]] = Kind(
    name="past",
    lifetime=LADDER[-1] + FORGOTTEN_AFTER,
    most=_MOST,
    key_text=site_text,
    parse_key=parse_site,
    time=lambda past: past.time,
    pack=Past.pack,
    unpack=unpack_past,
    firm=lambda past: past.proven > 0 or past.flows > 0,
)


class Pasts:
    """The past of every source that was convicted."""

    def __init__(self, memory: Memory) -> None:
        self._table: Kept[bytes, Past] = memory.keep(KIND)

    def of(self, address: bytes, now: float) -> Past | None:
        """A source's past, if it still counts."""
        past = self._table.get(site_of(address))
        return None if past is None or past.forgotten(now) else past

    def note(self, verdict: Verdict, now: float) -> None:
        """A source is convicted."""
        past = self.of(verdict.source, now) or Past(now)
        past.note(verdict, now)
        self._table.put(site_of(verdict.source), past)


def _end(value: Any, time: float) -> float:
    """No block lasts longer than the ladder says."""
    return min(packed_time(value), time + LADDER[-1])
