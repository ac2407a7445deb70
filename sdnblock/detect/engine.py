"""All detectors behind one call. No I/O, no clock of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sdnblock.detect.bindings import Bindings
from sdnblock.detect.credit import Credit
from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.finding import Finding
from sdnblock.detect.flood.spoofing import Spoofing
from sdnblock.detect.judge import Excepted, Judge, Named, nobody_names, nothing_is_excepted
from sdnblock.detect.kept import Memory
from sdnblock.detect.lasting import LastingCalls
from sdnblock.detect.proof import ProofSettings
from sdnblock.detect.registry import DetectSettings, make_detectors
from sdnblock.detect.sides import Sides
from sdnblock.detect.signatures import Signatures
from sdnblock.detect.tenants import Tenants
from sdnblock.detect.told import Beginning, Caring, Heeding, Hook, hooks
from sdnblock.detect.transactions import Outcome, Transactions
from sdnblock.detect.verdict import Conclusion, Lift
from sdnblock.detect.words import words_of
from sdnblock.evidence.events import Evidence, OutcomeCrossed, RateCrossed, SipSeen

_TICK: Final = 1.0


class Engine:
    """Evidence in, verdicts and reports out; time is that of the evidence."""

    def __init__(
        self,
        settings: DetectSettings,
        sides: Sides,
        named: Named = nobody_names,
        excepted: Excepted = nothing_is_excepted,
    ) -> None:
        self._sides = sides
        self._transactions = Transactions()
        self._lasting = LastingCalls()
        self.memory = Memory()
        """What outlives a restart, if somebody keeps it."""
        self.signatures = Signatures()
        """Scanners' marks beside the configured ones."""
        self.credit = Credit(self.memory)
        self._tenants = Tenants(self.memory)
        self._bindings = Bindings()
        self._spoofing = Spoofing()
        self._judge = Judge(self.credit, self.memory, self._spoofing, named, excepted)
        self._ticked = 0.0
        self._made: dict[str, tuple[object, Detector]] = {}
        self._added: list[Detector] = []
        self._lifts: list[Lift] = []
        self.configure(settings)

    def configure(self, settings: DetectSettings) -> None:
        """New settings. A detector whose own settings are new begins again with nothing
        remembered; the others, credit and past verdicts stay as they are."""
        self._transactions.proof = settings.of(ProofSettings)
        shared = Shared(
            self.credit, self._sides, self._tenants, self.memory, self._spoofing,
            self.signatures, self._bindings,
        )  # fmt: skip
        self._made = make_detectors(settings, shared, self._made)
        self._hook()

    def add(self, detector: Detector) -> None:
        """One more detector, beside those that the settings ask for."""
        self._added.append(detector)
        self._hook()

    def _hook(self) -> None:
        detectors = [*(detector for _, detector in self._made.values()), *self._added]
        self._request = hooks(detectors, "request")
        self._glimpsed = hooks(detectors, "glimpsed")
        self._begun = Beginning(detectors)
        self._response = Heeding(detectors)
        self._ours = hooks(detectors, "ours")
        self._outcome = Caring(detectors)
        self._proved = hooks(detectors, "proved")
        self._rate = hooks(detectors, "rate")
        self._crossed = hooks(detectors, "crossed")
        self._tick = hooks(detectors, "tick")

    def observe(self, event: Evidence) -> list[Conclusion]:
        """What a piece of evidence leads to."""
        findings: list[Finding] = []
        if isinstance(event, SipSeen):
            self._sip(event, findings)
        elif isinstance(event, RateCrossed):
            _call(self._rate, event, findings)
        elif isinstance(event, OutcomeCrossed):
            _call(self._crossed, event, findings)
        if event.time - self._ticked >= _TICK:
            self._ticked = event.time
            _call(self._tick, event.time, findings)
        if not findings and not self._lifts:
            return []
        lifts, self._lifts = self._lifts, []
        return [*lifts, *self._conclude(findings, event.time)]

    def tick(self, now: float) -> list[Conclusion]:
        """Time has passed without evidence."""
        self._ticked = max(self._ticked, now)
        findings: list[Finding] = []
        _call(self._tick, now, findings)
        return self._conclude(findings, now)

    def _sip(self, event: SipSeen, findings: list[Finding]) -> None:
        message = event.message
        if message.status:
            self._answer(event, findings)
        elif not event.whole:
            if self._from_remote(event):
                _call(self._glimpsed, event, findings)
        elif not self._from_remote(event):
            if message.method == "BYE":
                self._ended(event, event.destination)
            _call(self._ours, event, findings)
        else:
            for hook in self._request:
                if found := hook(event):
                    findings.extend(found)
            method = message.method
            if method == "ACK":
                proved = self._transactions.acknowledged(event)
                if proved is not None:
                    self._lasting.answered(proved)
                    _call(self._proved, proved, findings)
            elif self._transactions.request(event):
                if method == "BYE":
                    self._ended(event, event.source)
                self._tenants.request(event)
                event.words = words_of(event)
                for hook in self._begun.of(message):
                    if found := hook(event):
                        findings.extend(found)

    def _answer(self, event: SipSeen, findings: list[Finding]) -> None:
        if self._from_remote(event):
            _call(self._ours, event, findings)
            return
        message = event.message
        for hook in self._response.of(message.status, message.cseq[1]):
            if found := hook(event):
                findings.extend(found)
        outcome = self._transactions.response(event)
        if outcome is None:
            return
        if outcome.accepted:
            self._taken(outcome)
        for hook in self._outcome.of(outcome):
            if found := hook(outcome):
                findings.extend(found)

    def _taken(self, outcome: Outcome) -> None:
        """What everybody should know of a request that was accepted."""
        if outcome.method == "REGISTER":
            self._bindings.note(outcome)
        elif outcome.method == "INVITE":
            self._lasting.answered(outcome)
        if outcome.challenged:
            self._tenants.note(outcome)
            if self.credit.note(outcome):
                self._lifts += self._judge.pardon(outcome.remote, outcome.time)

    def _ended(self, bye: SipSeen, remote: bytes) -> None:
        if self._lasting.ended(bye, remote) and self.credit.earn(remote, bye.time):
            self._lifts += self._judge.pardon(remote, bye.time)

    def _from_remote(self, event: SipSeen) -> bool:
        if event.inbound is not None:
            return event.inbound
        if event.message.status:
            return self._sides.ours(event.destination)
        return not self._sides.ours(event.source)

    def _conclude(self, findings: Iterable[Finding], now: float) -> list[Conclusion]:
        concluded = (self._judge.judge(each, now) for each in findings)
        return [each for each in concluded if each is not None]


def _call(told: tuple[Hook, ...], argument: object, findings: list[Finding]) -> None:
    for hook in told:
        if found := hook(argument):
            findings.extend(found)
