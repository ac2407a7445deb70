"""All detectors that read SIP messages, behind one call. No I/O, no clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from sdnblock.detect.bruteforce import BruteForce, BruteForceSettings
from sdnblock.detect.credit import Credit
from sdnblock.detect.enumeration import Enumeration, EnumerationSettings
from sdnblock.detect.finding import Finding
from sdnblock.detect.judge import Judge
from sdnblock.detect.scanner import Scanner, ScannerSettings
from sdnblock.detect.sides import Sides
from sdnblock.detect.transactions import Transactions
from sdnblock.detect.verdict import Verdict
from sdnblock.evidence.events import SipSeen


@dataclass(frozen=True)
class DetectSettings:
    """The settings of all of them."""

    scanner: ScannerSettings = field(default_factory=ScannerSettings)
    enumeration: EnumerationSettings = field(default_factory=EnumerationSettings)
    brute_force: BruteForceSettings = field(default_factory=BruteForceSettings)


class Engine:
    """Evidence in, verdicts out; time is that of the evidence."""

    def __init__(self, settings: DetectSettings, sides: Sides) -> None:
        self._sides = sides
        self._transactions = Transactions()
        self._credit = Credit()
        self._scanner = Scanner(settings.scanner)
        self._enumeration = Enumeration(settings.enumeration, self._credit)
        self._brute_force = BruteForce(settings.brute_force, self._credit)
        self._judge = Judge(self._credit)

    def observe(self, event: SipSeen) -> list[Verdict]:
        """What a message leads to."""
        findings: list[Finding | None] = []
        if event.message.is_request:
            if self._sides.ours(event.source):
                return []
            findings.append(self._scanner.request(event))
            outcome = self._transactions.request(event)
        else:
            if self._sides.ours(event.destination):
                return []
            outcome = self._transactions.response(event)
        if outcome is not None:
            self._credit.note(outcome)
            findings.append(self._enumeration.outcome(outcome))
            findings.append(self._brute_force.outcome(outcome))
        verdicts = [self._judge.judge(each, event.time) for each in findings if each is not None]
        return [verdict for verdict in verdicts if verdict is not None]
