"""A small SIP server and its callers, as messages that a capture of them would hold."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field

from sdnblock.block import UDP, Action, Source, parse_address, parse_prefix
from sdnblock.detect.engine import Engine
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.sides import Sides
from sdnblock.detect.verdict import Conclusion, Lift, Report, Verdict
from sdnblock.evidence.events import Evidence, SipSeen
from sdnblock.evidence.sip import parse_message

SERVER = parse_address("198.51.100.10")


@dataclass
class World:
    """Everything observed goes through an engine; its verdicts are kept."""

    engine: Engine = field(
        default_factory=lambda: Engine(DetectSettings(), Sides([parse_prefix("198.51.100.0/24")]))
    )
    now: float = 1_700_000_000.0
    verdicts: list[Verdict] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    lifts: list[Lift] = field(default_factory=list)
    sampled: bool = False
    """Whether only a part of the messages is seen."""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def send(
        self, source: str, port: int, text: str, protocol: int = UDP, *, established: bool = False
    ) -> None:
        """A message from a remote."""
        ends = (parse_address(source), port, SERVER, 5060)
        self._observe(*ends, text, protocol, established=established)

    def answer(self, source: str, port: int, text: str, protocol: int = UDP) -> None:
        """A message of ours to a remote."""
        self._observe(SERVER, 5060, parse_address(source), port, text, protocol)

    def request(
        self,
        source: str,
        method: str,
        user: str,
        *,
        port: int = 5060,
        who: str = "",
        host: str = "example.net",
        agent: str = "Phone/1.0",
        call: str = "",
        cseq: int = 1,
        nonce: str = "",
        realm: str = "r",
        account: str = "",
        digest: str = "",
        to_tag: str = "",
        protocol: int = UDP,
        branch: str = "",
        headers: str = "",
        established: bool = False,
    ) -> tuple[str, int]:
        """A request about ``user``, from ``who`` (the same), with a nonce and the credential of
        ``account`` (the same); returns its Call-ID and CSeq."""
        who = who or user
        call = call or f"{next(self._numbers)}@{source}"
        tag = f";tag={to_tag}" if to_tag else ""
        about = host if method == "REGISTER" else f"{user}@{host}"
        text = (
            f"{method} sip:{about} SIP/2.0\r\nFrom: <sip:{who}@example.net>;tag=f\r\n"
            f"To: <sip:{user}@example.net>{tag}\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\n"
            f"User-Agent: {agent}\r\n{headers}"
        )
        if branch:
            text += f"Via: SIP/2.0/UDP {source}:{port};branch={branch}\r\n"
        if nonce:
            text += (
                f'Authorization: Digest username="{account or who}", realm="{realm}",'
                f' nonce="{nonce}", {digest or digest_of(call, cseq, nonce)}\r\n'
            )
        self.send(source, port, text + "\r\n", protocol, established=established)
        return call, cseq

    def response(
        self,
        source: str,
        status: int,
        call: str,
        cseq: int,
        method: str,
        *,
        port: int = 5060,
        nonce: str = "",
        realm: str = "r",
        stale: bool = False,
        protocol: int = UDP,
        branch: str = "",
        headers: str = "",
        tag: str = "",
        more: str = ', qop="auth"',
    ) -> None:
        """A response of ours."""
        text = (
            f"SIP/2.0 {status} Reason\r\nTo: <sip:x@example.net>;tag={tag or tag_for(call)}\r\n"
            f"Call-ID: {call}\r\nCSeq: {cseq} {method}\r\n{headers}"
        )
        if branch:
            text += f"Via: SIP/2.0/UDP {source}:{port};branch={branch};received={source}\r\n"
        if nonce:
            flag = ", stale=true" if stale else ""
            text += f'WWW-Authenticate: Digest realm="{realm}", nonce="{nonce}"{flag}{more}\r\n'
        self.answer(source, port, text + "\r\n", protocol)

    def ask(self, source: str, method: str, user: str, status: int, **more: object) -> None:
        """A request and its final response."""
        call, cseq = self.request(source, method, user, **more)  # type: ignore[arg-type]
        port, protocol = more.get("port", 5060), more.get("protocol", UDP)
        self.response(source, status, call, cseq, method, port=port, protocol=protocol)  # type: ignore[arg-type]

    def register(self, source: str, user: str, good: bool, *, port: int = 5060,
                 stale: bool = False, wait: float = 0.05) -> None:  # fmt: skip
        """A phone that registers: 401, then its credential, then 200 or 401 again."""
        nonce = f"n{next(self._numbers)}"
        call, _ = self.request(source, "REGISTER", user, port=port)
        self.response(source, 401, call, 1, "REGISTER", port=port, nonce=nonce)
        self.now += wait
        self.request(source, "REGISTER", user, port=port, call=call, cseq=2, nonce=nonce)
        if good:
            self.response(source, 200, call, 2, "REGISTER", port=port)
        else:
            again = f"n{next(self._numbers)}"
            self.response(source, 401, call, 2, "REGISTER", port=port, nonce=again, stale=stale)

    def _observe(
        self, source: bytes, port: int, to: bytes, to_port: int, text: str, protocol: int,
        *, established: bool = False,
    ) -> None:  # fmt: skip
        message = parse_message(text.encode())
        assert message is not None
        self.now += 0.001
        event = SipSeen(
            self.now, protocol, source, port, to, to_port, message, "test",
            established=established, sampled=self.sampled,
        )  # fmt: skip
        self.see(event)

    def see(self, event: Evidence) -> None:
        """Any evidence."""
        self._conclude(self.engine.observe(event))

    def tick(self) -> None:
        """Time has passed."""
        self._conclude(self.engine.tick(self.now))

    def _conclude(self, conclusions: list[Conclusion]) -> None:
        for conclusion in conclusions:
            if isinstance(conclusion, Verdict):
                self.verdicts.append(conclusion)
            elif isinstance(conclusion, Report):
                self.reports.append(conclusion)
            else:
                self.lifts.append(conclusion)

    def blocked(self) -> set[str]:
        """Targets of all verdicts so far that stop packets."""
        return {str(each.target) for each in self.verdicts if each.action is not Action.WATCH}


def digest_of(call: str, cseq: int, nonce: str) -> str:
    """The rest of a credential: the same in retransmissions, and in nothing else."""
    response = hashlib.md5(f"{call} {cseq} {nonce}".encode()).hexdigest()
    return f'response="{response}", cnonce="{response[:8]}", qop=auth, nc=00000001'


def tag_for(call: str) -> str:
    """Our To tag in a call, as random as a good server's."""
    return hashlib.sha256(call.encode()).hexdigest()[:16]


def source(text: str) -> Source:
    """A source."""
    return Source(parse_address(text))
