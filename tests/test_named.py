"""Which feeds name a source: the address itself, its /64, or any prefix around it."""

from __future__ import annotations

import time

import pytest

from sdnblock.block import Action, parse_address, parse_prefix, parse_target
from sdnblock.blocklist.claims import ClaimKey
from sdnblock.blocklist.safety import Safety, SafetySettings
from sdnblock.controller.hub import Hub
from sdnblock.detect.engine import Engine
from sdnblock.detect.past import LADDER
from sdnblock.detect.registry import NAMES, DetectSettings
from sdnblock.detect.sides import Sides
from tests.sip_world import World


def hub(*claims: tuple[str, str]) -> Hub:
    """With claims (origin, target) that only watch."""
    found = Hub(Safety(SafetySettings()), (), NAMES, time.time)
    found.load({}, {})
    for origin, target in claims:
        found.put(ClaimKey(origin, Action.WATCH), parse_target(target), time.time() + 60)
    return found


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.0/24", "203.0.113.7"),
        ("8.0.0.0/8", "8.8.8.8"),
        ("2001:db8:1:2::/64", "2001:db8:1:2:3::4"),
        ("2001:db8::/32", "2001:db8:1:2:3::4"),
    ],
)
def test_a_feed_names_what_it_covers(target: str, address: str) -> None:
    assert hub(("apiban", target)).named_by(parse_address(address)) == ["apiban"]
    assert hub(("apiban", target)).named_by(parse_address("198.51.100.7")) == []


def test_neither_people_nor_detectors_nor_what_was_recovered_are_feeds() -> None:
    view = hub(*((name, "203.0.113.7") for name in ("operator", "recovered", "scanner", "voipbl")))
    assert view.named_by(parse_address("203.0.113.7")) == ["voipbl"]


def test_the_block_list_reaches_the_ladder() -> None:
    view = hub(("voipbl", "203.0.113.0/24"))
    ours = Sides([parse_prefix("198.51.100.0/24")])
    world = World(engine=Engine(DetectSettings(), ours, view.named_by))
    for number in range(5):
        world.register("203.0.113.66", str(number), good=False)
    assert world.verdicts[0].seconds == LADDER[1]
    assert world.verdicts[0].reason.endswith("; named by voipbl")


def test_what_the_allowlist_covered_is_held_against_nobody_later() -> None:
    view = hub()
    view.put_allow(parse_prefix("203.0.113.0/24"), time.time() + 60)
    ours = Sides([parse_prefix("198.51.100.0/24")])
    world = World(engine=Engine(DetectSettings(), ours, view.named_by, view.allows.allows))
    for _ in range(3):
        for number in range(5):
            world.register("203.0.113.66", str(number), good=False)
        world.now += 86400
    view.put_allow(parse_prefix("203.0.113.0/24"), None)
    for number in range(5):
        world.register("203.0.113.66", str(number), good=False)
    assert {verdict.seconds for verdict in world.verdicts} == {LADDER[0]}
    assert "convicted" not in world.verdicts[-1].reason
