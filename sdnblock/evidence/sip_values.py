"""What stands in SIP header values: addresses, parameters, credentials. Hostile input.

Everything is read in order from the beginning, quoted strings as a whole: what stands inside
of quotes, or behind the URI, is never taken for the URI, a tag or a nonce. No pattern here
can go back over more than one step, so time grows with the length only.

RFC 3261: 19.1.1 (URIs), 20.10 (Contact), 25.1 (quoted strings); RFC 7616, 3.3 and 3.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_QUOTED: Final = r'"(?:[^"\\]|\\.)*+"'
_NAME = re.compile(rf'[^"<;]*+(?:{_QUOTED}[^"<;]*+)*+')
"""A display name, quoted or not, up to the URI; or an address without angle brackets."""
_URI = re.compile(
    r"[ \t]*sips?:(?:([^@>\s:;]*+)(?:[:;][^@>\s]*+)?@)?"
    r"(\[[0-9a-fA-F:.]{2,45}\]|[^@:;>?,\s]{1,255}+)(?![^:;>?,\s])",
    re.IGNORECASE,
)
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*([^\s=;,"]*+)[ \t]*(?:=[ \t]*({_QUOTED}|[^;,\s"]*+))?')
_BRANCH = re.compile(r'[^",]*?;[ \t]*branch[ \t]*=[ \t]*([^;,\s"]{1,256})', re.IGNORECASE)
_PART = re.compile(rf'(?:[^",<]++|{_QUOTED}|<[^>]*+>?|".*+)++')
_CREDENTIALS = re.compile(
    r"[ \t,]*+([A-Za-z0-9_.-]{1,32}+)[ \t]*+=[ \t]*+"
    r'(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^,\s"]++))|(?s:.+)'
)
"""A parameter, its value quoted or not; or, where none begins, all that is left."""
_USUAL: Final = frozenset(
    {"username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "opaque", "qop", "nc",
     "stale"}
)  # fmt: skip
_TOKEN = re.compile(r"[A-Za-z0-9._~+-]*")


@dataclass(frozen=True, slots=True)
class Address:
    """A URI in a header: user and host in lower case where case does not matter."""

    user: str
    host: str


@dataclass(slots=True, init=False)  # frozen, it would take three times as long to make
class Digest:
    """An Authorization or a challenge: scheme and parameters by lower-case name."""

    scheme: str
    parameters: dict[str, str]

    def __init__(self, scheme: str, parameters: dict[str, str]) -> None:
        self.scheme = scheme
        self.parameters = parameters

    def get(self, name: str) -> str:
        """A parameter, empty if it is not there."""
        return self.parameters.get(name, "")


@lru_cache(maxsize=4096)
def parse_address(value: str) -> Address | None:
    """The SIP URI of a From, To or Contact value, or of a Request-URI; None without one."""
    found = _URI.match(value, _span(value)[0])
    return Address(found[1] or "", found[2].lower().rstrip(".")) if found else None


def parameter(value: str, name: str) -> str:
    """A parameter of the header itself (not of the URI in it), empty if it is not there."""
    at = _span(value)[1]
    while found := _PARAMETER.match(value, at):
        if found[1].lower() == name:
            return (found[2] or "").strip('"')
        at = found.end()
    return ""


@lru_cache(maxsize=4096)
def expires_of(contact: str) -> str:
    """The ``expires`` of a Contact, empty if there is none: phones send the same all day."""
    return parameter(contact, "expires")


def tag_of(value: str) -> str:
    """The tag of a From or To value, empty if there is none."""
    text = value
    if text[:1] == '"' and "\\" not in text:  # a name in quotes
        text = text[text.find('"', 1) + 1 :].lstrip(" \t")
    if text[:1] == "<" and '"' not in text:
        _, found, rest = text.partition(">")
        if found and not rest:
            return ""
        if found and rest[:5] == ";tag=":  # as nearly always, with nothing behind it
            tag = rest[5:261]
            if len(rest) <= 261 and (tag.isalnum() or _TOKEN.fullmatch(tag)):
                return tag
    return parameter(value, "tag")[:256]


def without_tag(value: str) -> str:
    """A From or To without a tag that is nothing but letters and figures."""
    head, found, tag = value.rpartition(";tag=")
    return head if found and (tag.isalnum() or _TOKEN.fullmatch(tag)) else value


def branch_of(value: str) -> str:
    """The branch of the first of a Via's values, empty if there is none."""
    if "," not in value and '"' not in value:  # as nearly always
        _, found, rest = value.partition(";branch=")
        if found:
            return rest.partition(";")[0].strip()[:256]
    matched = _BRANCH.match(value)
    return matched[1] if matched else ""


def parse_contacts(value: str) -> list[str]:
    """The values of a Contact header, split at commas outside of quotes and angle brackets."""
    if "," not in value:  # as nearly always
        return [part] if (part := value.strip()) else []
    return [part for each in _PART.findall(value) if (part := each.strip())]


@lru_cache(maxsize=512)
def parse_digest(value: str) -> Digest | None:
    """An Authorization or challenge value (RFC 7616, 3.3 and 3.4); None if it is empty.

    The same object for the same value: not to be changed.
    """
    scheme, _, rest = value.strip().replace("\t", " ").partition(" ")
    if not scheme:
        return None
    parameters = _usual_parameters(rest)
    if parameters is None:
        parameters = {}
        for name, quoted, plain in _CREDENTIALS.findall(rest):
            if name:
                parameters.setdefault(name.lower(), quoted or plain)
    return Digest(scheme.lower(), parameters)


def _usual_parameters(text: str) -> dict[str, str] | None:
    """What :data:`_CREDENTIALS` finds, where they are written as nearly everybody does; None
    where they are not. As machine code, it takes half the time of the pattern."""
    found: dict[str, str] = {}
    at, size = 0, len(text)
    while at < size:
        equals = text.find("=", at)
        if equals < 0:
            return None
        name = text[at:equals].lstrip(" \t,")
        if name not in _USUAL:
            return None
        at = equals + 1
        if text.startswith('"', at):
            end = text.find('"', at + 1)
            if end < 0:
                return None
            value = text[at + 1 : end]
            if "\\" in value:
                return None
            at = end + 1
        else:
            end = text.find(",", at)
            if end < 0:
                end = size
            value = text[at:end]
            if not value.isalnum() or not value.isascii():
                return None
            at = end
        found.setdefault(name, value)
    return found


def _span(value: str) -> tuple[int, int]:
    """Where the URI of an address begins, and where the header's own parameters do."""
    name = _NAME.match(value)
    at = name.end() if name else 0
    if value[at : at + 1] == "<":
        end = value.find(">", at)
        return at + 1, end + 1 if end >= 0 else len(value)
    return 0, at
