"""Whether a verdict that one edge has reached is enforced at another one, by real packets."""

from __future__ import annotations

import re
from typing import Final

from stage import SIP_SERVER, MininetStage

from demo.attack import Ear
from demo.campaigns import ATTACKER
from demo.phones import SCENARIOS
from demo.processes import run

_PINGS: Final = 1000
_REQUESTS: Final = 5


async def by_other_access(stage: MininetStage, address: str, port: int | None = None) -> float:
    """The share that is answered of packets from ``address`` by the attacker's other access.

    A thousand pings, fast enough for a limit to notice; with a port some OPTIONS, which a
    flow's block meets. Raises CommandFailed.
    """
    await stage.use_access("eth1")
    try:
        if port is None:
            return await _pings(stage, address)
        return await _requests(stage, address, port)
    finally:
        await stage.use_access("eth0")


async def _pings(stage: MininetStage, address: str) -> float:
    out = await run(
        *(*stage.inside(ATTACKER.role), "ping", "-n", "-q", "-I", address),
        *("-c", str(_PINGS), "-i", "0.001", "-W", "1", SIP_SERVER.address),
        ok=(0, 1),
    )
    received = re.search(r"(\d+) received", out)
    assert received, out
    return int(received[1]) / _PINGS


async def _requests(stage: MininetStage, address: str, port: int) -> float:
    ear = Ear(stage, ATTACKER, stage.logs)  # on eth0, by which all answers come
    await ear.start()
    try:
        await run(
            *(*stage.inside(ATTACKER.role), "sipp", f"{SIP_SERVER.address}:5060", "-nostdin"),
            *("-sf", str(SCENARIOS / "options.xml"), "-i", address, "-p", str(port)),
            *("-r", "5", "-m", str(_REQUESTS), "-timeout", "10s"),
            ok=(0, 1),  # 1: nothing was answered
            seconds=20,
        )
        return (await ear.settled()).received / _REQUESTS
    finally:
        await ear.stop()
