"""What counts as one source: an IPv4 host, or the /64 of an IPv6 address (RFC 6177: a site has
at least that much), as switches count it too."""

from __future__ import annotations


def site_of(address: bytes) -> bytes:
    """The packed address, its host part taken away where that is IPv6."""
    return address if len(address) == 4 else address[:8] + bytes(8)
