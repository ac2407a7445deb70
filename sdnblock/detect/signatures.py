"""Marks of attack tools that come and go while the controller runs.

A signature is the beginning of a User-Agent, or of a From value (written ``From: ...``), in
whatever case. Short ones, and those that fit phones of known makers, would convict honest
people: they are refused unless somebody insists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sdnblock.errors import TargetError

SHORTEST: Final = 4
LONGEST: Final = 100
MOST: Final = 10_000
"""Signatures that are heeded of one source (a file, Redis)."""

Header = Literal["user-agent", "from"]

_PREFIX = re.compile(r"(user-agent|from)[ \t]*:[ \t]*", re.IGNORECASE)

HONEST: Final = (
    "2N ", "3CX", "Aastra", "Acrobits", "Alcatel", "Algo", "Asterisk", "AudioCodes", "Avaya",
    "AVM ", "Axis", "baresip", "Bicom", "Blink", "Bria", "BroadWorks", "Cisco",
    "Comrex", "CounterPath", "CSipSimple", "Dialogic", "Digium", "DrayTek",
    "DWISE", "Ekiga", "Elastix", "Escene", "eyeBeam", "Fanvil", "Flyingvoice", "FPBX",
    "FreePBX", "FreeSWITCH", "FRITZ!", "Genesys", "Gigaset", "Grandstream", "Groundwire",
    "Hanlong", "Htek", "Huawei", "Innovaphone", "Issabel", "Jitsi", "Kamailio", "Kapanga",
    "Konftel", "Lancom", "Linksys", "Linphone", "Mediatrix",
    "Metaswitch", "MicroSIP", "Mitel", "Movial", "NEC", "Obihai", "OpenScape",
    "OpenSIPS", "Oracle", "Panasonic", "Patton", "PhonerLite", "Phoner", "PJSUA", "pjsip",
    "Poly", "Polycom", "PortSIP", "QuesCom", "Ribbon", "RTCC", "Sangoma", "Sansay",
    "Siemens", "SIP Phone", "SIPml5", "SIP.js", "JsSIP", "Sippy", "Sipura", "Skype",
    "Snom", "SmartPBX", "Softphone", "Sonus", "Spectralink", "Speedport", "Starface", "Swyx",
    "Tadiran", "Tandberg", "Telephone", "Thomson", "TP-Link", "Twinkle", "Unify", "UniFi",
    "Vega", "VoIPGATE", "Vonage", "VTech", "Wildix", "X-Lite", "X-PRO", "Xorcom", "Yate",
    "Yealink", "Yeastar", "Z 3", "Z 5", "Zoiper", "Zultys", "ZyXEL",
)  # fmt: skip
"""Beginnings of User-Agents of honest phones and servers."""

_HONEST = tuple(name.lower() for name in HONEST)
_HONEST_FROMS: Final = ("sip:", "sips:", "<sip:", "<sips:", '"')
"""Beginnings that every From has: something must follow that is not usual."""
_MARKED = 3
"""Letters that must follow them."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The beginning of a header's value."""

    header: Header
    text: str

    def __str__(self) -> str:
        return self.text if self.header == "user-agent" else f"From: {self.text}"


def parse_signature(text: str) -> Signature:
    """``friendly-scanner``, ``User-Agent: friendly-scanner`` or ``From: "sipvicious"``.

    Raises TargetError for an empty, too long or unprintable one.
    """
    found = _PREFIX.match(text.strip())
    header: Header = "from" if found is not None and found[1].lower() == "from" else "user-agent"
    value = text.strip()[found.end() if found is not None else 0 :].strip()
    if not value:
        raise TargetError("an empty signature: give the beginning of a User-Agent")
    if len(value) > LONGEST:
        raise TargetError(f"signature {value[:40]!a}... is longer than {LONGEST} letters")
    if not value.isprintable():
        raise TargetError(f"signature {value[:40]!a} holds letters that cannot be printed")
    return Signature(header, value)


def objection(signature: Signature) -> str | None:
    """Why a signature would convict honest people; None: nothing is known against it."""
    text = signature.text.lower()
    if len(text) < SHORTEST:
        return f"shorter than {SHORTEST} letters: it would match honest names"
    if signature.header == "from":
        for start in _HONEST_FROMS:
            rest = text.removeprefix(start)
            if rest != text and len(rest.strip('"<>@')) < _MARKED:
                return f"begins like any From ({start!a}) and says nothing more"
        return None
    for name, lower in zip(HONEST, _HONEST, strict=True):
        if text.startswith(lower) or lower.startswith(text):
            return f"honest devices call themselves {name.strip()!a}"
    return None


class Signatures:
    """Those in force beside the configured ones, by where they are from."""

    def __init__(self) -> None:
        self._sources: dict[str, frozenset[Signature]] = {}
        self._agents, self._froms = _Index(()), _Index(())
        self.version = 0
        """Another one each time that they change."""
        self.longest = 0
        """Letters of the longest beginning of a From."""

    def replace(self, source: str, signatures: Iterable[Signature]) -> bool:
        """These are all of ``source`` from now on; whether that changes anything."""
        fresh = frozenset(signatures)
        if fresh == self._sources.get(source, frozenset()):
            return False
        self._sources[source] = fresh
        every = frozenset().union(*self._sources.values())
        self._agents = _Index(each.text for each in every if each.header == "user-agent")
        froms = [each.text for each in every if each.header == "from"]
        self._froms = _Index(froms)
        self.longest = max((len(text.lower()) for text in froms), default=0)
        self.version += 1
        return True

    def of(self, source: str) -> frozenset[Signature]:
        """Those of one source."""
        return self._sources.get(source, frozenset())

    def agent(self, value: str) -> bool:
        """Whether a User-Agent (in lower case) is one of them."""
        return self._agents.fits(value)

    def sender(self, value: str) -> bool:
        """Whether a From value (in lower case) is one of them."""
        return self._froms.fits(value)


class _Index:
    """Beginnings, by their first letters: thousands cost a request no more than one."""

    def __init__(self, texts: Iterable[str]) -> None:
        short: list[str] = []
        found: dict[str, list[str]] = {}
        for text in map(str.lower, texts):
            if len(text) < SHORTEST:
                short.append(text)
            else:
                found.setdefault(text[:SHORTEST], []).append(text)
        self._short = tuple(short)
        self._by_start = {start: tuple(each) for start, each in found.items()}

    def fits(self, value: str) -> bool:
        """Whether ``value`` begins with one of them."""
        begun = self._by_start.get(value[:SHORTEST])
        return (begun is not None and value.startswith(begun)) or value.startswith(self._short)
