"""What a detector is: evidence in, findings out.

Detectors do no I/O and have no clock: time is that of the evidence. What they remember is
bounded. A detector overrides the methods it needs; the engine calls only those.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from mypy_extensions import mypyc_attr

from sdnblock.detect.bindings import Bindings
from sdnblock.detect.credit import Credit
from sdnblock.detect.finding import Finding
from sdnblock.detect.flood.spoofing import Spoofing
from sdnblock.detect.kept import Memory
from sdnblock.detect.sides import Sides
from sdnblock.detect.signatures import Signatures
from sdnblock.detect.tenants import Tenants
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.events import OutcomeCrossed, RateCrossed, SipSeen


@dataclass(frozen=True, slots=True)
class Shared:
    """What all detectors look at and none owns."""

    credit: Credit
    sides: Sides
    tenants: Tenants
    memory: Memory
    spoofing: Spoofing
    signatures: Signatures
    bindings: Bindings


class Sort(NamedTuple):
    """What sort of outcome one is: the fields are those of :class:`Outcome`."""

    method: str
    status: int
    credential: bool
    challenged: bool
    rejected: bool
    proven: bool

    @property
    def accepted(self) -> bool:
        """Whether we answered 2xx."""
        return 200 <= self.status < 300


@mypyc_attr(allow_interpreted_subclasses=True)  # where it is machine code, detectors need not be
class Detector:
    """One attack. Subclasses take their settings and :class:`Shared`."""

    name: ClassVar[str]
    """As origin in the block list, and (with underscores) as section ``[detect.NAME]``."""
    begun_methods: ClassVar[frozenset[str] | None] = None
    """Of which new requests it is told; None: of all."""
    begun_credential: ClassVar[bool] = False
    """Whether it is told only of those that carry a credential."""

    # Not static: of such, machine code would only ever call those of this very class.
    def cares(self, sort: Sort) -> bool:
        """Whether outcomes of a sort may matter to it; of others it is not told. Asked once for
        each sort: most are of a few, and most of these matter to few."""
        return True

    def heeds(self, status: int, method: str) -> bool:
        """Likewise of our responses; ``method`` is that of the CSeq."""
        return True

    def request(self, event: SipSeen) -> Iterable[Finding]:
        """A request of a remote to us, each time that anybody saw it."""
        return ()

    def glimpsed(self, event: SipSeen) -> Iterable[Finding]:
        """A request of a remote that is not whole: nothing follows from what is missing."""
        return ()

    def begun(self, event: SipSeen) -> Iterable[Finding]:
        """A new request of a remote, if it is one of ``begun_methods``: once, however often it
        was sent and whoever saw it. An ACK is none."""
        return ()

    def response(self, event: SipSeen) -> Iterable[Finding]:
        """A response of ours to a remote, if it heeds such."""
        return ()

    def ours(self, event: SipSeen) -> Iterable[Finding]:
        """A request of ours to a remote, or a remote's response to one."""
        return ()

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """What became of a request of a remote, if it cares: each final response once."""
        return ()

    def proved(self, outcome: Outcome) -> Iterable[Finding]:
        """An outcome that was told unproven is proven now: the remote acknowledged it."""
        return ()

    def rate(self, event: RateCrossed) -> Iterable[Finding]:
        """A switch counted too many requests of a remote."""
        return ()

    def crossed(self, event: OutcomeCrossed) -> Iterable[Finding]:
        """A switch's outcome walk of a remote crossed its threshold."""
        return ()

    def tick(self, now: float) -> Iterable[Finding]:
        """About once a second of the evidence's time."""
        return ()
