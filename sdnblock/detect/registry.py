"""The detectors there are. A new one is a module, a line here, and a page in docs/detectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from sdnblock.detect.bruteforce import BruteForce, BruteForceSettings
from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.distributed import DistributedScan, DistributedSettings
from sdnblock.detect.enumeration import Enumeration, EnumerationSettings
from sdnblock.detect.flood.detector import Floods, FloodSettings
from sdnblock.detect.foreign_domain import ForeignDomain, ForeignDomainSettings
from sdnblock.detect.fraud.detector import Fraud, FraudSettings
from sdnblock.detect.identity import Identity, IdentitySettings
from sdnblock.detect.injection import Injection, InjectionSettings
from sdnblock.detect.invite_source import InviteSource, InviteSourceSettings
from sdnblock.detect.outcome_walk import OutcomeWalk, OutcomeWalkSettings
from sdnblock.detect.replay import Replay, ReplaySettings
from sdnblock.detect.request_rate import RequestRate, RequestRateSettings
from sdnblock.detect.scanner import Scanner, ScannerSettings
from sdnblock.detect.unregister import Unregister, UnregisterSettings
from sdnblock.detect.weak_digest import WeakDigest, WeakDigestSettings

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Entry:
    """A detector's name, its settings (a frozen dataclass whose first field is ``enabled``),
    and what makes it."""

    name: str
    settings: type[Any]
    make: Callable[[Any, Shared], Detector]

    @property
    def section(self) -> str:
        """Its section below ``[detect]``."""
        return self.name.replace("-", "_")


ENTRIES: Final = (
    Entry(RequestRate.name, RequestRateSettings, RequestRate),
    Entry(OutcomeWalk.name, OutcomeWalkSettings, OutcomeWalk),
    Entry(Scanner.name, ScannerSettings, Scanner),
    Entry(Enumeration.name, EnumerationSettings, Enumeration),
    Entry(BruteForce.name, BruteForceSettings, BruteForce),
    Entry(Unregister.name, UnregisterSettings, Unregister),
    Entry(Replay.name, ReplaySettings, Replay),
    Entry(Identity.name, IdentitySettings, Identity),
    Entry(InviteSource.name, InviteSourceSettings, InviteSource),
    Entry(WeakDigest.name, WeakDigestSettings, WeakDigest),
    Entry(ForeignDomain.name, ForeignDomainSettings, ForeignDomain),
    Entry(Injection.name, InjectionSettings, Injection),
    Entry(Fraud.name, FraudSettings, Fraud),
    Entry(Floods.name, FloodSettings, Floods),
    Entry(DistributedScan.name, DistributedSettings, DistributedScan),
)

NAMES: Final = frozenset(entry.name for entry in ENTRIES)


@dataclass(frozen=True)
class DetectSettings:
    """The settings of all detectors; the defaults for those not given."""

    given: Mapping[type[Any], Any] = field(default_factory=dict)

    def of(self, kind: type[S]) -> S:
        """The settings of one detector."""
        found: S = self.given[kind] if kind in self.given else kind()
        return found

    @classmethod
    def with_(cls, *settings: object) -> DetectSettings:
        """The defaults, but for ``settings``."""
        return cls({type(each): each for each in settings})


def make_detectors(
    settings: DetectSettings, shared: Shared, before: Mapping[str, tuple[object, Detector]]
) -> dict[str, tuple[object, Detector]]:
    """Every detector that is enabled, by name, with its settings; those of ``before`` whose
    settings have not changed are kept."""
    made = {}
    for entry in ENTRIES:
        own = settings.of(entry.settings)
        if not own.enabled:
            continue
        known = before.get(entry.name)
        kept = known is not None and known[0] == own
        made[entry.name] = known if kept and known else (own, entry.make(own, shared))
    return made
