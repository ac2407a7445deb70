"""``sdnblock block import``: lists that may hold anything."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.cli.lines import MAX_LINE, parse_line, read_lines
from sdnblock.errors import TargetError
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


@given(st.binary(max_size=200).map(lambda data: data * 20))
def test_lines_are_numbered_as_an_editor_does_and_never_long(data: bytes) -> None:
    found = list(read_lines(BytesIO(data)))
    expected = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not expected[-1]:
        expected.pop()
    if data == b"\xef\xbb\xbf":  # a line of nothing
        expected = [b""]
    assert [number for number, _ in found] == list(range(1, len(expected) + 1))
    for (_, line), whole in zip(found, expected, strict=True):
        bare = whole.rstrip(b"\r\n")
        assert line == (bare if len(bare) <= MAX_LINE else None)


@given(st.binary(max_size=300))
def test_a_line_is_a_target_or_refused_in_one_safe_line(line: bytes) -> None:
    try:
        parse_line(line)
    except TargetError as error:
        assert str(error).isascii() and str(error).isprintable()


@pytest.mark.parametrize("length", [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, MAX_LINE + 2, 1 << 17])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_long_line_costs_itself_only(length: int, end: bytes) -> None:
    data = b"x" * length + end + b"203.0.113.7" + end
    first, second = read_lines(BytesIO(data))
    assert first == (1, b"x" * length if length <= MAX_LINE else None)
    assert second == (2, b"203.0.113.7")


def test_a_hostile_file(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "list"
    lines = [
        b"\xef\xbb\xbf203.0.113.1  # with a BOM and a comment",
        b"; only a comment",
        b"",
        b"\t203.0.113.2\r",
        b"0.0.0.0/0",
        b"203.0.113.9/24",
        b"10.0.0.1",
        b"\x1b[2J\x07",
        b"\xff\xfe\x00nonsense",
        b"203.0.113.3 203.0.113.4",
        b"7" * 100_000,
        b"203.0.113.1",
        b"198.51.100.77",
        b"udp:203.0.113.7:5060>198.51.100.9:5060",
        b"203.0.113.\xd9\xa5",
        b"2001:db8::1",
    ]
    file.write_bytes(b"\n".join(lines))
    cli("allow", "add", "198.51.100.0/24", "--note", "trunk")
    done = cli.fails("block", "import", str(file), "--origin", "feed", "--for", "2h")
    assert done.out.startswith("4 targets blocked by feed until ")
    assert done.out.endswith(" (in 2h); 1 repeated; 9 lines refused\n")
    assert done.err.splitlines() == [
        f"{file}:5: '0.0.0.0/0' is the whole Internet: refused",
        f"{file}:6: '203.0.113.9/24' has bits set beyond /24: did you mean 203.0.113.0/24?",
        f"{file}:7: 10.0.0.1: overlaps 10.0.0.0/8: private, RFC 1918",
        f"{file}:8: '\\x1b[2J\\x07' is not an IP address",
        f"{file}:9: '\\\\xff\\\\xfe\\x00nonsense' is not a target: it is not ASCII",
        f"{file}:10: '203.0.113.3 203.0.113.4' is not an IP address",
        f"{file}:11: the line is longer than 1024 bytes",
        f"{file}:13: 198.51.100.77 is on the allowlist (198.51.100.0/24: trunk)",
        f"{file}:15: '203.0.113.\\u0665' is not a target: it is not ASCII",
        NO_CONTROLLER.strip(),
    ]
    assert [row["target"] for row in cli.json("block", "list", "--origin", "feed")] == [
        "203.0.113.1",
        "203.0.113.2",
        "udp:203.0.113.7:5060>198.51.100.9:5060",
        "2001:db8::1",
    ]


def test_standard_input_and_options(cli: Cli) -> None:
    done = cli(
        *("block", "import", "-", "--action", "watch", "--for", "forever", "--reason", "seen"),
        stdin=b"203.0.113.7\n",
    )
    assert (done.out, done.err) == ("1 target blocked by operator for ever\n", NO_CONTROLLER)
    (row,) = cli.json("block", "list")
    assert (row["action"], row["expires"], row["reason"]) == ("watch", None, "seen")


def test_dry_run_refuses_the_same_and_writes_nothing(cli: Cli) -> None:
    done = cli.fails("block", "import", "-", "--dry-run", stdin=b"203.0.113.7\nbad\n")
    assert done.out.startswith("1 target would be blocked by operator until ")
    assert done.error == "stdin:2: 'bad' is not an IP address"
    assert cli.server.cli("DBSIZE") == "0"


def test_an_empty_list_is_fine_and_blocks_nothing(cli: Cli) -> None:
    assert cli("block", "import", "-", stdin=b"# nothing\n").out.startswith("0 targets blocked")
    assert cli.server.cli("DBSIZE") == "0"


def test_files_that_cannot_be_read(cli: Cli, tmp_path: Path) -> None:
    assert cli.fails("block", "import", "/nowhere").error == (
        "sdnblock: cannot read /nowhere: No such file or directory"
    )
    assert cli.fails("block", "import", str(tmp_path)).error == (
        f"sdnblock: cannot read {tmp_path}: Is a directory"
    )


def test_garbage_does_not_fill_the_terminal(cli: Cli) -> None:
    done = cli.fails("block", "import", "-", stdin=b"x\n" * 5000)
    assert len(done.err.splitlines()) == 1001
    assert done.err.endswith("... and 4,000 more lines refused\n")


def test_a_redis_that_is_full_midway_says_how_much_is_in(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("".join(f"203.{i >> 8}.{i & 255}.1\n" for i in range(65536)))
    used = int(cli.server.cli("INFO", "memory").split("used_memory:")[1].split()[0])
    cli.server.cli("CONFIG", "SET", "maxmemory", str(used + 6_000_000))
    try:
        line = cli.fails("block", "import", str(file)).error
    finally:
        cli.server.cli("CONFIG", "SET", "maxmemory", "0")
    assert "is full (maxmemory)" in line
    said = int(line.partition("(the first ")[2].partition(" targets")[0].replace(",", ""))
    held = int(cli.server.cli("ZCARD", "sdnblock:origin:operator"))
    assert 0 < said <= held < 65536
    listed = {row["target"] for row in cli.json("block", "list")}
    assert {f"203.{i >> 8}.{i & 255}.1" for i in range(said)} <= listed


def test_a_hundred_thousand_lines_take_seconds(cli: Cli, tmp_path: Path) -> None:
    chance = random.Random(7)
    file = tmp_path / "list"
    hosts = {
        f"203.{chance.randrange(1 << 24) >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(65536)
    }
    hosts |= {f"2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::1" for n in range(40000)}
    file.write_text("".join(f"{host}\n" for host in sorted(hosts)))
    began = time.monotonic()
    done = cli.spawn("block", "import", str(file), "--origin", "feed")
    took = time.monotonic() - began
    assert done.status == 0, done.err
    assert done.out.startswith(f"{len(hosts):,} targets blocked by feed until ")
    assert int(cli.server.cli("ZCARD", "sdnblock:origin:feed")) == len(hosts)
    assert took < 15  # about two seconds, on a machine with nothing else to do
