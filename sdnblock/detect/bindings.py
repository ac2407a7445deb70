"""Who is registered from where, learned from the REGISTERs that our servers accepted.

By address of record (user and host of the To, RFC 3261, 10.2): the sites that registered it,
with which credential, as what phone, and until when.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.sip_values import Address, expires_of, parse_address

_MOST: Final = 200_000
_SITES: Final = 8
"""Sites remembered of one user; where there are more, nobody can say who is a stranger."""
_CONTACTS: Final = 8
_DEFAULT: Final = 3600.0
_LONGEST: Final = 86400.0
_LINGER: Final = 3600.0
"""Seconds after its end for which a binding still says who its owner was."""

Aor = tuple[str, str]
"""User and host, as in the To of a REGISTER."""


@dataclass(slots=True)
class Binding:
    """One site of a user."""

    username: str
    """Of the credential, empty if there was none."""
    user_agent: str
    until: float
    contacts: tuple[tuple[str, str], ...] = ()
    """User and host of each Contact that it registered."""
    said: int = 0
    """Hash of the texts that all this was read from: phones say the same all day."""
    lasts: float = 0.0
    """Seconds for which it was registered."""


class Bindings:
    """Sites by address of record, the latest at the end."""

    def __init__(self) -> None:
        self._users: OrderedDict[Aor, dict[bytes, Binding]] = OrderedDict()

    def note(self, outcome: Outcome) -> None:
        """An accepted REGISTER that adds bindings tells of a site; one that takes the last
        away ends them."""
        if outcome.method != "REGISTER" or not outcome.accepted:
            return
        asked = outcome.asked
        aor = aor_of(asked.to)
        if aor is None:
            return
        site, digest = site_of(outcome.remote), asked.digest
        username = digest.get("username")[:100] if digest is not None else ""
        said = hash((username, asked.user_agent, asked.contact_text, asked.expires_text))
        sites = self._users.get(aor)
        if sites is not None and (known := sites.get(site)) is not None and known.said == said:
            known.until = outcome.time + known.lasts
            del sites[site]
            sites[site] = known
            self._users.move_to_end(aor)
            return
        lasts = _seconds(outcome)
        if lasts is None:
            return
        sites = self._users.setdefault(aor, {})
        self._users.move_to_end(aor)
        if len(self._users) > _MOST:
            self._users.popitem(last=False)
        if not lasts:
            if site in sites:
                sites[site].until = outcome.time
            return
        sites.pop(site, None)
        sites[site] = Binding(
            username, asked.user_agent[:100], outcome.time + lasts,
            tuple((found.user[:100], found.host) for each in asked.contacts[:_CONTACTS]
                  if (found := parse_address(each)) is not None),
            said, lasts,
        )  # fmt: skip
        if len(sites) > _SITES + 1:
            del sites[next(iter(sites))]

    def of(self, aor: Aor, now: float, linger: float = _LINGER) -> dict[bytes, Binding] | None:
        """The sites of a user, those included that ended less than ``linger`` seconds ago.
        None: nothing is known, or too much."""
        sites = self._users.get(aor)
        if not sites or len(sites) > _SITES:
            return None
        return {site: each for site, each in sites.items() if now <= each.until + linger} or None


def aor_of(address: Address | None) -> Aor | None:
    """The address of record in a To or From, None without a user."""
    if address is None or not address.user:
        return None
    return address.user[:100], address.host


def _seconds(outcome: Outcome) -> float | None:
    """For how long the longest of its bindings lasts; None: it only asks (no Contact)."""
    asked = outcome.asked
    contacts = asked.contacts
    if not contacts:
        return None
    found = 0.0
    for contact in contacts:
        text = expires_of(contact) or asked.expires_text
        plain = text.isascii() and text.isdigit() and len(text) < 10
        found = max(found, float(text) if plain else _DEFAULT)
    return min(found, _LONGEST)
