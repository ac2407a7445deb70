"""Attacks by name, each by a real tool on the host ``attacker``.

The attacker's own address is ``ATTACKER.address``; it also answers for all of
``ATTACKER.net``, from which the distributed and the spoofed attacks come.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from demo import spoof
from demo.network import SERVER, SERVER_NET, Host, Stage
from demo.phones import SCENARIOS
from demo.processes import Process

ATTACKER: Final = Host("attacker", "203.0.113.66", 1, "11.0.0.0/8")
PASSWORDS: Final = 1000
"""Words in the dictionary of ``crack``; the last third of them begins with the right one."""
_QUIET: Final = Path(__file__).parents[1] / "bench/attacks/scenarios"
_SOURCES: Final = 16
_CRACKED: Final = "1001"


@dataclass(frozen=True)
class Campaign:
    """An attack, started by ``start``, which returns its processes."""

    name: str
    says: str
    start: Callable[[Stage, Path], Awaitable[list[Process]]]
    seconds: float
    """For how long it is let run, if it does not end by itself."""
    most_leaked: int | None
    """Replies that may come back before it is cut; None: nobody may be blocked for it."""
    sources: Sequence[str] = (ATTACKER.address,)
    """Addresses that it comes from, as far as they are the attacker's own."""
    settings: str = ""
    """What the controller's configuration needs to see it, besides the defaults."""
    hep: bool = False
    """Whether the SIP server must report what it sees: to a controller beside it."""
    alarm: str = ""
    """What the controller must warn of in its log."""


async def options_scan(stage: Stage, directory: Path) -> list[Process]:
    """OPTIONS to every address of the server's network."""
    return [await _begin(stage, "svmap", "svmap", SERVER_NET)]


async def register_enum(stage: Stage, directory: Path) -> list[Process]:
    """REGISTER for four hundred extensions."""
    return [await _svwar(stage, "REGISTER")]


async def invite_enum(stage: Stage, directory: Path) -> list[Process]:
    """INVITE to four hundred extensions."""
    return [await _svwar(stage, "INVITE")]


async def crack(stage: Stage, directory: Path) -> list[Process]:
    """A dictionary against one extension; the right password is in it."""
    words = directory / "dictionary.txt"
    guesses = [f"word-{number}" for number in range(PASSWORDS)]
    guesses[PASSWORDS * 2 // 3] = f"secret-{_CRACKED}"
    words.write_text("\n".join(guesses) + "\n")
    return [await _begin(stage, "svcrack", "svcrack", "-u", _CRACKED, "-d", words, SERVER)]


async def slow_crack(stage: Stage, directory: Path) -> list[Process]:
    """One guess in two seconds, under a phone's name."""
    words = directory / "slow.csv"
    lines = [f"[authentication username={_CRACKED} password=word-{n}]\n" for n in range(20)]
    words.write_text("SEQUENTIAL\n" + "".join(lines))
    return [
        await _sipp(
            *(stage, _QUIET / "crack.xml", "-inf", words, "-r", "1", "-rp", "2000", "-m", "20"),
            *("-recv_timeout", "1000"),
        )
    ]


async def flood(stage: Stage, directory: Path) -> list[Process]:
    """A thousand INVITEs a second from one address."""
    return [await _sipp(stage, SCENARIOS / "flood.xml", "-r", "1000", "-m", "8000")]


async def spoofed_flood(stage: Stage, directory: Path, rate: int = 2000) -> list[Process]:
    """``rate`` REGISTERs a second, each from another forged address."""
    network = ATTACKER.net.partition("/")[0]
    return [
        await _begin(
            *(stage, "spoof", sys.executable, "-P", str(spoof.__file__)),
            *(network, SERVER, str(rate), str(8 * rate)),
        )
    ]


async def distributed_scan(stage: Stage, directory: Path) -> list[Process]:
    """Sixteen sources under a phone's name share four hundred extensions, two a second each."""
    share = 400 // _SOURCES
    processes = []
    for number, address in enumerate(_DISTRIBUTED):
        first = 1000 + number * share
        users = directory / f"share-{number}.csv"
        users.write_text("SEQUENTIAL\n" + "".join(f"{first + n}\n" for n in range(share)))
        processes.append(
            await _sipp(
                *(stage, _QUIET / "enumerate-register.xml", "-inf", users),
                *("-r", "2", "-m", str(share), "-recv_timeout", "1000"),
                address=address,
            )
        )
    return processes


async def tollfraud(stage: Stage, directory: Path) -> list[Process]:
    """A stolen credential calls numbers abroad, five times a second."""
    calls = directory / "fraud.csv"
    calls.write_text(
        "SEQUENTIAL\n"
        + "".join(
            f"1003;[authentication username=1003 password=secret-1003];0088213{n:05}\n"
            for n in range(200)
        )
    )
    return [await _sipp(stage, SCENARIOS / "call.xml", "-inf", calls, "-r", "5", "-m", "100")]


_FRAUD: Final = """\
[hep]
enabled = true

[[detect.fraud.profile]]
name = "satellite"
prefixes = ["00881", "00882"]
cpm_warning = 2
cpm_critical = 5
"""
_DISTRIBUTED: Final = tuple(f"11.0.{number}.66" for number in range(_SOURCES))

CAMPAIGNS: Final[Mapping[str, Campaign]] = {
    each.name: each
    for each in (
        Campaign("options-scan", "svmap sweeps the server's network", options_scan, 8, 10),
        Campaign("register-enum", "svwar, REGISTER, 400 extensions", register_enum, 10, 10),
        Campaign("invite-enum", "svwar, INVITE, 400 extensions", invite_enum, 10, 10),
        Campaign("crack", f"svcrack, {PASSWORDS} passwords for one extension", crack, 15, 10),
        # A source of UDP can be forged: without proof it is limited, to 100 packets a second.
        Campaign("flood", "sipp, 1000 INVITEs a second from one address", flood, 10, 1500),
        Campaign(
            "spoofed-flood",
            "2000 REGISTERs a second, each from another forged address",
            spoofed_flood,
            seconds=10,
            most_leaked=None,
            sources=(),
            alarm="spoofed flood",
        ),
        Campaign("slow-crack", "sipp, a password every two seconds", slow_crack, 45, 12),
        Campaign(
            "distributed-scan",
            f"sipp, {_SOURCES} sources share 400 extensions",
            distributed_scan,
            seconds=15,
            most_leaked=8 * _SOURCES,
            sources=_DISTRIBUTED,
        ),
        Campaign(
            "tollfraud",
            "sipp with a stolen credential, five calls a second to satellites",
            tollfraud,
            seconds=25,
            most_leaked=60,
            settings=_FRAUD,
            hep=True,
        ),
    )
}

_EMULATED: Final = 100


def for_emulator(campaign: Campaign) -> Campaign:
    """The same for a switch that forwards some hundred packets a second, as BMv2 does.

    What more is forged than it can carry hits everybody behind it, whatever is decided.
    """
    if campaign.start is not spoofed_flood:
        return campaign
    says = f"{_EMULATED} REGISTERs a second, each from another forged address"
    return replace(campaign, says=says, start=partial(spoofed_flood, rate=_EMULATED))


async def let_run(processes: Sequence[Process], seconds: float) -> None:
    """Wait until an attack ends, or its time is over; then, or when cancelled, it is stopped."""
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(process.wait(seconds) for process in processes))
    finally:
        for process in processes:
            await process.stop(1)


async def _svwar(stage: Stage, method: str) -> Process:
    return await _begin(
        *(stage, f"svwar-{method}", "svwar", "-m", method, "-e", "1000-1399"),
        *("--maximumtime", "5", SERVER),
    )


async def _sipp(
    stage: Stage, scenario: Path, *more: str | Path, address: str = ATTACKER.address
) -> Process:
    return await _begin(
        *(stage, f"{scenario.stem}-{address}", "sipp", f"{SERVER}:5060"),
        *("-sf", scenario, "-i", address, "-nostdin", *more),
    )


async def _begin(stage: Stage, name: str, *argv: str | Path) -> Process:
    return await stage.start(ATTACKER.role, name, *argv)
