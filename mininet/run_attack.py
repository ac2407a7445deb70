"""One attack in the lab, and what became of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stage import MininetStage

from demo.attack import Ear, Heard
from demo.campaigns import ATTACKER, Campaign, let_run
from demo.phones import Calls, Phones
from demo.protection import Protection

_MOST_BLOCKS: Final = 8


@dataclass(frozen=True)
class Result:
    """What became of an attack."""

    heard: Heard
    """By the attacker."""
    calls: Calls
    blocks: list[dict[str, Any]]
    """As ``sdnblock block list`` shows them."""
    accesses: tuple[int, int] | None
    """Pings answered by the attacker's other access: before the attack, and after it."""

    @property
    def cut_after(self) -> float | None:
        """Seconds from the first probe to the first block; None without one."""
        since = [float(block["since"]) for block in self.blocks if block["since"]]
        if not since or self.heard.first_sent is None:
            return None
        return max(0.0, min(since) - self.heard.first_sent)


async def run_attack(
    campaign: Campaign,
    stage: MininetStage,
    protection: Protection,
    phones: Phones,
    directory: Path,
    accesses: int,
) -> Result:
    """Run it for its time, while honest calls go on. Raises CommandFailed."""
    ear = Ear(stage, ATTACKER, directory)
    await asyncio.sleep(2)  # honest calls begin
    before = await stage.pings_by_second_access() if accesses > 1 else 0
    await ear.start()
    try:
        await let_run(await campaign.start(stage, directory), campaign.seconds)
        await asyncio.sleep(1.5)  # counters are read once more
        heard = ear.heard()
    finally:
        await ear.stop()
    after = await stage.pings_by_second_access() if accesses > 1 else 0
    blocks = json.loads(await protection.cli("block", "list", "-o", "json"))
    calls = await phones.finish()
    return Result(heard, calls, blocks, (before, after) if accesses > 1 else None)


def report(result: Result) -> str:
    """The table that the lab prints."""
    cut = result.cut_after
    rows = [
        ("probes sent", str(result.heard.sent)),
        ("replies leaked", str(result.heard.received)),
        ("time to cut", "not cut" if cut is None else f"{cut:.2f} s"),
        ("honest calls completed, failed", f"{result.calls.completed}, {result.calls.failed}"),
    ]
    if result.accesses is not None:
        before, after = result.accesses
        rows.append(("pings by the other access, before and after", f"{before}, {after}"))
    width = max(len(what) for what, _ in rows)
    lines = [f"  {what:<{width}}  {value}" for what, value in rows]
    lines += [
        f"  {row['action']} {row['target']} by {row['origin']}: {row['packets']} packets;"
        f" {row['reason']}"
        for row in result.blocks[:_MOST_BLOCKS]
    ]
    if (more := len(result.blocks) - _MOST_BLOCKS) > 0:
        lines.append(f"  and {more} more blocks")
    return "\n".join(lines)
