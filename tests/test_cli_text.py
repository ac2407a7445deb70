"""Text for people: never unsafe, never too wide. Text from people: never a traceback."""

from __future__ import annotations

import json
import math

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.block import Action, parse_target
from sdnblock.cli import params, text
from sdnblock.cli.block.show import switch_line
from sdnblock.cli.live import Answer
from sdnblock.cli.output import Column, show_rows
from sdnblock.errors import TargetError
from sdnblock.switches.reader import Entry

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


def test_where_a_switch_counts_no_bytes_none_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    target = parse_target("203.0.113.7")
    entry = Entry("source_v4", target, Action.DROP, 5, None)
    assert switch_line(Answer("edge1", entry, None)) == "switch edge1: drop, 5 packets"
    row = {"target": str(target), "packets": entry.packets, "bytes": entry.bytes}
    columns = [Column("target", "TARGET"), Column("packets", "PACKETS", "number"),
               Column("bytes", "BYTES", "size")]  # fmt: skip
    show_rows(columns, [row], "table", "")
    assert capsys.readouterr().out.split()[3:] == ["203.0.113.7", "5", "-"]
    show_rows(columns, [row], "json", "")
    assert json.loads(capsys.readouterr().out) == [row]
