"""Text for people: never unsafe, never too wide. Text from people: never a traceback."""

from __future__ import annotations

import math

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.cli import params, text
from sdnblock.errors import TargetError

_ANY = st.text(st.characters(exclude_categories=[]), max_size=60)


@given(_ANY)
def test_printable_is_printable_and_leaves_good_text_alone(given_text: str) -> None:
    safe = text.printable(given_text)
    assert safe.isprintable()
    assert text.printable(safe) == safe
    assert given_text.isprintable() == (safe == given_text)


@given(_ANY.map(text.printable), st.integers(0, 40))
def test_cut_fits_and_keeps_what_fits(given_text: str, room: int) -> None:
    short = text.cut(given_text, room)
    assert text.width(short) <= room
    if text.width(given_text) <= room:
        assert short == given_text
    elif room:
        assert short.endswith("…") and given_text.startswith(short[:-1])


_NEARLY = st.text("0123456789abcdf:./>[]udptc-+ehm\x00\ud800", max_size=60)


@pytest.mark.parametrize("kind", [params.TARGET, params.PREFIX, params.DURATION, params.ORIGIN])
@given(_ANY | _NEARLY)
def test_any_argument_is_understood_or_refused_in_one_safe_line(
    kind: click.ParamType[object], given_text: str
) -> None:
    try:
        kind.convert(given_text, None, None)
    except TargetError as error:
        assert str(error).isprintable() and len(str(error)) < 400


def test_width_counts_what_a_terminal_shows() -> None:
    assert text.width("abc") == 3
    assert text.width("漢字") == 4
    assert text.width("e\u0301") == 1


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (59.4, "59s"),
        (60, "1m"),
        (3599, "1h"),
        (3600, "1h"),
        (4 * 3600 - 0.2, "4h"),
        (3 * 3600 + 20 * 60, "3h 20m"),
        (86399.9, "1d"),
        (52 * 3600, "2d 4h"),
        (-90, "1m"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


@given(st.floats(), st.floats(1.5e9, 2e9))
def test_any_time_can_be_told(when: float, now: float) -> None:
    assert text.moment(when, now).isprintable()
    assert text.until(when, now).isprintable()


def test_times() -> None:
    assert text.until(math.inf, 1.8e9) == "for ever"
    assert text.moment(-math.inf, 1.8e9) == "long ago"
    assert text.moment(1.8e9 + 60, 1.8e9).endswith(" (in 1m)")
    assert text.moment(1.8e9 - 7200, 1.8e9).endswith(" (2h ago)")


@given(st.integers(0, 10**19))
def test_sizes_are_short(number: int) -> None:
    assert len(text.size(number)) <= len("10000.0 PB")


def test_sizes_and_counts() -> None:
    assert [text.size(n) for n in (0, 999, 1000, 1_440_000, 999_999)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.4 MB",
        "1.0 MB",
    ]
    assert text.count(1, "entry", "entries") == "1 entry"
    assert text.count(1234, "block") == "1,234 blocks"
