"""What a tool leaves in all its requests, whoever runs it: one short name for it.

Not what changes from request to request (tags, Call-IDs, users), but how it is made; and not
what an address decides. Phones of one model share much of it, so a fingerprint alone says
nothing about guilt.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sdnblock.block import format_address
from sdnblock.detect.asked import Asked
from sdnblock.evidence.sip_values import Address

_LONGEST: Final = 64
_TOKENS: Final = 12
_LONG: Final = 12
"""Letters from which on a word is long enough to say what it is made of."""
_TAIL: Final = 9
"""Last digits of a number that stay the same when somebody hunts for the dial prefix."""

_WORD = re.compile(r"[0-9A-Za-z]+")
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+", re.ASCII)
_ADDRESS = re.compile(r"\[?[0-9a-fA-F:.]+\]?|[0-9.]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """``key`` is for dictionaries (and Redis), ``label`` for people."""

    key: str
    label: str


def fingerprint(asked: Asked) -> Fingerprint:
    """How the tool that sent a request makes its requests."""
    sender, target = asked.from_, asked.uri
    agent = asked.user_agent[:_LONGEST]
    made_of = (
        agent,
        _display(asked.from_text, sender),
        _user(sender, asked.about),
        _host(sender, target, asked.remote),
        shape(asked.call_id, asked.remote),
        shape(asked.from_tag, asked.remote),
    )
    called = f"User-Agent {agent[:40]!a}" if agent else "no User-Agent"
    return Fingerprint(brief_key("\0".join(made_of)), f"{called}, From {made_of[1]}{made_of[2]}")


def dial_tail(number: str) -> Fingerprint | None:
    """The end of a number that is long enough to have a prefix before it."""
    digits = number.lstrip("+")
    if len(digits) < _TAIL + 2:
        return None
    tail = digits[-_TAIL:]
    return Fingerprint(f"dial-{tail}", f"numbers that end in {tail}")


def shape(text: str, remote: bytes) -> str:
    """A word that a program made up, as the sort of words that it makes up.

    Long words by what they are made of: ``9`` digits, ``h`` hexadecimal, ``x`` anything; short
    ones are all ``w``. What is between them stays. Behind an ``@`` only the sort of host.
    """
    word, at, host = text[:256].partition("@")
    word = word.removeprefix("z9hG4bK")
    if word.isascii() and word.isalnum():  # as nearly always: one word
        tokens = _sort(word)
    else:
        tokens = _WORD.sub(lambda found: _sort(found[0]), word)
    return tokens[: 2 * _TOKENS] + (at and f"@{_host_sort(host, remote)}")


@lru_cache(maxsize=1024)
def brief_key(text: str) -> str:
    """A text as 16 hexadecimal digits."""
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def _sort(word: str) -> str:
    if len(word) < _LONG:
        return "w"
    if _DIGITS.fullmatch(word):
        return "9"
    return "h" if _HEX.fullmatch(word) else "x"


def _display(text: str, sender: Address | None) -> str:
    """The display name, unless it only repeats the user."""
    name = text.partition("<")[0].strip().strip('"')[:_LONGEST] if "<" in text else ""
    if not name:
        return "<" if "<" in text else ""
    if sender is not None and name == sender.user:
        return "=user<"
    return "9<" if _DIGITS.fullmatch(name) else f"{name!a}<"


def _user(sender: Address | None, about: str) -> str:
    if sender is None:
        return "none"
    if sender.user == about:
        return "=asked"
    return "9" if _DIGITS.fullmatch(sender.user) else ascii(sender.user[:_LONGEST])


def _host(sender: Address | None, target: Address | None, remote: bytes) -> str:
    if sender is None:
        return ""
    if target is not None and sender.host == target.host:
        return "=target"
    return _host_sort(sender.host, remote)


_written = lru_cache(maxsize=1024)(format_address)
"""An address as text; who scans asks often."""


def _host_sort(host: str, remote: bytes) -> str:
    if host.strip("[]") == _written(remote):
        return "=source"
    return "ip" if _ADDRESS.fullmatch(host.partition(":")[0] or host) else "name"
