"""The attacks, each by a real tool: sipvicious as it comes, and sipp under a phone's name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.attacks.forgeries import flood, once, register_as_others, replay, stolen
from bench.attacks.stage import Cut, Stage
from demo.network import SERVER, SERVER_NET


@dataclass(frozen=True)
class Attack:
    """An attack and what is promised of it."""

    name: str
    run: Callable[[Stage, str], Awaitable[Cut]]
    origins: frozenset[str]
    """Detectors of which one must convict, or, if ``report_only``, report."""
    most_leaked: int
    """Replies that may come back before the cut."""
    report_only: bool = False

    def held(self, cut: Cut) -> bool:
        """Whether it was convicted by whom it should, and leaked no more than promised."""
        if self.report_only:
            told = any(f": {origin}: " in line for line in cut.said for origin in self.origins)
            return told and not cut.claims and cut.leaked <= self.most_leaked
        convicted = any(claim["origin"] in self.origins for claim in cut.claims)
        return convicted and cut.leaked <= self.most_leaked


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

INSIDE = "<sip:gw@198.51.100.20:5090>"
ABROAD = [f"0088213{number:05}" for number in range(30)]
SQL = "\"x' or '1'='1\" <sip:1003@sip.example.net>"

FORGERIES = (
    Attack("unregister: 1002's binding, one try in 2 s",
           once(12, 0.5, method="REGISTER", uri="sip:sip.example.net", contact="*",
                sender="<sip:1002@sip.example.net>", header="Expires: 0"),
           frozenset({"unregister"}), 12),
    Attack("replay of a phone's credential", replay, frozenset({"replay"}), 1),
    Attack("challenge without qop",
           once(1, method="REGISTER", uri="sip:old.example.net"),
           frozenset({"weak-digest"}), 1, report_only=True),
    Attack("REGISTER for others with one's own credential", register_as_others,
           frozenset({"identity"}), 8),
    Attack("Contact that points to our gateway",
           once(3, method="REGISTER", uri="sip:sip.example.net", contact=INSIDE),
           frozenset({"foreign-domain"}), 1),
    Attack("INVITE to another domain, one a second",
           once(6, uri="sip:0088213@relay.example.com"), frozenset({"foreign-domain"}), 3),
    Attack("SQL in From", once(3, sender=SQL), frozenset({"injection"}), 1),
    Attack("calls with a stolen password, 1 a second", stolen("1007", ["1002"] * 8, 1, 11),
           frozenset({"invite-source"}), 80, report_only=True),
    Attack("toll fraud with a stolen password, 2 a second", stolen("1008", ABROAD, 2, 16),
           frozenset({"fraud"}), 60),
    Attack("flood of INVITEs, 1000/s", flood, frozenset({"request-rate", "flood"}), 2000),
)  # fmt: skip
"""What a request says, rather than how many there are. Who takes bindings away, and who floods,
is limited to a rate at which a phone still works; a call from elsewhere is reported."""

SLOW = (Attack("passwords as a phone, one in 30 s", crack(1 / 30, 8), GUESSES, 10),)
"""Minutes."""
