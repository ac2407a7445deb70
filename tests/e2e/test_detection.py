"""A real scanner against a real SIP server is cut off, and the calls of others go on."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from demo.attack import Ear
from demo.campaigns import ATTACKER, register_enum
from demo.phones import Phones
from demo.server import start_server
from tests.e2e.world import World

_NEEDED = ("kamailio", "sipp", "svwar")

pytestmark = [
    pytest.mark.root,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in _NEEDED),
        reason=f"one of {', '.join(_NEEDED)} is not installed",
    ),
]


async def test_a_scanner_is_blocked_and_honest_calls_are_unharmed(it: World) -> None:
    phones = Phones(it.network, it.directory)
    ear = Ear(it.network, ATTACKER, it.directory)
    server = await start_server(it.network, it.directory)
    processes = [server]
    try:
        await phones.start(rate=4)
        await ear.start()
        processes += await register_enum(it.network, it.directory)
        await processes[-1].wait(20)
        await it.wire.until(ATTACKER.address, False)
        blocked = await it.protection.show(ATTACKER.address)
        assert blocked is not None and blocked["effective"] == "drop"
        origins = {claim["origin"] for claim in blocked["claims"]}
        assert origins & {"scanner", "enumeration", "outcome-walk"}, blocked
        await asyncio.sleep(0.3)
        heard = ear.heard()
        assert heard.sent > 200
        assert heard.received <= 10, f"of four hundred probes; {blocked}, {heard}"
        calls = await phones.finish()
        assert calls.completed >= 10
        assert calls.failed == 0
    finally:
        await ear.stop()
        await phones.stop()
        for process in processes:
            await process.stop(2)
