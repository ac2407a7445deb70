"""Two captures for the replay bench: the worst one, and one as a server's own would look.

Frames are Ethernet, IPv4 and UDP; the same in every run.
"""

from __future__ import annotations

import heapq
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.dataplane import packets as p

SERVER: Final = "198.51.100.9"
PHONES: Final = 200
START: Final = 1_700_000_000.0

_DOMAIN: Final = "example.net"
_AGENTS: Final = (
    "Yealink SIP-T46S 66.86.0.15", "Grandstream GXP2170 1.0.11.6", "snomD785/10.1.64.14",
    "PolycomVVX-VVX_411-UA/6.4.0.9", "Zoiper rv2.10.11.5",
)  # fmt: skip
_ALLOW: Final = "INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, MESSAGE"
_SDP: Final = (
    "v=0\r\no=- 20518 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 11780 RTP/AVP 0 8 18 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:18 G729/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    "a=ptime:20\r\na=sendrecv\r\n"
)

Packet = tuple[float, bytes]
"""Unix seconds, and a frame."""


def worst(count: int) -> Iterator[Packet]:
    """Nothing but new REGISTERs, each of its own call, without answers: all that can be new
    about a packet is."""
    for number in range(count):
        user = number % PHONES
        text = (
            f"REGISTER sip:{_DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number}\r\n"
            f"From: <sip:{user}@{_DOMAIN}>;tag=t{number}\r\nTo: <sip:{user}@{_DOMAIN}>\r\n"
            f"Call-ID: {number}@192.0.2.1\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:{user}@192.0.2.1:5060>;expires=3600\r\nUser-Agent: Phone/1.0\r\n"
            "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE\r\nContent-Length: 0\r\n\r\n"
        )
        yield START + number / 1000, p.v4(text.encode(), source=f"192.0.2.{1 + user}")


def everyday(count: int) -> Iterator[Packet]:
    """Phones that register with a challenge, send keepalives and call, among them somebody who
    looks for users and one who guesses a password: as a capture beside the server shows it,
    answers included. A third of the packets belongs to calls."""
    rng = random.Random(1)
    actors = [_Phone(rng, number) for number in range(PHONES)]
    streams = [_living(actor, START + 0.05 * number) for number, actor in enumerate(actors)]
    streams.append(_scanning(rng, START + 3.0))
    streams.append(_guessing(rng, START + 5.0))
    merged = heapq.merge(*streams, key=lambda packet: packet[0])
    for _, packet in zip(range(count), merged, strict=False):
        yield packet


def write(path: Path, packets: Iterator[Packet]) -> None:
    """A pcap file."""
    record = struct.Struct("<IIII")
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for time, frame in packets:
            microseconds = round(time * 1e6)
            size = len(frame)
            file.write(record.pack(*divmod(microseconds, 1_000_000), size, size) + frame)


class _Phone:
    """Writes what one phone sends and is answered."""

    def __init__(self, rng: random.Random, number: int, agent: str = "") -> None:
        self.rng = rng
        self.user = str(1000 + number)
        self.address = f"192.0.2.{1 + number}" if number < PHONES else f"203.0.113.{number % 250}"
        self.agent = agent or _AGENTS[number % len(_AGENTS)]
        self.cseq = 1
        self.registration = self.word()

    def word(self) -> str:
        """Something that is never the same again."""
        return f"{self.rng.getrandbits(64):016x}"

    def request(
        self, method: str, user: str, call: str, *,
        branch: str, tag: str, to_tag: str = "", more: str = "", body: str = "",
    ) -> bytes:  # fmt: skip
        """A request of the phone's."""
        about = _DOMAIN if method == "REGISTER" else f"{user}@{_DOMAIN}"
        suffix = f";tag={to_tag}" if to_tag else ""
        kind = "Content-Type: application/sdp\r\n" if body else ""
        text = (
            f"{method} sip:{about} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.address}:5060;rport;branch={branch}\r\n"
            f'From: "{self.user}" <sip:{self.user}@{_DOMAIN}>;tag={tag}\r\n'
            f"To: <sip:{user}@{_DOMAIN}>{suffix}\r\nCall-ID: {call}@{self.address}\r\n"
            f"CSeq: {self.cseq} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:{self.user}@{self.address}:5060>\r\nUser-Agent: {self.agent}\r\n"
            f"Allow: {_ALLOW}\r\n{more}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        return p.v4(text.encode(), source=self.address)

    def answer(
        self, status: str, method: str, user: str, call: str, *,
        branch: str, tag: str, to_tag: str, more: str = "", body: str = "",
    ) -> bytes:  # fmt: skip
        """Our server's answer to it."""
        text = (
            f"SIP/2.0 {status}\r\nVia: SIP/2.0/UDP {self.address}:5060;rport=5060;"
            f"received={self.address};branch={branch}\r\n"
            f'From: "{self.user}" <sip:{self.user}@{_DOMAIN}>;tag={tag}\r\n'
            f"To: <sip:{user}@{_DOMAIN}>;tag={to_tag}\r\nCall-ID: {call}@{self.address}\r\n"
            f"CSeq: {self.cseq} {method}\r\nServer: kamailio (5.7.4 (x86_64/linux))\r\n"
            f"{more}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        packet = p.ip4(p.udp(text.encode()), p.UDP, SERVER, self.address)
        return p.ether(packet, 0x0800)

    def credential(self, nonce: str, name: str = "Authorization") -> str:
        """A header."""
        return (
            f'{name}: Digest username="{self.user}", realm="{_DOMAIN}", nonce="{nonce}",'
            f' uri="sip:{_DOMAIN}", response="{self.word()}{self.word()}", algorithm=MD5,'
            f' cnonce="{self.word()}", qop=auth, nc=00000001\r\n'
        )

    def asked(
        self, at: float, method: str, user: str, call: str, status: str, *,
        more: str = "", answer: str = "",
    ) -> Iterator[Packet]:  # fmt: skip
        """A request and its answer."""
        ids = {"branch": f"z9hG4bK{self.word()}", "tag": self.word()}
        self.cseq += 1
        yield at, self.request(method, user, call, more=more, **ids)
        yield (
            at + 0.004,
            self.answer(status, method, user, call, to_tag=self.word(), more=answer, **ids),
        )

    def register(self, at: float, last: str = "200 OK") -> Iterator[Packet]:
        """With a challenge."""
        nonce = self.word() * 2
        challenge = f'WWW-Authenticate: Digest realm="{_DOMAIN}", nonce="{nonce}", qop="auth"\r\n'
        call, expires = self.registration, "Expires: 3600\r\n"
        yield from self.asked(
            at, "REGISTER", self.user, call, "401 Unauthorized", more=expires, answer=challenge
        )
        answer = challenge.replace(nonce, self.word() * 2) if last.startswith("401") else expires
        more = expires + self.credential(nonce)
        yield from self.asked(
            at + 0.03, "REGISTER", self.user, call, last, more=more, answer=answer
        )

    def call(self, at: float, number: str, lasts: float) -> Iterator[Packet]:
        """Challenged, taken, refreshed and ended."""
        call, tag, nonce, theirs = self.word(), self.word(), self.word() * 2, self.word()
        branch = f"z9hG4bK{self.word()}"
        once = {"branch": branch, "tag": tag}
        challenge = f'Proxy-Authenticate: Digest realm="{_DOMAIN}", nonce="{nonce}", qop="auth"\r\n'
        first = self.word()
        self.cseq += 1
        yield at, self.request("INVITE", number, call, body=_SDP, **once)
        yield (
            at + 0.004,
            self.answer("407 Proxy Authentication Required", "INVITE", number, call,
                        to_tag=first, more=challenge, **once),
        )  # fmt: skip
        yield at + 0.01, self.request("ACK", number, call, to_tag=first, **once)
        self.cseq += 1
        again = {"branch": f"z9hG4bK{self.word()}", "tag": tag}
        shown = self.credential(nonce, "Proxy-Authorization")
        yield at + 0.02, self.request("INVITE", number, call, more=shown, body=_SDP, **again)
        for later, status, body in ((0.022, "100 Trying", ""), (0.3, "180 Ringing", ""),
                                    (4.0, "200 OK", _SDP)):  # fmt: skip
            yield (
                at + later,
                self.answer(status, "INVITE", number, call, to_tag=theirs, body=body, **again),
            )
        yield at + 4.03, self.request("ACK", number, call, to_tag=theirs, **again)
        self.cseq += 1
        end = {"branch": f"z9hG4bK{self.word()}", "tag": tag}
        yield at + 4.1 + lasts, self.request("BYE", number, call, to_tag=theirs, **end)
        yield (
            at + 4.104 + lasts,
            self.answer("200 OK", "BYE", number, call, to_tag=theirs, **end),
        )


def _living(phone: _Phone, at: float) -> Iterator[Packet]:
    while True:
        yield from phone.register(at)
        for _ in range(3):
            at += 20.0
            yield from phone.asked(at, "OPTIONS", "", phone.word(), "200 OK")
        number = str(1000 + phone.rng.randrange(PHONES))
        lasts = phone.rng.uniform(5.0, 40.0)
        yield from phone.call(at + 1.0, number, lasts)
        at += 30.0 + lasts


def _scanning(rng: random.Random, at: float) -> Iterator[Packet]:
    """Asks for one user after another, in a phone's clothes."""
    for number in range(100_000):
        tool = _Phone(rng, 900, "PBX")
        tool.user = str(number)
        status = "401 Unauthorized" if 1000 <= number < 1000 + PHONES else "404 Not Found"
        yield from tool.asked(at + number / 2, "REGISTER", tool.user, tool.word(), status)


def _guessing(rng: random.Random, at: float) -> Iterator[Packet]:
    tool = _Phone(rng, 901, "Phone/1.0")
    tool.user = "1007"
    while True:
        yield from tool.register(at, "401 Unauthorized")
        at += 2.0
