"""Detector ``scanner``: tools that say their name.

Sees: a User-Agent, or a From, of a known attack tool, in one packet. Cannot see: a tool that
calls itself a phone. The packet can be forged, unless its TCP connection is known to stand:
the verdict is spoofable, and never drops a source with credit.

Names are matched from the beginning, never inside: short words are in honest names too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.finding import Finding
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.grade import Grade

NAME: Final = "scanner"

USER_AGENTS: Final = (
    "friendly-scanner", "friendly-request", "sipvicious", "sipcli", "sundayddr", "iWar",
    "sipsak", "VaxSIPUserAgent", "VaxIPUserAgent", "SIVuS", "Gulp", "smap", "sip-scan",
    "pplsip", "SIPScan", "siparmyknife", "voiphopper", "Nmap NSE", "Conaito", "zxcvfdf11",
    "fdgddfg546df4g8d5f", "siptest", "VoIPSec", "UsaAirport",
)  # fmt: skip
"""Beginnings of User-Agents, from public rule sets (case does not matter)."""

FROMS: Final = ('"sipvicious"', "<sip:nm@nm", "<sip:nm2@nm2", "<sip:sipsak@", "<sip:smap@",
                "sip:nm@nm", "sip:nm2@nm2", "sip:sipsak@", "sip:smap@")  # fmt: skip
"""Beginnings of From values."""


_MOST: Final = 20_000
_LONGEST: Final = 256


@dataclass(frozen=True, slots=True)
class ScannerSettings:
    """``[detect.scanner]``: beginnings of User-Agents and From values that convict.

    ``file`` holds more of them, a line each, and is read again when it changes.
    """

    enabled: bool = True
    user_agents: tuple[str, ...] = USER_AGENTS
    froms: tuple[str, ...] = FROMS
    file: Path | None = field(default=None, metadata={"kind": Path})


class Scanner(Detector):
    """Knows the names; remembers who bears none of them."""

    name = NAME

    def __init__(self, settings: ScannerSettings, shared: Shared) -> None:
        self._agents = tuple(name.lower() for name in settings.user_agents)
        self._froms = tuple(text.lower() for text in settings.froms)
        self._more = shared.signatures
        self._version = -1
        self._honest_agents: set[str] = set()
        self._honest_froms: set[str] = set()
        """Beginnings of From values. Phones say the same again and again."""
        self._begin = 0
        """Letters of a From that say whether it bears one."""

    def glimpsed(self, event: SipSeen) -> Iterable[Finding]:
        """The names are among what is told of every request."""
        return self.request(event)

    def request(self, event: SipSeen) -> Iterable[Finding]:
        """A finding, if a request bears one of the names."""
        message = event.message
        fields = message.fields
        agent, sender = fields.get("user-agent", ""), fields.get("from", "")
        if self._version != self._more.version:
            self._learn()
        begin = sender[: self._begin]
        if agent in self._honest_agents and begin in self._honest_froms:
            return ()
        small_agent, small_sender = agent.lower(), sender.lower()
        if small_agent.startswith(self._agents) or self._more.agent(small_agent):
            mark = f"User-Agent {agent[:60]!a}"
        elif small_sender.startswith(self._froms) or self._more.sender(small_sender):
            mark = f"From {sender[:60]!a}"
        else:
            self._remember(agent, begin)
            return ()
        grade = Grade.PROVEN if event.established else Grade.SPOOFABLE
        reason = f"{message.method} with {mark}, a scanner's mark"
        return (Finding(NAME, event.source, grade, reason),)

    def _learn(self) -> None:
        """The signatures are others."""
        self._version = self._more.version
        self._begin = max(self._more.longest, *map(len, self._froms), 1)
        self._honest_agents.clear()
        self._honest_froms.clear()

    def _remember(self, agent: str, begin: str) -> None:
        """Neither bears a mark."""
        if len(agent) <= _LONGEST:
            if len(self._honest_agents) >= _MOST:
                self._honest_agents.clear()
            self._honest_agents.add(agent)
        if len(begin) <= _LONGEST and begin.isascii():  # small letters of others can be more
            if len(self._honest_froms) >= _MOST:
                self._honest_froms.clear()
            self._honest_froms.add(begin)
