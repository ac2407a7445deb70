"""The hard negatives that a real server and a real switch add something to.

A real Kamailio, an XDP switch and the controller, all with their defaults, but for nonces that
live eight seconds only. Each scene is an address of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bench.framing.stage import Stage, stage
from demo.network import SERVER
from demo.phones import SCENARIOS
from demo.processes import run
from tests.e2e.sockets import udp

HONEST = Path(__file__).with_name("honest")
_TOOLS = ("redis-server", "kamailio", "sipp")
_OFFICE, _LATE, _LOSSY, _MONITOR = (f"12.34.200.{number}" for number in range(1, 5))

pytestmark = [
    pytest.mark.root,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in _TOOLS), reason=f"needs {', '.join(_TOOLS)}"
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it() -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="sdnblock-honest-") as directory:
        async with stage(Path(directory), 300, nonce_seconds=8) as made:
            yield made


def _files(it: Stage, scenario: Path, rows: list[str]) -> tuple[Path, Path]:
    file, users = it.directory / scenario.name, it.directory / f"{scenario.stem}.csv"
    file.write_text(scenario.read_text().replace("[contact_port]", "[local_port]"))
    users.write_text("".join(f"{row}\n" for row in ("SEQUENTIAL", *rows)))
    return file, users


async def sipp(it: Stage, address: str, scenario: Path, rows: list[str], *more: str) -> None:
    """A scenario from ``address`` for every row, to its end; every call of it must succeed."""
    file, users = _files(it, scenario, rows)
    await run(
        *it.network.inside("peers"), "sipp", f"{SERVER}:5060", "-sf", file, "-inf", users,
        *("-i", address, "-m", str(len(rows)), "-nostdin", "-timeout", "60s"),
        *("-max_socket", "300", *more),
        seconds=90,
    )  # fmt: skip


def login(user: int, password: str = "") -> str:
    """A row of a phone's."""
    secret = password or f"secret-{user}"
    return f"{user};[authentication username={user} password={secret}]"


async def stopped(it: Stage, address: str) -> set[str]:
    """Blocks of an address, or of flows of it, that stop packets."""
    await asyncio.sleep(1.5)
    return {row["target"] for row in await it.harmed() if address in row["target"]}


async def test_200_phones_behind_one_address_and_their_power_cut(it: Stage) -> None:
    phones = [login(1000 + number) for number in range(200)]
    before = await it.verdicts()
    for rate in ("50", "2000"):  # one after the other in the morning; all at once afterwards
        await sipp(
            it, _OFFICE, SCENARIOS / "register.xml", phones, "-t", "un", "-r", rate
        )  # fmt: skip
        assert await stopped(it, _OFFICE) == set()
    after = await it.verdicts()
    dropped = {name for name in after if name.startswith("dropped") and after[name] != before[name]}
    assert dropped == set()


async def test_a_wrong_password_in_that_office_costs_its_flow_at_most(it: Stage) -> None:
    tries = [login(1250, "forgotten")] * 12
    await sipp(
        it, _OFFICE, HONEST / "wrong-password.xml", tries, "-p", "20777", "-r", "2", "-l", "1"
    )
    assert await stopped(it, _OFFICE) <= {f"udp:{_OFFICE}:20777>{SERVER}:5060"}
    phones = [login(1000 + number) for number in range(20)]
    await sipp(it, _OFFICE, SCENARIOS / "register.xml", phones, "-t", "un", "-r", "20")


async def test_answers_that_come_too_late(it: Stage) -> None:
    phones = [login(1200 + number) for number in range(40)]
    await sipp(it, _LATE, HONEST / "stale.xml", phones, "-t", "un", "-r", "40")
    assert await stopped(it, _LATE) == set()


async def test_a_refusal_that_is_lost_seven_times(it: Stage) -> None:
    """The phone repeats its INVITE, and the server its 404, for each of two wrong numbers."""
    with contextlib.closing(udp(it.network.namespace("peers"), _LOSSY, 5060)) as sock:
        for number in ("wrong-1", "wrong-2"):
            invite = (
                f"INVITE sip:{number}@sip.example.net SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {_LOSSY}:5060;branch=z9hG4bK{number}\r\n"
                f"From: <sip:1001@sip.example.net>;tag=h\r\nTo: <sip:{number}@sip.example.net>\r\n"
                f"Call-ID: {number}\r\nCSeq: 1 INVITE\r\nContact: <sip:1001@{_LOSSY}:5060>\r\n"
                "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            )
            for _ in range(7):
                sock.sendto(invite.encode(), (SERVER, 5060))
                await asyncio.sleep(0.2)
    assert await stopped(it, _LOSSY) == set()
    # The switch had something to say, and was told to let go.
    assert f"watch {_LOSSY}" in (it.directory / "controller.log").read_text()


async def test_a_monitor_that_asks_for_a_missing_user(it: Stage) -> None:
    await sipp(it, _MONITOR, HONEST / "monitor.xml", ["-"] * 60, "-r", "10")
    assert await stopped(it, _MONITOR) == set()
    assert f"watch {_MONITOR}" in (it.directory / "controller.log").read_text()
