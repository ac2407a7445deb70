"""The command line as a whole: exit statuses, one line per failure, what is imported when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdnblock import __version__
from tests.cli_kit import Cli
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def cli(server: RedisServer, tmp_path: Path) -> Cli:
    server.cli("FLUSHALL")
    return Cli(server, tmp_path)


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version").out == f"sdnblock {__version__}\n"
    assert "Exit status:" in cli("--help").out
    for noun in ("block", "allow", "switch"):
        assert f"Usage: sdnblock {noun}" in cli(noun, "--help").out


@pytest.mark.parametrize(
    "words",
    [
        ["block", verb] for verb in ("add", "list", "show", "remove", "import")
    ] + [["allow", verb] for verb in ("add", "list", "remove", "check")]
    + [["switch", verb] for verb in ("list", "show", "entries", "counters", "diff")]
    + [["shell"], ["run"], ["switchd"]],
)  # fmt: skip
def test_every_command_has_help_without_redis_or_configuration(cli: Cli, words: list[str]) -> None:
    cli.config = Path("/nowhere/at/all")
    out = cli(*words, "-h").out
    assert out.startswith(f"Usage: sdnblock {' '.join(words)}")
    assert words[0] in ("run", "switchd") or "Example" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["blok"], "sdnblock: no such command 'blok' (see sdnblock --help)"),
        (["--colour"], "sdnblock: no such option '--colour' (see sdnblock --help)"),
        (
            ["block", "add"],
            "sdnblock block add: missing argument 'TARGET...' (see sdnblock block add --help)",
        ),
        (
            ["block", "add", "203.0.113.7", "--action", "block"],
            "sdnblock block add: invalid value for '--action':"
            " 'block' is not one of 'drop', 'limit', 'watch' (see sdnblock block add --help)",
        ),
        (
            ["block", "list", "-o", "xml"],
            "sdnblock block list: invalid value for '-o' / '--output':"
            " 'xml' is not one of 'table', 'json', 'csv' (see sdnblock block list --help)",
        ),
        (
            ["block", "remove"],
            "sdnblock block remove: which targets? (or --all --origin NAME)"
            " (see sdnblock block remove --help)",
        ),
        (
            ["block", "remove", "--all"],
            "sdnblock block remove: --all needs --origin: whose blocks shall go?"
            " (see sdnblock block remove --help)",
        ),
        (
            ["block", "remove", "203.0.113.7", "--all", "--origin", "x"],
            "sdnblock block remove: give targets or --all, not both"
            " (see sdnblock block remove --help)",
        ),
    ],
)
def test_usage_errors_are_one_line_and_status_2(cli: Cli, words: list[str], line: str) -> None:
    assert cli.fails(*words, status=2).error == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("2030.113.7", "'2030.113.7' is not an IP address"),
        ("203.0.113", "'203.0.113' is not an IP address"),
        ("203.0.113.007", "'203.0.113.007' is not an IP address"),
        ("", "an empty target: give an address, a prefix or a flow"),
        ("fe80::1%eth0", "'fe80::1%eth0' is not an IP address"),
        ("\x1b[2J", "'\\x1b[2J' is not an IP address"),
        ("24/203.0.113.0", "'24' is not an IP address"),
        ("203.0.113.0/33", "'203.0.113.0/33': an IPv4 prefix has at most /32"),
        ("2001:db8::/129", "'2001:db8::/129': an IPv6 prefix has at most /128"),
        (
            "203.0.113.7/24",
            "'203.0.113.7/24' has bits set beyond /24: did you mean 203.0.113.0/24?",
        ),
        ("0.0.0.0/0", "'0.0.0.0/0' is the whole Internet: refused"),
        ("::/0", "'::/0' is the whole Internet: refused"),
        ("0.0.0.0", "'0.0.0.0': the unspecified address is nobody's"),
        (
            "64.0.0.0/7",
            "64.0.0.0/7: a /7 is too much at once: IPv4 prefixes shorter than /8 are refused",
        ),
        (
            "udp:203.0.113.7:5060",
            "'udp:203.0.113.7:5060': a flow must be quoted: the shell takes > for itself",
        ),
        (
            "udp:203.0.113.7:0>198.51.100.9:5060",
            "'udp:203.0.113.7:0>198.51.100.9:5060': port '0' is not in 1-65535",
        ),
        (
            "udp:[2001:db8::1]:5060>198.51.100.9:5060",
            "'udp:[2001:db8::1]:5060>198.51.100.9:5060' mixes IPv4 and IPv6",
        ),
    ],
)
def test_malformed_targets_are_one_line_and_status_1(cli: Cli, text: str, line: str) -> None:
    assert cli.fails("block", "add", "--", text).error == f"sdnblock: {line}"
    assert cli.json("block", "list") == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("-5m", "'-5m' is not a duration: write 30s, 5m, 4h, 1d12h or forever"),
        ("0", "duration '0' is zero: nothing would be blocked"),
        ("tomorrow", "'tomorrow' is not a duration: write 30s, 5m, 4h, 1d12h or forever"),
        ("1e9", "'1e9' is not a duration: write 30s, 5m, 4h, 1d12h or forever"),
        ("99999d", "duration '99999d' is over ten years: write forever if meant"),
    ],
)
def test_absurd_durations_are_one_line_and_status_1(cli: Cli, text: str, line: str) -> None:
    assert cli.fails("block", "add", "203.0.113.7", f"--for={text}").error == f"sdnblock: {line}"


def test_bad_origins_and_reasons(cli: Cli) -> None:
    def add(*more: str) -> str:
        return cli.fails("block", "add", "203.0.113.7", *more).error

    assert "'Me' is not an origin's name" in add("--origin", "Me")
    assert "'allow' is reserved for the allowlist" in add("--origin", "allow")
    assert add("--reason", "x" * 501) == (
        "sdnblock: the reason has 501 letters: at most 500 are kept"
    )


def test_a_configuration_with_an_unknown_key_names_file_key_and_the_nearest(cli: Cli) -> None:
    cli.configure("[limit]\npackets_per_secnod = 5")
    assert cli.fails("block", "list").error == (
        f"sdnblock: {cli.config}: limit.packets_per_secnod:"
        " unknown key; did you mean packets_per_second?"
    )


def test_a_configuration_that_is_not_there(cli: Cli) -> None:
    assert cli.fails("--config", "/nowhere.toml", "block", "list").error == (
        "sdnblock: cannot read /nowhere.toml: No such file or directory"
    )


def test_redis_down(cli: Cli, tmp_path: Path) -> None:
    line = cli.fails("--redis", f"unix://{tmp_path}/none.sock", "block", "list").error
    assert line == (
        f"sdnblock: cannot reach Redis at {tmp_path}/none.sock:"
        " No such file or directory: is it running?"
    )
    line = cli.fails("--redis", "redis://127.0.0.1:1/0", "block", "list").error
    assert line == (
        "sdnblock: cannot reach Redis at 127.0.0.1:1: Connection refused: is it running?"
    )


def test_a_redis_url_that_is_none(cli: Cli) -> None:
    assert cli.fails("--redis", "http://127.0.0.1", "block", "list").error == (
        "sdnblock: the Redis URL must begin with redis://, rediss:// or unix://, not with 'http'"
    )


def test_redis_full_says_so_and_loses_nothing(cli: Cli) -> None:
    cli("block", "add", "203.0.113.7")
    cli.server.cli("CONFIG", "SET", "maxmemory", "1")
    try:
        assert cli.fails("block", "add", "203.0.113.8").error == (
            f"sdnblock: Redis at {cli.server.socket} is full (maxmemory):"
            " nothing was written; give it more memory or remove blocks"
        )
    finally:
        cli.server.cli("CONFIG", "SET", "maxmemory", "0")
    assert [row["target"] for row in cli.json("block", "list")] == ["203.0.113.7"]


def test_a_password_in_the_url_wins_over_the_configuration(tmp_path: Path) -> None:
    with RedisServer(tmp_path, password="right") as locked:
        cli = Cli(locked, tmp_path)
        cli.configure("")
        assert "wants a password" in cli.fails("block", "list").error
        assert cli.config is not None
        cli.config.write_text(f'[redis]\nurl = "{locked.url}"\npassword = "wrong"\n')
        assert "refuses our user name or password" in cli.fails("block", "list").error
        url = f"unix://:right@{locked.socket}"
        assert cli.json("--redis", url, "block", "list") == []


def test_block_add_imports_no_grpc_and_starts_fast(cli: Cli) -> None:
    program = (
        "import sys, runpy\n"
        "sys.argv = ['sdnblock', 'block', 'add', '203.0.113.7']\n"
        "try: runpy.run_module('sdnblock', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "bad = [m for m in ('grpc', 'google.protobuf', 'finsy', 'netaddr', 'ctypes')"
        " if m in sys.modules]\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **cli.environment()},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("203.0.113.7: drop by operator until ")


def test_a_reader_that_has_seen_enough_is_no_error(cli: Cli, tmp_path: Path) -> None:
    targets = tmp_path / "targets"
    targets.write_text("".join(f"203.0.{i // 250}.{i % 250 + 1}\n" for i in range(5000)))
    cli("block", "import", str(targets))
    process = cli.process("block", "list")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 1
    assert process.stderr.read() == ""
    process.stderr.close()


def test_ctrl_c_ends_with_130_and_no_traceback(cli: Cli) -> None:
    process = cli.process("block", "import", "-", stdin=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while "name=sdnblock" not in cli.server.cli("CLIENT", "LIST"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)  # now it waits for its standard input
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130  # its standard input is still open
    out, err = process.communicate(timeout=10)
    assert (out, err.strip()) == ("", "")


def test_a_full_disk_is_one_line(cli: Cli) -> None:
    cli("block", "add", "203.0.113.7")
    for words in (["block", "list"], ["block", "list", "-o", "json"], ["--help"]):
        with Path("/dev/full").open("w") as full:
            process = cli.process(*words, stdout=full)
            assert process.wait(20) == 1
        assert process.stderr is not None
        line = "sdnblock: cannot write the output: No space left on device\n"
        assert process.stderr.read() == line
        process.stderr.close()


def test_any_terminal_can_show_any_reason(cli: Cli) -> None:
    cli("block", "add", "203.0.113.7", "--reason", "Büro \u6f22")
    old = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert cli.spawn("block", "list", env=old).out.endswith("  B\\xfcro \\u6f22\n")
    assert cli.spawn("block", "list", env={"PYTHONUTF8": "1"}).out.endswith("  Büro \u6f22\n")


def test_closed_output_is_no_error(cli: Cli) -> None:
    command = f"{sys.executable} -m sdnblock block add 203.0.113.7 >&- 2>&-"
    done = subprocess.run(command, shell=True, env={**os.environ, **cli.environment()}, timeout=30)
    assert done.returncode == 0
    assert len(cli.json("block", "list")) == 1


def test_shell_completion_is_clicks_own(cli: Cli) -> None:
    done = cli.spawn(
        env={"_SDNBLOCK_COMPLETE": "bash_complete", "COMP_WORDS": "sdnblock bl", "COMP_CWORD": "1"}
    )
    assert done.out == "plain,block\n"


def test_json_of_nothing_is_an_empty_array_and_csv_has_its_header(cli: Cli) -> None:
    for words in (["block", "list"], ["block", "list", "--refused"], ["allow", "list"]):
        assert json.loads(cli(*words, "-o", "json").out) == []
        assert len(cli(*words, "-o", "csv").lines) == 1
        done = cli(*words)
        assert done.out == "" and done.err.count("\n") == 1
