"""Detector ``injection``: what no phone writes into a header.

Sees: fragments of SQL, shell commands, format strings, scripts, paths that climb, control
characters and overlong names in From, To, Contact, User-Agent, the Request-URI and the
credential's username, also percent-encoded, in one packet. Cannot see: headers that are not
read here, bodies, and what is encoded twice. The packet can be forged unless its TCP
connection is known to stand: the verdict is spoofable, and never drops a source with credit.

Every pattern asks for more than one odd character: names have apostrophes (O'Brien, Côte
D'Or), dialled numbers stars and squares, and misconfigured exchanges send ``${EXTEN}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.finding import Finding
from sdnblock.detect.words import Harmless
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.grade import Grade
from sdnblock.evidence.sip import SipMessage
from sdnblock.evidence.sip_values import without_tag

NAME: Final = "injection"

_COMMANDS: Final = (
    "wget|curl|nc|ncat|bash|sh|cat|rm|id|uname|whoami|nslookup|ping|sleep|chmod|tftp|busybox|echo"
)
_KINDS: Final = (
    ("SQL", r"'[ )]*(?:or|and)\b[^<>@]{0,40}?(?:=|\blike\b|\bis\b|--|#)"),
    ("SQL", r"'[ )]*(?:--|;|\|\||/\*)"),
    ("SQL", r"\"[ )]*(?:or|and)[ ]+\"?\w+\"?[ ]*="),
    ("SQL", r"(?:[')][ )+]*|\"[ )+]+|\d[ +]+)union[ +]+(?:all[ +]+)?select\b"),
    ("SQL", r"[;'][ ]*(?:drop|delete|insert|update|exec|alter|truncate|select)[ +]+[\w*]"),
    ("SQL", r"['(=][ ]*(?:sleep|benchmark|pg_sleep|waitfor[ ]+delay|xp_cmdshell)[ ]*\("),
    ("a shell command", rf"[;|&][ ]*(?:/bin/|/usr/bin/)?(?:{_COMMANDS})(?:[ +]+[/.$\d-]|\$ifs)"),
    ("a shell command", r"[;|&][ ]*(?:/bin/|/usr/bin/)?(?:wget|curl|tftp|busybox)[ +]+[\w/.-]"),
    ("a shell command", rf"\$\([ ]*(?:/bin/|/usr/bin/)?(?:{_COMMANDS})\b"),
    ("a shell command", rf"`[ ]*(?:/bin/|/usr/bin/)?(?:{_COMMANDS})\b[^`]{{0,200}}`"),
    ("a shell command", r"\$\{(?:jndi|ifs|env:|lower:|upper:|::-)"),
    ("a shell command", r"\([ ]*\)[ ]*\{[ ]*:;"),
    ("a format string", r"(?:%[0-9]{0,4}\$?[nspx]){2}|%[0-9]{1,3}\$n"),
    ("a script", r"<[ /]*(?:script|iframe|img[ /]|svg[ />]|body[ ]+on|\?php|\?=)|javascript[ ]*:"),
    ("a path that climbs", r"\.\.[/\\]\.\.[/\\]"),
    ("a path of the server", r"/etc/(?:passwd|shadow)"),
    # Not ESC $ and ESC (, by which Japanese names begin and end (ISO-2022-JP).
    ("control characters", r"[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f]|\x1b[\[\]]"),
)  # fmt: skip
_MARKS: Final = re.compile(
    r"['`$|%(&\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\.\.|<(?!sip|urn|tel)|/etc/|\"[ )+]*(?:union|or|and)"
    r"|javascript|\d[ +]+union"
    rf"|;[ ]*(?:/|drop|delete|insert|update|exec|alter|truncate|select|{_COMMANDS})"
)
"""What stands in every one of them: most honest messages are done with after this."""
_EACH: Final = tuple((what, re.compile(pattern)) for what, pattern in _KINDS)
_FIELDS: Final = ("from", "to", "contact", "user-agent")
_KEPT: Final = 256
_MOST: Final = 20_000


@dataclass(frozen=True, slots=True)
class InjectionSettings:
    """``[detect.injection]``: longer names than ``longest`` characters convict as well."""

    enabled: bool = True
    longest: int = field(default=256, metadata={"least": 64, "most": 1024})
    """Characters of a user in a URI."""
    longest_agent: int = field(default=512, metadata={"least": 64, "most": 1024})
    """Characters of a User-Agent."""


class Injection(Detector):
    """Looks at single requests."""

    name = NAME

    def __init__(self, settings: InjectionSettings, shared: Shared) -> None:
        self._settings = settings
        self._harmless = Harmless()
        self._clean: set[str] = set()
        """What was looked at before and is all right: phones say the same again and again."""

    def glimpsed(self, event: SipSeen) -> Iterable[Finding]:
        """What is there of a request is enough to look at."""
        return self.begun(event)

    def begun(self, event: SipSeen) -> Iterable[Finding]:
        """A finding, if a request holds what no phone sends."""
        message, words = event.message, event.words
        if words in self._harmless.words and self._clean.issuperset(_usernames(message)):
            return ()
        found = self._found(message)
        if found is None:
            self._harmless.add(words)
            return ()
        grade = Grade.PROVEN if event.established else Grade.SPOOFABLE
        where, what, text = found
        reason = f"{event.message.method} with {what} in {where}: {text[:80]!a}"
        return (Finding(NAME, event.source, grade, reason),)

    def _found(self, message: SipMessage) -> tuple[str, str, str] | None:
        """(where, what, the text), of the first that is found."""
        fields = message.fields
        values = [
            message.uri, fields.get("user-agent", ""), fields.get("contact", ""),
            without_tag(fields.get("from", "")), without_tag(fields.get("to", "")),
        ]  # fmt: skip
        values += [value for name, value in message.repeated if name in _FIELDS]
        values += _usernames(message)
        if self._clean.issuperset(values):
            return None
        text = "\n".join(values)
        if "%" in text:
            text = f"{text}\n{unquote(text)}"
        found = _explained(message) if _MARKS.search(text.lower()) else None
        found = found or self._overlong(message)
        if found is None:
            if len(self._clean) > _MOST:
                self._clean.clear()
            self._clean.update(value for value in values if len(value) <= _KEPT)
        return found

    def _overlong(self, message: SipMessage) -> tuple[str, str, str] | None:
        if len(message.uri) > self._settings.longest and message.request_uri is not None:
            user = message.request_uri.user
            if len(user) > self._settings.longest:
                return "the Request-URI", f"a user of {len(user)} characters", user
        if max(map(len, message.fields.values()), default=0) <= self._settings.longest:
            return None
        for name, address in (("from", message.from_), ("to", message.to)):
            long = len(message.first(name)) > self._settings.longest
            if long and address is not None and len(address.user) > self._settings.longest:
                what = f"a user of {len(address.user)} characters or more"
                return _NAMES[name], what, address.user
        agent = message.first("user-agent")
        if len(agent) > self._settings.longest_agent:
            return "User-Agent", f"{len(agent)} characters or more", agent
        return None


def _usernames(message: SipMessage) -> list[str]:
    return [credential.get("username") for credential in message.credentials[:8]]


_NAMES: Final = {
    "from": "From",
    "to": "To",
    "contact": "Contact",
    "user-agent": "User-Agent",
}


def _explained(message: SipMessage) -> tuple[str, str, str] | None:
    """Where it is and what."""
    named = [("the Request-URI", message.uri)]
    named += [(_NAMES[name], value) for name in _FIELDS for value in message.values(name)]
    named += [("the username", credential.get("username")) for credential in message.credentials]
    for where, value in named:
        value = value.rstrip("\0")  # some phones count the end of their strings in
        for text in (value, unquote(value), value.replace('\\"', '"')):
            for what, pattern in _EACH:
                if found := pattern.search(text.lower()):
                    return where, what, text[max(0, found.start() - 8) :]
    return None
