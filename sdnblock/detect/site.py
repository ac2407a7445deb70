"""What counts as one source: an IPv4 host, or the /64 of an IPv6 address (RFC 6177: a site has
at least that much), as switches count it too."""

from __future__ import annotations

from sdnblock.block import Prefix, Source, format_address, parse_address, parse_prefix


def site_of(address: bytes) -> bytes:
    """The packed address, its host part taken away where that is IPv6."""
    return address if len(address) == 4 else address[:8] + bytes(8)


def site_target(address: bytes) -> Source | Prefix:
    """The site as what a block of it matches."""
    return Source(address) if len(address) == 4 else Prefix(site_of(address), 64)


def site_text(address: bytes) -> str:
    """The site as text, as in the block list: ``203.0.113.7`` or ``2001:db8:5:6::/64``."""
    return (
        format_address(address) if len(address) == 4 else f"{format_address(site_of(address))}/64"
    )


def parse_site(text: str) -> bytes:
    """:func:`site_text` back. Raises TargetError, ValueError for another length of prefix."""
    if "/" not in text and ":" not in text:  # nearly all; a start reads many
        address = parse_address(text)
        if any(address):
            return address
    parsed = parse_prefix(text)
    if isinstance(parsed, Source) and len(parsed.address) == 4:
        return parsed.address
    if isinstance(parsed, Prefix) and len(parsed.address) == 16 and parsed.length == 64:
        return parsed.address
    raise ValueError(f"{text[:50]!a} is neither an IPv4 host nor an IPv6 /64")
