"""Honest phones: real SIP calls by sipp, one a second, for as long as the demo runs."""

from __future__ import annotations

import csv
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from demo.network import SERVER, Stage
from demo.processes import CommandFailed, Process, run

SCENARIOS = Path(__file__).parent / "scenarios"
PHONE = "192.0.2.10"
"""The address of all honest phones."""


@dataclass(frozen=True)
class Calls:
    """What sipp counted."""

    completed: int
    failed: int
    """Given up, with or without an answer."""
    under_way: int = 0
    why: str = ""
    """Why some failed, in sipp's words."""


class Phones:
    """Caller 1001 and callee 1002, both registered with their credentials."""

    def __init__(self, network: Stage, directory: Path) -> None:
        self._network = network
        self._directory = directory
        self._stats = directory / "calls.csv"
        self._answering: Process | None = None
        self._calling: Process | None = None

    async def start(self, rate: float) -> None:
        """Register, answer and call ``rate`` times a second. Raises CommandFailed."""
        self._answering = await self._sipp("answer", 5070)
        for user, port in (("1001", 5072), ("1002", 5070)):
            await self._register(user, port)
        self._directory.joinpath("caller.csv").write_text(
            "SEQUENTIAL\n1001;[authentication username=1001 password=secret-1001];1002\n"
        )
        self._calling = await self._sipp(
            *("call", 5072, "-inf", self._directory / "caller.csv", "-r", f"{rate:g}"),
            *("-trace_stat", "-stf", self._stats, "-fd", "1"),
            *("-trace_err", "-error_file", self._directory / "calls-errors.log"),
        )

    def calls(self) -> Calls:
        """Completed and failed calls, from sipp's own statistics (a second old at most)."""
        return read_calls(self._stats)

    async def finish(self) -> Calls:
        """Start no more calls, let the running ones end, and return the count.

        A call that has not ended within fifteen seconds has failed.
        """
        if self._calling is not None:
            self._calling.signal(signal.SIGUSR1)
            try:
                await self._calling.wait(15)
            except TimeoutError:
                print("the caller does not finish", file=sys.stderr)
        found = self.calls()
        why = [found.why] if found.why else []
        if found.under_way:
            why.append(f"not ended {found.under_way}")
        return Calls(found.completed, found.failed + found.under_way, 0, ", ".join(why))

    async def stop(self) -> None:
        """Stop both phones."""
        for process in (self._calling, self._answering):
            if process is not None:
                await process.stop(1)

    async def _sipp(self, scenario: str, port: int, *more: str | Path) -> Process:
        return await self._network.start(
            *("phones", f"sipp-{scenario}", "sipp", f"{SERVER}:5060"),
            *("-sf", SCENARIOS / f"{scenario}.xml", "-i", PHONE, "-p", str(port)),
            *("-nostdin", *more),
        )

    async def _register(self, user: str, contact_port: int) -> None:
        scenario = self._directory / f"register-{user}.xml"
        text = (SCENARIOS / "register.xml").read_text()
        scenario.write_text(text.replace("[contact_port]", str(contact_port)))
        users = self._directory / f"register-{user}.csv"
        users.write_text(
            f"SEQUENTIAL\n{user};[authentication username={user} password=secret-{user}]\n"
        )
        try:
            await run(
                *self._network.inside("phones"),
                *("sipp", f"{SERVER}:5060", "-sf", scenario, "-inf", users),
                *("-i", PHONE, "-p", "5074", "-m", "1", "-nostdin", "-timeout", "10s"),
                seconds=20,
            )
        except CommandFailed as error:
            raise CommandFailed(f"phone {user} cannot register: {error}") from None


def read_calls(stats: Path) -> Calls:
    """What sipp's statistics file says."""
    if not stats.exists():
        return Calls(0, 0)
    rows = list(csv.DictReader(stats.read_text().splitlines(), delimiter=";"))
    if not rows:
        return Calls(0, 0)
    last = rows[-1]
    completed, failed, under_way = (
        int(last[name] or 0) for name in ("SuccessfulCall(C)", "FailedCall(C)", "CurrentCall")
    )
    causes = {
        name.removeprefix("Failed").removesuffix("(C)"): number
        for name, number in last.items()
        if name and name.startswith("Failed") and name.endswith("(C)")
    }
    why = [f"{name} {n}" for name, n in causes.items() if name != "Call" and int(n or 0)]
    return Calls(completed, failed, under_way, ", ".join(why))
