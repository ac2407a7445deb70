"""The blocks that would be in force, in a capture's own time."""

from __future__ import annotations

from sdnblock.block import Action, Flow, Target, source_of
from sdnblock.detect.site import site_of, site_target
from sdnblock.detect.verdict import Lift, Verdict
from sdnblock.evidence.events import SipSeen


class Blocks:
    """What was decided so far, and which packets would not have come through."""

    def __init__(self) -> None:
        self._held: dict[Target, tuple[Action, float]] = {}
        """Action, and until when, of each target: a flow, or a site."""
        self._sites: set[bytes] = set()
        """Sites that ever had a block, as themselves or by a flow: all others need no look."""

    def put(self, verdict: Verdict, now: float) -> bool:
        """Block, unless a block in force covers it with at least its action; whether it did."""
        address = source_of(verdict.target)[0]
        site = site_target(address)
        if any(self._holds(each, verdict.action, now) for each in (verdict.target, site)):
            return False
        self._sites.add(site_of(address))
        self._held[verdict.target] = (verdict.action, now + verdict.seconds)
        return True

    def lift(self, lift: Lift) -> None:
        """Take a block back."""
        self._held.pop(lift.target, None)

    def drops(self, event: SipSeen) -> bool:
        """Whether a message from outside would have been dropped, so that nobody had seen it."""
        if event.site not in self._sites:
            return False
        flow = Flow(
            event.protocol, event.source, event.source_port,
            event.destination, event.destination_port,
        )  # fmt: skip
        return self._holds(site_target(event.source), Action.DROP, event.time) or self._holds(
            flow, Action.DROP, event.time
        )

    def _holds(self, target: Target, action: Action, now: float) -> bool:
        """Whether ``target`` has a block in force that does at least ``action``."""
        held = self._held.get(target)
        return held is not None and now < held[1] and held[0].strength >= action.strength
