"""Real attacks on a real Kamailio, seen by nobody but Kamailio itself: convicted all the same.

No switch copies a packet here, counts requests or walks outcomes: what convicts came as HEP, or
as the events of a second Kamailio that watches the wire.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from bench.attacks.attacks import Attack, crack, enumerate_quietly, svmap, svwar
from bench.attacks.stage import Stage, stage
from demo.network import SERVER
from demo.processes import Process
from tests.evidence_docs import KAMAILIO, events, events_of_the_slide, hep_settings

_TOOLS = ("redis-server", "kamailio", "sipp", "svmap", "svwar")

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in _TOOLS), reason=f"needs {', '.join(_TOOLS)}"
    ),
]

BLIND = """
[sample]
packets_per_second = 0
first_packets = 0
[detect.request_rate]
enabled = false
[detect.outcome_walk]
enabled = false
"""
HEP = f"""
[hep]
enabled = true
senders = ["{SERVER}", "127.0.0.1"]   # Kamailio's over UDP, and over TCP
key = "s3cret"
"""
EVENTS = """
[kamailio]
enabled = true
"""
SCANNER = frozenset({"scanner"})
OVER_HEP = {
    "udp": (
        Attack("svmap", svmap, SCANNER, 10),
        Attack("enumeration", enumerate_quietly("register", 20), frozenset({"enumeration"}), 20),
        Attack("passwords", crack(80, 100), frozenset({"brute-force"}), 40),
    ),
    "tcp": (Attack("svwar", svwar("OPTIONS"), SCANNER, 40),),
}
"""More replies come back than where a switch shows the first packets itself: the report, the
verdict and the block race with the next probe."""


async def run(made: Stage, attack: Attack) -> None:
    cut = await attack.run(made, await made.address())
    print(f"{attack.name}: sent {cut.sent}, leaked {cut.leaked}, cut after {cut.seconds:.2f} s")
    assert {claim["origin"] for claim in cut.claims} == attack.origins, (attack.name, cut)
    assert {claim["action"] for claim in cut.claims} == {"drop"}
    assert cut.leaked <= attack.most_leaked, (attack.name, cut)


@pytest.mark.parametrize("way", ["udp", "tcp"])
async def test_attacks_that_only_the_server_reports(tmp_path: Path, way: str) -> None:
    url = "sip:127.0.0.1:9060" + (";transport=tcp" if way == "tcp" else "")
    async with stage(tmp_path, BLIND + HEP, hep_settings(url, "s3cret")) as made:
        for attack in OVER_HEP[way]:
            await run(made, attack)
        calls = await made.phones.finish()
        assert made.protection.controller is not None
        assert "refused" not in made.protection.controller.said()
    assert calls.completed > 5
    assert calls.failed == 0


@pytest.mark.parametrize("write", [events, events_of_the_slide])
async def test_a_scanner_that_kamailio_noted_on_the_wire(tmp_path: Path, write: object) -> None:
    """As in the talk: sipcapture in monitoring mode, which wants a database and never uses it."""
    async with stage(tmp_path, BLIND + EVENTS) as made:
        config = tmp_path / "watching.cfg"
        tables = tmp_path / "tables"
        tables.mkdir()
        config.write_text(
            KAMAILIO
            + 'disable_tcp=yes\nloadmodule "db_text.so"\nloadmodule "sipcapture.so"\n'
            + f'modparam("sipcapture", "raw_socket_listen", "{SERVER}:5060-5090")\n'
            + 'modparam("sipcapture", "raw_interface", "eth0")\n'
            + 'modparam("sipcapture", "raw_moni_capture_on", 1)\n'
            + 'modparam("sipcapture", "capture_on", 1)\n'
            + f'modparam("sipcapture", "db_url", "text://{tables}")\n'
            + write(f"unix={made.protection.socket}")  # type: ignore[operator]
        )
        watching = await made.network.start(
            *("server", "watching", "kamailio", "-DD", "-E", "-f", config, "-Y", tables),
            *("-P", tmp_path / "watching.pid", "-m", "64", "-M", "8", "-l", "udp:127.0.0.1:15060"),
        )
        try:
            await watching.until_logged("Aliases:", 30)
            await reading(made, watching)
            await run(made, Attack("svmap", svmap, SCANNER, 40))
            calls = await made.phones.finish()
        finally:
            await watching.stop()
    assert calls.completed > 3
    assert calls.failed == 0


async def reading(made: Stage, watching: Process) -> None:
    """Wait until events of the phones come and go."""
    for _ in range(300):
        assert watching.running, watching.words()
        if "event:" in await made.protection.redis("--scan", "--pattern", "event:*"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"no event is written: {watching.words()}")
