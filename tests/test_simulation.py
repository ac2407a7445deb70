"""A day of honest people with patient attackers among them; ``make simulation`` lives through a
hundred thousand source-days."""

from __future__ import annotations

import pytest

from bench.simulation.__main__ import attackers, in_time
from bench.simulation.world import Caught, Tally, run
from sdnblock.detect.bruteforce import BruteForceSettings
from sdnblock.detect.enumeration import EnumerationSettings
from sdnblock.detect.registry import DetectSettings


@pytest.fixture(scope="module")
def day() -> Tally:
    return run("a day", 60, 1)


def test_nobody_honest_is_blocked(day: Tally) -> None:
    assert day.source_days >= 60
    assert day.messages > 40_000
    assert not day.false, [story for story in day.stories if story.startswith("FALSE")]
    assert day.blocked_days == 0


def test_every_patient_attacker_is_cut_off_in_time(day: Tally) -> None:
    assert len(day.caught) == 24
    assert [each for each in day.caught if not in_time(each)] == []


def test_a_detector_that_is_too_eager_is_noticed() -> None:
    eager = DetectSettings.with_(EnumerationSettings(threshold=4, credit_factor=1))
    found = run("a day", 30, 1, eager)
    assert found.false["enumeration"]
    assert found.blocked_days


def test_a_detector_that_is_too_lazy_is_noticed() -> None:
    lazy = DetectSettings.with_(BruteForceSettings(rejections=9))
    late = [each for each in run("a day", 10, 1, lazy).caught if not in_time(each)]
    assert {each.kind for each in late} == {"rejected credentials"}


def test_the_same_seed_is_the_same_day() -> None:
    one, two = (run("again", 10, 1) for _ in range(2))
    assert one == two


def test_what_is_printed_of_attackers() -> None:
    caught = [Caught("rejected credentials", 30.0, False, cut, 7) for cut in (5, None)]
    assert list(attackers(caught)) == [
        "attackers, an attempt in 30 s, nonces of their own: 1 of 2 cut off, after at most 5"
        " rejected credentials (promised: 5); within 5 days 7"
    ]
