"""Who is told of what: for each kind of message and of outcome the detectors that it may matter
to, found once and looked up for every packet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from sdnblock.detect.detector import Detector, Sort
from sdnblock.detect.finding import Finding
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.sip import SipMessage

Hook = Callable[[Any], Iterable[Finding]]

_MOST: Final = 4096
"""Kinds that are remembered: methods come from outside, in any number."""


def hooks(detectors: Iterable[Detector], name: str) -> tuple[Hook, ...]:
    """The bound methods of those detectors that have one of their own."""
    return tuple(
        getattr(each, name)
        for each in detectors
        if getattr(type(each), name) is not getattr(Detector, name)
    )


class Caring:
    """Of outcomes: those who care for such (see :meth:`Detector.cares`)."""

    def __init__(self, detectors: Iterable[Detector]) -> None:
        self._all = list(detectors)
        self._known: dict[tuple[object, ...], tuple[Hook, ...]] = {}

    def of(self, outcome: Outcome) -> tuple[Hook, ...]:
        """The hooks."""
        sort = (
            outcome.method, outcome.status, outcome.credential, outcome.challenged,
            outcome.rejected, outcome.proven,
        )  # fmt: skip
        known = self._known.get(sort)
        return self._find(Sort(*sort)) if known is None else known

    def _find(self, sort: Sort) -> tuple[Hook, ...]:
        if len(self._known) >= _MOST:
            self._known.clear()
        found = self._known[sort] = hooks(
            (each for each in self._all if each.cares(sort)), "outcome"
        )
        return found


class Heeding:
    """Of our responses: those who heed such (see :meth:`Detector.heeds`)."""

    def __init__(self, detectors: Iterable[Detector]) -> None:
        self._all = list(detectors)
        self._known: dict[tuple[int, str], tuple[Hook, ...]] = {}

    def of(self, status: int, method: str) -> tuple[Hook, ...]:
        """The hooks."""
        known = self._known.get((status, method))
        return self._find(status, method) if known is None else known

    def _find(self, status: int, method: str) -> tuple[Hook, ...]:
        if len(self._known) >= _MOST:
            self._known.clear()
        found = self._known[status, method] = hooks(
            (each for each in self._all if each.heeds(status, method)), "response"
        )
        return found


class Beginning:
    """Of new requests: by method, and whether they carry a credential."""

    def __init__(self, detectors: Iterable[Detector]) -> None:
        self._all = list(detectors)
        methods = frozenset().union(*(each.begun_methods or () for each in self._all))
        self._with = {method: self._of(method, True) for method in methods}
        self._without = {method: self._of(method, False) for method in methods}
        self._others_with, self._others_without = self._of("", True), self._of("", False)

    def of(self, message: SipMessage) -> tuple[Hook, ...]:
        """The hooks."""
        if message.has_credentials:
            return self._with.get(message.method, self._others_with)
        return self._without.get(message.method, self._others_without)

    def _of(self, method: str, credential: bool) -> tuple[Hook, ...]:
        told = [
            each for each in self._all
            if (each.begun_methods is None or method in each.begun_methods)
            and (credential or not each.begun_credential)
        ]  # fmt: skip
        return hooks(told, "begun")
