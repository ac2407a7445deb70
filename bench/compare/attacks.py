"""Attacks on the extensions in an order in which those that exist are scattered."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

from demo.campaigns import ATTACKER
from demo.network import SERVER, Stage
from demo.phones import PHONE, SCENARIOS
from demo.processes import Process

_SCENARIOS: Final = Path(__file__).parents[1] / "attacks/scenarios"


def extensions() -> str:
    """1000 to 1399, a line each, shuffled, the same each time."""
    users = list(range(1000, 1400))
    random.Random(1).shuffle(users)
    return "".join(f"{user}\n" for user in users)


async def enumeration(stage: Stage, directory: Path) -> list[Process]:
    """Svwar with REGISTER, as fast as it can."""
    file = directory / "extensions.txt"
    file.write_text(extensions())
    argv = ("svwar", "-d", file, "--maximumtime", "5", SERVER)
    return [await stage.start(ATTACKER.role, "svwar", *argv)]


async def quiet_enumeration(stage: Stage, directory: Path) -> list[Process]:
    """Half of them under a phone's name, six a second: below every rate limit."""
    half = "".join(extensions().splitlines(keepends=True)[:200])
    return [await _sipp(stage, directory, "enumerate-register", half, 6)]


async def quiet_crack(stage: Stage, directory: Path) -> list[Process]:
    """Thirty passwords for 1001, one a second; the 25th is right."""
    words = [f"word-{number}" for number in range(30)]
    words[24] = "secret-1001"
    lines = "".join(f"[authentication username=1001 password={word}]\n" for word in words)
    return [await _sipp(stage, directory, "crack", lines, 1)]


async def short_flood(stage: Stage, directory: Path) -> list[Process]:
    """A thousand INVITEs a second from one address."""
    return [
        await stage.start(
            *(ATTACKER.role, "flood", "sipp", f"{SERVER}:5060", "-sf", SCENARIOS / "flood.xml"),
            *("-i", ATTACKER.address, "-r", "1000", "-m", "5000", "-nostdin"),
        )
    ]


async def power_cut(stage: Stage, directory: Path) -> list[Process]:
    """All twenty users register within a second, from the address of the honest phones."""
    users = directory / "office.csv"
    users.write_text(
        "SEQUENTIAL\n"
        + "".join(
            f"{user};[authentication username={user} password=secret-{user}]\n"
            for user in range(1000, 1020)
            if user not in (1001, 1002)  # who are calling
        )
    )
    scenario = directory / "office.xml"
    text = (SCENARIOS / "register.xml").read_text()
    scenario.write_text(text.replace("[contact_port]", "5078"))
    return [
        await stage.start(
            *("phones", "office", "sipp", f"{SERVER}:5060", "-sf", scenario, "-inf", users),
            *("-i", PHONE, "-p", "5078", "-r", "20", "-m", "18", "-nostdin"),
        )
    ]


async def _sipp(stage: Stage, directory: Path, scenario: str, lines: str, rate: int) -> Process:
    data = directory / f"{scenario}.csv"
    data.write_text("SEQUENTIAL\n" + lines)
    return await stage.start(
        *(ATTACKER.role, scenario, "sipp", f"{SERVER}:5060"),
        *("-sf", _SCENARIOS / f"{scenario}.xml", "-inf", data, "-i", ATTACKER.address),
        *("-r", str(rate), "-m", str(lines.count("\n")), "-recv_timeout", "1000", "-nostdin"),
    )
