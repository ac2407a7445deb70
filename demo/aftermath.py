"""What became of an attack, and whether that is what we promise."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Final

from demo.attack import Heard
from demo.campaigns import Campaign
from demo.phones import Calls

_MOST_BLOCKS: Final = 8
_FEWEST_CALLS: Final = 10
_CUT_ELSEWHERE: Final = {"drop": 0.0, "limit": 0.8}
"""Action -> the share of the packets by the other access that may still be answered."""
_FLOW: Final = re.compile(r"udp:([0-9.]+):(\d+)>")

Row = Mapping[str, Any]
"""A line of ``sdnblock block list -o json``."""


@dataclass(frozen=True)
class Aftermath:
    """What an attack has left."""

    campaign: Campaign
    heard: Heard
    """By the attacker."""
    calls: Calls
    blocks: Sequence[Row]
    honest: Sequence[str]
    """Targets among them that phones or servers of ours are in."""
    elsewhere: tuple[float, float] | None
    """Share of packets by the attacker's other access that were answered: before the attack,
    and after it from a source that is blocked; None without such an access or source."""
    alarms: Sequence[str] = ()
    """Of those that the attack must raise, what the controller has logged."""
    ended: Sequence[str] = ()
    """What has ended although nobody stopped it."""

    @property
    def blocked_after(self) -> float | None:
        """Seconds from the first probe to the first block; None without one."""
        since = [float(block["since"]) for block in self.blocks if block["since"]]
        if not since or self.heard.first_sent is None:
            return None
        return min(since) - self.heard.first_sent

    @property
    def silent_after(self) -> float | None:
        """Seconds from the first probe to the last reply; None without one."""
        if self.heard.last_received is None or self.heard.first_sent is None:
            return None
        return self.heard.last_received - self.heard.first_sent

    @property
    def origins(self) -> list[str]:
        """Who blocked, and how."""
        return list(dict.fromkeys(f"{row['origin']}: {row['action']}" for row in self.blocks))

    def broken(self) -> list[str]:
        """Promises that did not hold, as sentences."""
        most, calls, broken = self.campaign.most_leaked, self.calls, list[str]()
        if not self.heard.sent:
            broken.append("the attack sent nothing")
        if most is None:
            broken += [f"{row['target']} is blocked, and it is forged" for row in self.blocks[:3]]
        elif not self.blocks:
            broken.append("nothing is blocked")
        elif self.heard.received > most:
            broken.append(f"{self.heard.received} replies leaked, more than {most}")
        if self.campaign.alarm and not self.alarms:
            broken.append(f"no alarm that says {self.campaign.alarm!r}")
        broken += [f"{target} is blocked, and it is honest" for target in self.honest]
        if calls.completed < _FEWEST_CALLS or calls.failed:
            why = f" ({calls.why})" if calls.why else ""
            broken.append(f"honest calls: {calls.completed} completed, {calls.failed} lost{why}")
        return [*broken, *self._broken_elsewhere(), *self.ended]

    def _broken_elsewhere(self) -> list[str]:
        row = tried(self.campaign, self.blocks)
        if self.elsewhere is None or row is None:
            return []
        before, after = self.elsewhere
        broken = []
        if before < 0.9:
            broken.append(f"by the other access only {before:.0%} came through before the attack")
        if after > _CUT_ELSEWHERE[row["action"]]:
            broken.append(f"by the other access {after:.0%} comes through after the verdict")
        return broken

    def report(self) -> str:
        """The table that the lab prints."""
        blocked, silent = self.blocked_after, self.silent_after
        rows = [
            ("probes sent", str(self.heard.sent)),
            ("replies leaked", str(self.heard.received)),
            ("first probe to last reply", "-" if silent is None else f"{silent:.3f} s"),
            ("first probe to first block", "not cut" if blocked is None else f"{blocked:.3f} s"),
            ("honest calls completed, lost", f"{self.calls.completed}, {self.calls.failed}"),
        ]
        if self.elsewhere is not None:
            before, after = self.elsewhere
            rows.append(("answered by the other access", f"before {before:.0%}, after {after:.0%}"))
        width = max(len(what) for what, _ in rows)
        lines = [f"  {what:<{width}}  {value}" for what, value in rows]
        lines += [
            f"  {row['action']} {row['target']} by {row['origin']}: {row['packets']} packets;"
            f" {row['reason']}"
            for row in self.blocks[:_MOST_BLOCKS]
        ]
        if (more := len(self.blocks) - _MOST_BLOCKS) > 0:
            lines.append(f"  and {more} more blocks")
        lines += [f"  alarm: {alarm}" for alarm in self.alarms]
        lines += [f"  BROKEN: {promise}" for promise in self.broken()]
        return "\n".join(lines)


def tried(campaign: Campaign, blocks: Sequence[Row]) -> Row | None:
    """A block that can be tried from an address of the attacker's, a drop if there is one."""
    rows = [
        row
        for row in blocks
        if row["action"] in _CUT_ELSEWHERE and sender(campaign, row["target"]) is not None
    ]
    return min(rows, key=lambda row: _CUT_ELSEWHERE[row["action"]], default=None)


def sender(campaign: Campaign, target: str) -> tuple[str, int | None] | None:
    """An attacker's address (and, of a flow, the port) whose packets ``target`` matches."""
    if found := _FLOW.match(target):
        return (found[1], int(found[2])) if found[1] in campaign.sources else None
    if ">" in target:  # no UDP
        return None
    network = ip_network(target)
    return next(((own, None) for own in campaign.sources if ip_address(own) in network), None)
