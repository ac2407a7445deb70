"""The blocks that would be in force, in a capture's own time."""

from __future__ import annotations

from sdnblock.block import Action, Flow, Prefix, Source, Target, source_of
from sdnblock.detect.verdict import Lift, Verdict
from sdnblock.evidence.events import SipSeen

_FlowKey = tuple[int, bytes, int, bytes, int]


class Blocks:
    """What was decided so far, and which packets would not have come through."""

    def __init__(self) -> None:
        self._held: dict[Target, tuple[Action, float]] = {}
        self._sites: dict[bytes, float] = {}
        """Until when all of a site is dropped."""
        self._flows: dict[_FlowKey, float] = {}

    def put(self, verdict: Verdict, now: float) -> bool:
        """Block, unless a block in force covers it with at least its action; whether it did."""
        if self._holds(verdict, now):
            return False
        target, until = verdict.target, now + verdict.seconds
        self._held[target] = (verdict.action, until)
        if verdict.action is Action.DROP:
            if isinstance(target, Flow):
                self._flows[_key(target)] = until
            else:
                self._sites[target.address] = until
        return True

    def lift(self, lift: Lift) -> None:
        """Take a block back."""
        target = lift.target
        self._held.pop(target, None)
        if isinstance(target, Flow):
            self._flows.pop(_key(target), None)
        else:
            self._sites.pop(target.address, None)

    def drops(self, event: SipSeen) -> bool:
        """Whether a message from outside would have been dropped, so that nobody had seen it."""
        until = self._sites.get(event.site)
        if until is not None and event.time < until:
            return True
        if not self._flows:
            return False
        until = self._flows.get(
            (event.protocol, event.source, event.source_port,
             event.destination, event.destination_port)
        )  # fmt: skip
        return until is not None and event.time < until

    def _holds(self, verdict: Verdict, now: float) -> bool:
        address, length = source_of(verdict.target)
        covers: list[Target] = [verdict.target]
        if length == len(address) * 8:
            covers.append(Source(address))
            if len(address) == 16:
                covers.append(Prefix(address[:8] + bytes(8), 64))
        for target in covers:
            action, until = self._held.get(target, (Action.WATCH, 0.0))
            if until > now and action.strength >= verdict.action.strength:
                return True
        return False


def _key(flow: Flow) -> _FlowKey:
    return (
        flow.protocol, flow.source, flow.source_port, flow.destination, flow.destination_port,
    )  # fmt: skip
