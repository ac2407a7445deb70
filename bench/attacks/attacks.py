"""The attacks, each by a real tool: sipvicious as it comes, and sipp under a phone's name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.attacks.stage import Cut, Stage
from demo.network import SERVER, SERVER_NET


@dataclass(frozen=True)
class Attack:
    """An attack and what is promised of it."""

    name: str
    run: Callable[[Stage, str], Awaitable[Cut]]
    origins: frozenset[str]
    """Detectors of which one must convict."""
    most_leaked: int
    """Replies that may come back before the cut."""


async def svmap(stage: Stage, address: str) -> Cut:
    """OPTIONS to every address of the server's network."""
    process = await stage.start("svmap", "svmap", SERVER_NET)
    return await stage.attack(process, address, 6)


def svwar(method: str) -> Callable[[Stage, str], Awaitable[Cut]]:
    """Four hundred extensions, by REGISTER, OPTIONS or INVITE."""

    async def run(stage: Stage, address: str) -> Cut:
        process = await stage.start(
            f"svwar-{method}", "svwar", "-m", method, "-e", "1000-1399",
            "--maximumtime", "4", SERVER,
        )  # fmt: skip
        return await stage.attack(process, address, 6)

    return run


async def svcrack(stage: Stage, address: str) -> Cut:
    """Passwords of extension 1001."""
    process = await stage.start("svcrack", "svcrack", "-u", "1001", "-r", "1000-1999", SERVER)
    return await stage.attack(process, address, 6)


def enumerate_quietly(method: str, rate: float) -> Callable[[Stage, str], Awaitable[Cut]]:
    """Extensions that mostly do not exist, under a phone's name and below every rate."""

    async def run(stage: Stage, address: str) -> Cut:
        users = stage.directory / f"users-{address}.csv"
        users.write_text("SEQUENTIAL\n" + "".join(f"{user}\n" for user in range(1015, 1100)))
        process = await stage.sipp(
            address, f"enumerate-{method}", "-inf", users, "-r", f"{rate:g}", "-m", "80"
        )
        return await stage.attack(process, address, 80 / rate + 2)

    return run


def crack(rate: float, guesses: int) -> Callable[[Stage, str], Awaitable[Cut]]:
    """Passwords of 1001, ``rate`` a second, under a phone's name."""

    async def run(stage: Stage, address: str) -> Cut:
        words = stage.directory / f"words-{address}.csv"
        words.write_text(
            "SEQUENTIAL\n"
            + "".join(
                f"[authentication username=1001 password=wrong-{n}]\n" for n in range(guesses)
            )
        )
        rates = ("-r", f"{rate:g}") if rate >= 1 else ("-r", "1", "-rp", f"{1000 / rate:.0f}")
        process = await stage.sipp(address, "crack", "-inf", words, *rates, "-m", str(guesses))
        return await stage.attack(process, address, guesses / rate + 2)

    return run


SCANNER, ENUMERATION, GUESSES = (
    frozenset({"scanner"}),
    frozenset({"enumeration", "outcome-walk"}),
    frozenset({"brute-force"}),
)

QUICK = (
    Attack("svmap", svmap, SCANNER, 1),
    Attack("svwar, REGISTER", svwar("REGISTER"), SCANNER, 1),
    Attack("svwar, OPTIONS", svwar("OPTIONS"), SCANNER, 1),
    Attack("svwar, INVITE", svwar("INVITE"), SCANNER, 1),
    Attack("svcrack", svcrack, SCANNER, 1),
    Attack("REGISTER enumeration as a phone, 20/s", enumerate_quietly("register", 20),
           ENUMERATION, 9),
    Attack("OPTIONS enumeration as a phone, 20/s", enumerate_quietly("options", 20),
           ENUMERATION, 9),
    Attack("INVITE enumeration as a phone, 20/s", enumerate_quietly("invite", 20),
           ENUMERATION, 9),
    Attack("passwords as a phone, 80/s", crack(80, 200), GUESSES, 12),
    Attack("passwords as a phone, 2/s", crack(2, 20), GUESSES, 10),
)  # fmt: skip
"""Some seconds each. Of the enumerated extensions 1015 to 1019 exist: their answers leak
besides the four failures that convict."""

SLOW = (Attack("passwords as a phone, one in 30 s", crack(1 / 30, 8), GUESSES, 10),)
"""Minutes."""
