"""Detector ``foreign-domain``: Contacts that point into our network, requests for others' domains.

Sees, without any configuration: a Contact whose host is an address of ours, in a request that
comes from outside: calls to that user would be sent to our own gateways (with ``inside``,
hosts by name as well). With ``domains`` configured: new requests whose Request-URI names a
host that is neither of those nor an address of ours, again and again: somebody who looks for
a relay; and Contacts under foreign names, which are only reported, since exchanges of
customers use their own names there.

Cannot see: names that resolve to our addresses. Addresses of a Contact that are private, or
another's, are honest: phones behind NAT write what they know, and it may be like one of ours
(name those in ``inside`` that nobody may have).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from sdnblock.block import parse_address as parse_ip
from sdnblock.block import parse_prefix
from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.finding import Finding
from sdnblock.detect.sides import Sides
from sdnblock.detect.words import Harmless
from sdnblock.errors import TargetError
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.grade import Grade
from sdnblock.evidence.sip_values import parse_address

NAME: Final = "foreign-domain"

_METHODS: Final = frozenset({"REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE"})
_BINDING: Final = frozenset({"REGISTER", "INVITE", "SUBSCRIBE"})
_LOCAL: Final = ("local", "lan", "home", "localdomain", "localhost", "internal", "invalid", "arpa")
"""Names that are no domains: of home networks, and of clients that cannot be reached (RFC 2606,
6762, 7118, 8375)."""
_PRIVATE: Final = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8",
    "169.254.0.0/16", "fc00::/7", "fe80::/10", "::1/128",
)  # fmt: skip
"""RFC 1918, 6598, 3927, 4193."""
_MOST: Final = 100_000
_CONTACTS: Final = 8


@dataclass(frozen=True, slots=True)
class ForeignDomainSettings:
    """``[detect.foreign_domain]``: which domains are ours. Subdomains are meant too."""

    enabled: bool = True
    domains: tuple[str, ...] = ()
    """Ours, as they may stand in a Request-URI. Empty: Request-URIs are not judged."""
    inside: tuple[str, ...] = ()
    """Names and addresses of gateways and registrars that nobody outside may name."""
    requests: int = field(default=3, metadata={"least": 1, "most": 10_000})
    """New requests for foreign hosts that convict, within ``memory``."""
    memory: float = field(default=86400.0, metadata={"duration": True})


class ForeignDomain(Detector):
    """Counts requests for foreign hosts, by source."""

    name = NAME
    begun_methods = _METHODS

    def __init__(self, settings: ForeignDomainSettings, shared: Shared) -> None:
        self._settings = settings
        self._sides = shared.sides
        self._private = Sides(parse_prefix(text) for text in _PRIVATE)
        self._domains = _names(settings.domains)
        self._inside = _names(settings.inside)
        self._harmless = Harmless()
        self._asked: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def begun(self, event: SipSeen) -> Iterable[Finding]:
        """A finding, if a request names hosts that it should not."""
        words = event.words
        if words in self._harmless.words:
            return ()
        found = list(self._look(event))
        if not found and event.site not in self._asked:
            self._harmless.add(words)
        return found

    def _look(self, event: SipSeen) -> Iterable[Finding]:
        message = event.message
        if message.method in _BINDING:
            yield from self._contacts(event)
        if message.method not in _METHODS or message.to_tag:
            return  # within a dialog, the Request-URI is whatever the other side's Contact was
        address = message.request_uri
        if address is None:
            return
        if _covers(self._inside, address.host):
            yield self._finding(event, f"asks for {address.host[:80]!a}, which is inside")
        elif self._domains and self._foreign(address.host, event.destination):
            count = self._count(event)
            if count >= self._settings.requests:
                del self._asked[event.site]
                reason = f"asked {count} times for domains not ours, at last {address.host[:80]!a}"
                yield self._finding(event, reason)

    def _contacts(self, event: SipSeen) -> Iterable[Finding]:
        if "contact" not in event.message.fields:
            return
        for contact in event.message.contacts[:_CONTACTS]:
            address = parse_address(contact)
            if address is None:
                continue
            ip = _ip(address.host)
            ours = ip is not None and (ip == event.destination or self._sides.ours(ip))
            if ip is not None and self._private.ours(ip):
                ours = False  # phones behind a NAT write theirs, which may be like one of ours
            if ours or _covers(self._inside, address.host):
                what = f"Contact points to {address.host[:80]!a}, which is ours"
                yield self._finding(event, what)
                return
            if not self._domains or ip is not None or _covers(_LOCAL, address.host):
                continue
            if "." in address.host and not _covers(self._domains, address.host):
                what = f"Contact under a foreign name, {address.host[:80]!a}"
                yield self._finding(event, what, report_only=True)
                return

    def _foreign(self, host: str, destination: bytes) -> bool:
        ip = _ip(host)
        if ip is not None:
            return ip != destination and not self._sides.ours(ip)
        return not _covers(self._domains, host)

    def _count(self, event: SipSeen) -> int:
        site = event.site
        last, count = self._asked.get(site, (event.time, 0))
        if event.time - last > self._settings.memory:
            count = 0
        self._asked[site] = (event.time, count + 1)
        self._asked.move_to_end(site)
        if len(self._asked) > _MOST:
            self._asked.popitem(last=False)
        return count + 1

    @staticmethod
    def _finding(event: SipSeen, what: str, *, report_only: bool = False) -> Finding:
        grade = Grade.PROVEN if event.established else Grade.SPOOFABLE
        reason = f"{event.message.method}: {what}"
        return Finding(NAME, event.source, grade, reason, report_only=report_only)


def _names(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip().lower().removeprefix("*.").rstrip(".") for name in given)


def _covers(names: Iterable[str], host: str) -> bool:
    """Whether a host is one of the names, or below one."""
    return any(host == name or host.endswith("." + name) for name in names)


@lru_cache(maxsize=4096)
def _ip(host: str) -> bytes | None:
    try:
        return parse_ip(host.strip("[]"))
    except TargetError:
        return None
