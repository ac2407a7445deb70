"""``sdnblock block``: add, list, show, remove."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli_kit import NO_CONTROLLER, Cli
from tests.redis_server import RedisServer

FLOW = "udp:203.0.113.7:5060>198.51.100.9:5060"
FLOW6 = "tcp:[2001:db8::7]:5060>[2001:db8::9]:5061"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def cli(server: RedisServer, tmp_path: Path) -> Cli:
    server.cli("FLUSHALL")
    return Cli(server, tmp_path)


def targets(rows: list[dict[str, Any]]) -> list[str]:
    return [row["target"] for row in rows]


def test_add_says_until_when_and_that_no_controller_is_there(cli: Cli) -> None:
    done = cli("block", "add", "203.0.113.7", "--for", "4h", "--reason", "scans")
    assert re.fullmatch(
        r"203\.0\.113\.7: drop by operator until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(in 4h\)\n",
        done.out,
    )
    assert done.err == NO_CONTROLLER
    (row,) = cli.json("block", "list")
    assert row["expires"] == pytest.approx(time.time() + 4 * 3600, abs=30)
    assert row["since"] == pytest.approx(time.time(), abs=30)
    assert (row["action"], row["origin"], row["reason"]) == ("drop", "operator", "scans")


def test_a_typed_block_ends_after_a_day_unless_told_otherwise(cli: Cli) -> None:
    cli("block", "add", "203.0.113.7")
    assert cli("block", "add", "203.0.113.8", "--for", "forever").out == (
        "203.0.113.8: drop by operator for ever\n"
    )
    day, ever = (row["expires"] for row in cli.json("block", "list"))
    assert day == pytest.approx(time.time() + 86400, abs=30)
    assert ever is None


def test_every_kind_of_target_is_added_in_redis_as_the_contract_says(cli: Cli) -> None:
    given = ["2001:DB8::7", "203.0.113.0/24", "2001:db8:bad::/48", FLOW, FLOW6, "::ffff:192.0.2.9"]
    cli("block", "add", *given, "--action", "limit", "--origin", "honeypot")
    members = set(cli.server.cli("ZRANGE", "sdnblock:origin:honeypot:limit", "0", "-1").split())
    assert members == {"2001:db8::7", "192.0.2.9", *given[1:5]}
    assert cli.server.cli("XLEN", "sdnblock:changes") == "6"


def test_several_targets_are_blocked_all_or_none(cli: Cli) -> None:
    done = cli.fails("block", "add", "203.0.113.7", "64.0.0.0/7", "2001::/18")
    assert done.err == (
        "sdnblock: 64.0.0.0/7: a /7 is too much at once:"
        " IPv4 prefixes shorter than /8 are refused\n"
        "sdnblock: 2001::/18: a /18 is too much at once:"
        " IPv6 prefixes shorter than /19 are refused; none of the targets was blocked\n"
    )
    assert cli.json("block", "list") == []


def test_adding_again_replaces_and_says_what(cli: Cli) -> None:
    cli("block", "add", "203.0.113.7", "--for", "forever", "--reason", "one")
    out = cli("block", "add", "203.0.113.7", "--for", "1h", "--action", "watch").out
    assert out.endswith("(in 1h); replaces drop for ever\n")
    (row,) = cli.json("block", "list")
    assert (row["action"], row["reason"]) == ("watch", "")


def test_dry_run_writes_nothing(cli: Cli) -> None:
    assert cli("block", "add", "203.0.113.7", "--dry-run").out.startswith(
        "would be: 203.0.113.7: drop by operator until "
    )
    assert cli.server.cli("DBSIZE") == "0"


def test_the_allowlist_refuses_and_force_records(cli: Cli) -> None:
    cli("allow", "add", "203.0.113.0/24", "--note", "our trunk")
    for target in ("203.0.113.7", "203.0.113.128/25", FLOW):
        assert cli.fails("block", "add", target).error == (
            f"sdnblock: {target} is on the allowlist (203.0.113.0/24: our trunk)"
        )
    assert cli.json("block", "list") == []
    done = cli("block", "add", "203.0.113.7", "--force")
    assert done.err.startswith(
        "note: no effect while the allowlist has 203.0.113.0/24: our trunk\n"
    )
    done = cli("block", "add", "203.0.0.0/16")
    assert done.err.startswith("note: the allowlist excepts 203.0.113.0/24\n")
    assert [(row["member"], row["why"]) for row in cli.json("block", "list", "--refused")] == [
        ("203.0.113.7", "on the allowlist (203.0.113.0/24: our trunk)")
    ]


def test_the_configurations_allowlist_counts_as_well(cli: Cli) -> None:
    cli.configure('[allow]\nprefixes = ["2001:db8:5::/48"]')
    assert cli.fails("block", "add", "2001:db8:5::1").error == (
        "sdnblock: 2001:db8:5::1 is on the allowlist (2001:db8:5::/48: in the configuration)"
    )


def test_our_own_addresses_cannot_be_blocked_not_even_by_force(cli: Cli) -> None:
    cli.configure('[safety]\nown_prefixes = ["198.51.100.0/28"]')
    line = cli.fails("block", "add", "198.51.100.0/24", "--force").error
    assert line == (
        "sdnblock: 198.51.100.0/24: overlaps 198.51.100.0/28: our own (safety.own_prefixes)"
    )


def test_private_space_is_the_operators_to_block_and_no_feeds(cli: Cli) -> None:
    cli("block", "add", "10.1.2.3")
    assert cli.fails("block", "add", "10.1.2.3", "--origin", "feed").error == (
        "sdnblock: 10.1.2.3: overlaps 10.0.0.0/8: private, RFC 1918"
    )


def fill(cli: Cli) -> None:
    cli("block", "add", "203.0.113.7", "198.51.100.4", "--for", "30m", "--reason", "typed")
    cli("block", "add", "203.0.113.7", "--origin", "feed", "--action", "limit", "--for", "2d")
    cli("block", "add", "203.0.113.0/24", FLOW, "2001:db8::7", "--origin", "feed", "--for", "2d")


def test_list_in_order_and_its_filters(cli: Cli) -> None:
    fill(cli)
    listing = cli.json("block", "list")
    assert targets(listing) == [
        "198.51.100.4",
        "203.0.113.0/24",
        "203.0.113.7",
        "203.0.113.7",
        FLOW,
        "2001:db8::7",
    ]
    assert targets(cli.json("block", "list", "--origin", "operator")) == [
        "198.51.100.4",
        "203.0.113.7",
    ]
    assert targets(cli.json("block", "list", "--action", "limit")) == ["203.0.113.7"]
    assert targets(cli.json("block", "list", "--contains", "203.0.113.7")) == [
        "203.0.113.0/24",
        "203.0.113.7",
        "203.0.113.7",
        FLOW,
    ]
    assert targets(cli.json("block", "list", "--contains", "203.0.113.8")) == ["203.0.113.0/24"]
    assert targets(cli.json("block", "list", "--contains", "203.0.113.0/25")) == ["203.0.113.0/24"]
    assert targets(cli.json("block", "list", "--expiring-within", "1h")) == [
        "198.51.100.4",
        "203.0.113.7",
    ]
    assert len(cli.json("block", "list", "--expiring-within", "forever")) == 6
    assert cli("block", "list", "--contains", "192.0.2.1").err == "no block matches\n"


def test_csv_and_json_say_the_same(cli: Cli) -> None:
    fill(cli)
    cli("block", "add", "192.0.2.1", "--for", "forever", "--reason", 'he said "no", twice\n=1+1')
    rows = list(csv.DictReader(io.StringIO(cli("block", "list", "-o", "csv").out)))
    listing = cli.json("block", "list")
    assert len(rows) == len(listing) == 7
    for row, found in zip(rows, listing, strict=True):
        assert row == {key: "" if value is None else str(value) for key, value in found.items()}


def test_the_table_fits_a_terminal_and_shows_times(cli: Cli) -> None:
    cli("block", "add", "203.0.113.7", "--reason", "long " * 60)
    header, line = cli("block", "list").lines
    assert " ".join(header.split()) == "TARGET ACTION ORIGIN EXPIRES PACKETS BYTES REASON"
    assert "(in 1d)" in line and line.rstrip().endswith("long")  # a pipe gets all of it
    leader, follower = pty.openpty()
    process = cli.process("block", "list", stdout=follower)
    os.close(follower)
    assert process.wait(20) == 0
    shown = os.read(leader, 65536).decode().splitlines()
    os.close(leader)
    assert process.stderr is not None
    process.stderr.close()
    assert max(len(line) for line in shown) == 100
    assert shown[1].endswith("…")


def test_hostile_text_cannot_steer_the_terminal(cli: Cli) -> None:
    evil = "\x1b]0;owned\x07 \u202e abc\nsdnblock: all fine"
    add = cli.server.cli
    add("ZADD", "sdnblock:origin:evil", "+inf", "203.0.113.7")
    add("HSET", "sdnblock:facts:evil", "203.0.113.7", json.dumps({"reason": evil, "since": "x"}))
    add("ZADD", "sdnblock:origin:evil", "+inf", evil)
    add("ZADD", "sdnblock:origin:evil", "1e300", "203.0.113.8")
    add("SET", "sdnblock:switch:\x1b[2J", json.dumps({"role": evil, "installed": "many"}))
    outputs = [
        cli(*words, "-o", form)
        for words in (
            ["block", "list"],
            ["block", "list", "--refused"],
            ["block", "show", "203.0.113.7"],
            ["switch", "list"],
        )
        for form in ("table", "json", "csv")
    ]
    for done in outputs:
        text = (done.out + done.err).replace("\n", "")
        assert text.isprintable(), done
    assert len(cli("block", "list").lines) == 3
    assert "never" in cli("block", "list").out


def test_what_is_not_understood_is_shown_and_not_listed(cli: Cli) -> None:
    add = cli.server.cli
    add("ZADD", "sdnblock:origin:feed", "+inf", "nonsense", "+inf", "203.0.113.7")
    add("ZADD", "sdnblock:origin:Bad Name", "+inf", "203.0.113.7")
    add("SET", "sdnblock:origin:text", "hello")
    add("ZADD", "sdnblock:origin:feed", "+inf", "10.0.0.1", "+inf", "0.0.0.0/0")
    assert targets(cli.json("block", "list", "--origin", "feed")) == ["10.0.0.1", "203.0.113.7"]
    refused = {
        (row["where"], row["member"]): row["why"] for row in cli.json("block", "list", "--refused")
    }
    assert refused == {
        ("sdnblock:origin:feed", "nonsense"): "'nonsense' is not an IP address",
        ("sdnblock:origin:feed", "0.0.0.0/0"): "'0.0.0.0/0' is the whole Internet: refused",
        ("sdnblock:origin:feed", "10.0.0.1"): "overlaps 10.0.0.0/8: private, RFC 1918",
        ("sdnblock:origin:Bad Name", ""): "not the name of an origin's claims",
        ("sdnblock:origin:text", ""): "is a string, not a sorted set",
    }


def test_show_tells_all_without_the_daemon(cli: Cli) -> None:
    fill(cli)
    cli("allow", "add", "203.0.113.6/31", "--note", "ours")
    cli.server.cli("HSET", "sdnblock:counters", "203.0.113.7", "12345 6789000")
    out = cli("block", "show", "203.0.113.7").out
    wanted = [
        r"203\.0\.113\.7: not enforced",
        r"  drop by operator until .* \(in 30m\)",
        r"    reason  typed",
        r"    since   .* \(\d+s ago\)",
        r"  limit by feed until .* \(in 2d\)",
        r"    since   .*",
        r"  covered by 203\.0\.113\.0/24: drop by feed until .*",
        r"  excepted by the allowlist: 203\.0\.113\.6/31: ours",
        r"  counted by the controller: 12,345 packets, 6\.8 MB",
        r"  no switch is configured here to be asked: give --config",
    ]
    assert re.fullmatch("\n".join(wanted) + "\n", out), out
    found = cli.json("block", "show", "203.0.113.7")
    assert (found["action"], found["packets"], found["bytes"]) == ("drop", 12345, 6789000)
    assert found["effective"] is None
    cli("allow", "remove", "203.0.113.6/31")
    assert cli("block", "show", "203.0.113.7").lines[0] == "203.0.113.7: drop"
    cli("block", "remove", "203.0.113.7", "--origin", "operator")
    lifted = cli.json("block", "show", "203.0.113.7")
    assert (lifted["action"], lifted["effective"]) == ("limit", "drop")
    assert [claim["origin"] for claim in found["claims"]] == ["operator", "feed"]
    assert targets(found["covered_by"]) == ["203.0.113.0/24"]
    assert found["allowed_by"] == ["203.0.113.6/31: ours"]
    assert found["switches"] == []
    assert "no switch" not in cli("block", "show", "203.0.113.7", "--no-switches").out


def test_show_of_what_only_a_wider_block_covers_or_nothing(cli: Cli) -> None:
    fill(cli)
    lines = cli("block", "show", "203.0.113.99").lines
    assert lines[:2] == ["203.0.113.99: drop", "  not blocked itself"]
    assert lines[2].startswith("  covered by 203.0.113.0/24: drop by feed until ")
    done = cli.fails("block", "show", "192.0.2.1")
    assert (done.out, done.error) == ("", "sdnblock: 192.0.2.1 is not blocked")
    assert json.loads(cli.fails("block", "show", "192.0.2.1", "-o", "json").out)["claims"] == []


def test_remove_takes_every_origins_claims_and_says_whose(cli: Cli) -> None:
    fill(cli)
    lines = cli("block", "remove", "203.0.113.7").lines
    assert sorted(line.partition(" until ")[0] for line in lines) == [
        "removed 203.0.113.7: drop by operator",
        "removed 203.0.113.7: limit by feed",
    ]
    assert len(cli.json("block", "list")) == 4


def test_remove_of_one_origin_says_who_still_blocks(cli: Cli) -> None:
    fill(cli)
    done = cli("block", "remove", "203.0.113.7", "--origin", "operator")
    assert done.err.splitlines()[0] == "note: 203.0.113.7 stays blocked by feed (limit)"
    (row,) = [row for row in cli.json("block", "list") if row["target"] == "203.0.113.7"]
    assert row["origin"] == "feed"


def test_remove_of_what_is_not_blocked_is_told_and_the_rest_done(cli: Cli) -> None:
    fill(cli)
    done = cli.fails("block", "remove", "192.0.2.1", "198.51.100.4")
    assert done.out.startswith("removed 198.51.100.4: drop by operator until ")
    assert done.err == "sdnblock: 192.0.2.1 is not blocked\n" + NO_CONTROLLER
    done = cli.fails("block", "remove", "203.0.113.7", "--origin", "honeypot")
    assert done.error == "sdnblock: 203.0.113.7 is not blocked by honeypot"


def test_remove_finds_other_spellings(cli: Cli) -> None:
    cli.server.cli("ZADD", "sdnblock:origin:feed", "+inf", "2001:DB8:0::7")
    cli("block", "remove", "2001:db8::7")
    assert cli.json("block", "list") == []


def test_remove_all_of_an_origin_and_only_that(cli: Cli) -> None:
    fill(cli)
    cli.server.cli("ZADD", "sdnblock:origin:feed", "+inf", "2001:DB8:0::8")
    dry = cli("block", "remove", "--all", "--origin", "feed", "--dry-run")
    assert dry.out == "would remove 5 blocks of feed\n"
    assert cli("block", "remove", "--all", "--origin", "feed").out == "removed 5 blocks of feed\n"
    assert {row["origin"] for row in cli.json("block", "list")} == {"operator"}
    done = cli.fails("block", "remove", "--all", "--origin", "feed")
    assert done.error == "sdnblock: feed blocks nothing"


def test_expired_blocks_are_nobodys(cli: Cli) -> None:
    cli.server.cli("ZADD", "sdnblock:origin:feed", str(time.time() - 5), "203.0.113.7")
    assert cli.json("block", "list") == []
    assert cli.fails("block", "show", "203.0.113.7").error.endswith("is not blocked")
    assert cli.fails("block", "remove", "203.0.113.7").err.startswith(
        "sdnblock: 203.0.113.7 is not"
    )


def test_a_wrong_type_under_our_keys_is_one_line(cli: Cli) -> None:
    cli.server.cli("SET", "sdnblock:origin:operator", "hello")
    line = cli.fails("block", "add", "203.0.113.7").error
    assert "sdnblock:origin:operator is no zset: delete or rename that key" in line


def test_another_prefix_is_another_block_list(cli: Cli) -> None:
    cli.config = cli.folder / "c.toml"
    cli.config.write_text('[redis]\nprefix = "lab:"\n')
    cli("block", "add", "203.0.113.7")
    assert cli.server.cli("EXISTS", "lab:origin:operator") == "1"
    assert cli.server.cli("EXISTS", "sdnblock:origin:operator") == "0"
