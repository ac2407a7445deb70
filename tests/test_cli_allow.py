"""``sdnblock allow``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_kit import NO_CONTROLLER, Cli
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def cli(server: RedisServer, tmp_path: Path) -> Cli:
    server.cli("FLUSHALL")
    return Cli(server, tmp_path)


def test_add_is_retroactive_and_says_how_many_blocks_it_lifts(cli: Cli) -> None:
    flow = "udp:203.0.113.9:5060>198.51.100.9:5060"
    cli("block", "add", "203.0.113.7", "203.0.113.128/25", flow, "203.0.0.0/16", "192.0.2.1")
    cli("block", "add", "203.0.113.7", "--origin", "feed")
    done = cli("allow", "add", "203.0.113.0/24", "--note", "our trunk")
    assert done.out == "203.0.113.0/24: allowed for ever; lifts 3 live blocks\n"
    assert done.err == NO_CONTROLLER
    assert cli.server.cli("ZSCORE", "sdnblock:allow", "203.0.113.0/24") == "inf"
    out = cli("allow", "remove", "203.0.113.0/24").out
    assert out == "removed 203.0.113.0/24; 3 live blocks had been lifted by it\n"


def test_add_for_a_time_and_several(cli: Cli) -> None:
    lines = cli("allow", "add", "198.51.100.7", "2001:db8::/64", "--for", "2h").lines
    assert lines[0].startswith("198.51.100.7: allowed until ")
    assert lines[0].endswith(" (in 2h); lifts 0 live blocks")
    assert lines[1].startswith("2001:db8::/64: allowed until ")


def test_dry_run(cli: Cli) -> None:
    cli("block", "add", "203.0.113.7")
    out = cli("allow", "add", "203.0.113.0/24", "--dry-run").out
    assert out == "203.0.113.0/24: would be allowed for ever; would lift 1 live block\n"
    assert cli.json("allow", "list") == []
    cli("allow", "add", "203.0.113.0/24")
    cli("allow", "remove", "203.0.113.0/24", "--dry-run")
    assert len(cli.json("allow", "list")) == 1


def test_flows_the_whole_internet_and_nonsense_are_no_prefixes(cli: Cli) -> None:
    assert cli.fails("allow", "add", "0.0.0.0/0").error == (
        "sdnblock: '0.0.0.0/0' is the whole Internet: refused"
    )
    flow = "udp:203.0.113.9:5060>198.51.100.9:5060"
    assert "is not an IP address" in cli.fails("allow", "add", flow).error
    assert "did you mean 203.0.113.0/24?" in cli.fails("allow", "add", "203.0.113.1/24").error
    assert cli.server.cli("DBSIZE") == "0"


def test_list_shows_redis_and_configuration(cli: Cli) -> None:
    cli.configure('[allow]\nprefixes = ["198.51.100.0/24"]')
    cli("allow", "add", "2001:db8::/64", "192.0.2.0/24", "--note", "a, b")
    rows = cli.json("allow", "list")
    assert [(row["prefix"], row["source"], row["note"], row["expires"]) for row in rows] == [
        ("192.0.2.0/24", "redis", "a, b", None),
        ("198.51.100.0/24", "configuration", "", None),
        ("2001:db8::/64", "redis", "a, b", None),
    ]
    parsed = list(csv.DictReader(io.StringIO(cli("allow", "list", "-o", "csv").out)))
    assert [row["prefix"] for row in parsed] == [row["prefix"] for row in rows]
    assert cli("allow", "list").lines[0].split() == ["PREFIX", "EXPIRES", "KEPT", "IN", "NOTE"]


def test_remove_of_what_is_not_there(cli: Cli) -> None:
    cli.configure('[allow]\nprefixes = ["198.51.100.0/24"]')
    cli("allow", "add", "192.0.2.0/24")
    done = cli.fails("allow", "remove", "192.0.2.0/24", "198.51.100.0/24", "192.0.2.7")
    assert done.out == "removed 192.0.2.0/24; 0 live blocks had been lifted by it\n"
    assert done.err.splitlines() == [
        f"sdnblock: 198.51.100.0/24 is kept in {cli.config}: remove it there and reload"
        " the controller",
        "sdnblock: 192.0.2.7 is not an entry of the allowlist",
        NO_CONTROLLER.strip(),
    ]


def test_check_says_which_entry_covers(cli: Cli) -> None:
    cli.configure('[allow]\nprefixes = ["203.0.113.0/24"]')
    cli("allow", "add", "203.0.0.0/16", "--note", "wide")
    rows = cli.json("allow", "check", "203.0.113.7")
    assert [row["prefix"] for row in rows] == ["203.0.0.0/16", "203.0.113.0/24"]
    assert "wide" in cli("allow", "check", "203.0.99.1").out
    done = cli.fails("allow", "check", "192.0.2.1")
    assert (done.out, done.err) == ("", "192.0.2.1 is not on the allowlist\n")
    assert cli.fails("allow", "check", "202.0.0.0/7").error == (
        "202.0.0.0/7 is not on the allowlist; 2 entries within it: 203.0.0.0/16, ..."
    )
