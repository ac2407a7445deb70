"""One attack in the lab."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

from elsewhere import by_other_access
from stage import PHONES, SIP_SERVER, MininetStage

from demo.aftermath import Aftermath, sender, tried
from demo.attack import Ear
from demo.campaigns import ATTACKER, Campaign, let_run
from demo.phones import Phones
from demo.processes import CommandFailed
from demo.protection import Protection

_ALARM = 20.0
"""Seconds after the attack until a forged flood must have been told (crowd.py: 15)."""


async def run_attack(
    campaign: Campaign,
    stage: MininetStage,
    protection: Protection,
    phones: Phones,
    directory: Path,
    accesses: int,
) -> Aftermath:
    """Run it for its time, while honest calls go on. Raises CommandFailed."""
    ear = Ear(stage, ATTACKER, directory)
    await asyncio.sleep(2)  # honest calls begin
    before = await by_other_access(stage, ATTACKER.address) if accesses > 1 else None
    await ear.start()
    try:
        await let_run(await campaign.start(stage, directory), campaign.seconds)
        await asyncio.sleep(1.5)  # counters are read once more
        heard = ear.heard()
    finally:
        await ear.stop()
    blocks = json.loads(await protection.cli("block", "list", "-o", "json"))
    after = None
    row = tried(campaign, blocks) if before is not None else None
    if row is not None and (found := sender(campaign, row["target"])):
        after = await by_other_access(stage, *found)
    honest = [
        row["target"]
        for host in (PHONES, SIP_SERVER)
        for row in json.loads(
            await protection.cli("block", "list", "--contains", host.address, "-o", "json")
        )
    ]
    calls = await phones.finish()
    assert protection.controller is not None
    if campaign.alarm:
        # It takes its time to be sure; that it never comes is told with everything else.
        with contextlib.suppress(CommandFailed):
            await protection.controller.until_logged(campaign.alarm, _ALARM)
    elsewhere = None if before is None or after is None else (before, after)
    said = protection.controller.said().splitlines() if campaign.alarm else []
    alarms = [line.partition(" WARNING ")[2] for line in said if campaign.alarm in line]
    return Aftermath(
        *(campaign, heard, calls, blocks, honest, elsewhere),
        *([alarm for alarm in alarms if alarm], protection.failures()),
    )
