"""What is refused, for whom, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.block import Prefix, Source, overlaps, parse_prefix, parse_target, source_of
from sdnblock.blocklist.safety import _PRIVATE, _SPECIAL, Safety, SafetySettings

DEFAULT = Safety(SafetySettings())
LAB = Safety(SafetySettings(allow_private=True))
OWN = Safety(
    SafetySettings(own_prefixes=(parse_prefix("203.0.113.0/28"), parse_prefix("2001:db8:5::/48")))
)


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.1",
        "198.51.100.0/24",
        "203.0.113.7",
        "2001:db8::/32",
        "2001:db8::1",
        "8.0.0.0/8",
        "2a00::/19",
        "2002::1",
        "2001:0:1::1",
        "udp:203.0.113.7:5060>10.0.0.1:5060",
    ],
)
def test_what_may_be_blocked(text: str) -> None:
    """Among them the documentation prefixes, and a flow towards a private address."""
    assert DEFAULT.check(parse_target(text), "feed") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.1.2.3", "RFC 1918"),
        ("172.31.0.0/16", "RFC 1918"),
        ("192.168.0.0/24", "RFC 1918"),
        ("192.128.0.0/9", "RFC 1918"),
        ("100.64.0.1", "RFC 6598"),
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("fd00::1", "unique local"),
        ("udp:10.0.0.1:5060>203.0.113.7:5060", "RFC 1918"),
    ],
)
def test_private_space_is_for_the_operator_or_a_lab(text: str, why: str) -> None:
    target = parse_target(text)
    assert why in (DEFAULT.check(target, "feed") or "")
    assert DEFAULT.check(target, "operator") is None
    assert LAB.check(target, "feed") is None


@pytest.mark.parametrize(
    "text",
    ["0.1.0.1", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::1", "ff02::1", "240.0.0.0/8"],
)
def test_special_space_is_refused_even_in_a_lab(text: str) -> None:
    assert LAB.check(parse_target(text), "feed") is not None
    assert LAB.check(parse_target(text), "operator") is None


@pytest.mark.parametrize("origin", ["feed", "operator"])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("203.0.113.7", "our own"),
        ("203.0.0.0/16", "our own"),
        ("udp:203.0.113.1:5060>192.0.2.1:5060", "our own"),
        ("2001:db8:5::7", "our own"),
        ("200.0.0.0/7", "shorter than /8"),
        ("2000::/3", "shorter than /19"),
    ],
)
def test_refused_for_everyone(text: str, why: str, origin: str) -> None:
    assert why in (OWN.check(parse_target(text), origin) or "")


def test_the_lengths_are_configurable() -> None:
    strict = Safety(SafetySettings(shortest_v4=24, shortest_v6=48))
    assert strict.check(parse_target("8.8.0.0/23"), "operator") is not None
    assert strict.check(parse_target("8.8.8.0/24"), "feed") is None
    assert strict.check(parse_target("2a00::/47"), "feed") is not None


@given(st.binary(min_size=4, max_size=4), st.integers(8, 32))
def test_against_a_scan_of_the_registry(address: bytes, length: int) -> None:
    number = int.from_bytes(address, "big") >> (32 - length) << (32 - length)
    packed = number.to_bytes(4, "big")
    target = Source(packed) if length == 32 else Prefix(packed, length)
    nets = [source_of(parse_prefix(text)) for text in _PRIVATE | _SPECIAL]
    expected = any(overlaps(net, source_of(target)) for net in nets)
    assert (DEFAULT.check(target, "feed") is not None) == expected
