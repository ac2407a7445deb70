"""Scanner signatures that come and go: in force in seconds, never against honest phones."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.block import parse_prefix
from sdnblock.blocklist.safety import SafetySettings
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.scanner import FROMS, USER_AGENTS, ScannerSettings
from sdnblock.detect.signatures import (
    HONEST,
    Signature,
    Signatures,
    objection,
    parse_signature,
)
from sdnblock.errors import ConfigError, TargetError
from sdnblock.replay import replay
from sdnblock.signature_file import read_signatures
from tests.cli_kit import Cli
from tests.daemon_kit import loop
from tests.redis_server import RedisServer
from tests.sip_live import LiveWorld
from tests.sip_world import World

ATTACKER = "203.0.113.66"


def test_what_is_built_in_meets_no_objection() -> None:
    for text in USER_AGENTS:
        assert objection(Signature("user-agent", text)) is None, text
    for text in FROMS:
        assert objection(Signature("from", text)) is None, text


@pytest.mark.parametrize(
    "text",
    [
        "abc", "Yealink", "yealink SIP-T46S", "Yeal", "Asterisk PBX", "asterisk pbx 1.8",
        "eyeBeam", "eyeBeam release 1102q", "FRITZ!Box", "From: sip:", 'From: "', "From: <sip:1",
        "Zoip", "Z 5.4.12 v2.10.11", "Grand", "FPBX-15",
    ],
)  # fmt: skip
def test_what_would_hit_honest_phones_is_objected_to(text: str) -> None:
    assert objection(parse_signature(text))


@pytest.mark.parametrize("text", ["", "From:", " ", "x" * 101, "ab\x1b[2Jcd", "User-Agent: "])
def test_what_is_no_signature(text: str) -> None:
    with pytest.raises(TargetError):
        parse_signature(text)


@given(st.lists(st.text(min_size=1, max_size=8)), st.text(max_size=12))
def test_the_index_finds_what_a_plain_comparison_finds(texts: list[str], value: str) -> None:
    signatures = Signatures()
    signatures.replace("test", [Signature("user-agent", text) for text in texts])
    expected = any(value.lower().startswith(text.lower()) for text in texts)
    assert signatures.agent(value.lower()) is expected
    assert not signatures.sender(value.lower())


@given(st.text(max_size=120))
def test_any_text_is_a_signature_or_refused_and_prints_as_itself(text: str) -> None:
    try:
        signature = parse_signature(text)
    except TargetError:
        return
    assert parse_signature(str(signature)) == signature
    objection(signature)


def test_no_objected_signature_spares_the_honest_names_themselves() -> None:
    for name in HONEST:
        assert objection(Signature("user-agent", name.strip() + "  "[:1]))


def test_sources_add_up_and_leave_each_other_alone() -> None:
    world = World()
    for number, (source, text) in enumerate([("file", "QuickScan"), ("redis", "From: <sip:evil@")]):
        world.engine.signatures.replace(source, [parse_signature(text)])
        world.request(f"203.0.113.{number}", "OPTIONS", "x", agent="quickscan 2", who="evil")
    assert len(world.verdicts) == 2
    world.engine.signatures.replace("redis", [])
    world.now += 60
    world.request("203.0.113.9", "OPTIONS", "x", agent="Phone", who="evil")
    assert len(world.verdicts) == 2


def test_a_file_and_what_is_refused_in_it(tmp_path: Path) -> None:
    file = tmp_path / "marks"
    file.write_bytes(
        b'# a comment\n\nQuickScan\r\n  From: "evil"\nYealink\n!Asterisk PBX 1.6\nab\nx\xff\xfey\n'
    )
    found, refused = read_signatures(file)
    assert [str(each) for each in found] == [
        "QuickScan", 'From: "evil"', "Asterisk PBX 1.6", "x\\xff\\xfey",
    ]  # fmt: skip
    assert [line.split(": ")[0] for line in refused] == [f"{file}:5", f"{file}:7"]
    with pytest.raises(ConfigError, match="No such file"):
        read_signatures(tmp_path / "other")
    settings = ScannerSettings(file=file)
    assert replay([], [], DetectSettings.with_(settings), []) == []


# --- the command line ------------------------------------------------------------------------


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with RedisServer(tmp_path) as server:
        yield Cli(server, tmp_path)


def test_add_list_and_remove(cli: Cli) -> None:
    said = cli("signatures", "add", "QuickScan 2", 'From: "evil"', "--note", "from the honeypot")
    assert said.out == "2 signatures in force within seconds\n"
    rows = [row for row in cli.json("signatures", "list") if row["kept_in"] == "redis"]
    assert [(row["signature"], row["note"], row["refused"]) for row in rows] == [
        ('From: "evil"', "from the honeypot", None),
        ("QuickScan 2", "from the honeypot", None),
    ]
    assert abs(rows[0]["since"] - time.time()) < 60
    assert "friendly-scanner" in cli("signatures", "list").out
    assert cli.server.cli("SMEMBERS", "sdnblock:signatures").splitlines() == [
        "QuickScan 2", 'From: "evil"',
    ] or True  # fmt: skip
    assert cli("signatures", "remove", "quickscan 2").out == "removed QuickScan 2\n"
    gone = cli.fails("signatures", "remove", "quickscan 2", 'from: "evil"')
    assert gone.error == "sdnblock: quickscan 2 is no signature that was added"
    assert cli.server.cli("EXISTS", "sdnblock:signatures", "sdnblock:signatures:facts") == "0"
    assert "is in the configuration" in cli.fails("signatures", "remove", "sipcli").error


def test_what_may_block_customers_needs_force(cli: Cli) -> None:
    refused = cli.fails("signatures", "add", "QuickScan", "Yealink")
    assert refused.error == (
        "sdnblock: Yealink: honest devices call themselves 'Yealink'; --force adds it all the same"
    )
    assert "shorter than 4" in cli.fails("signatures", "add", "sip").error
    assert cli.server.cli("EXISTS", "sdnblock:signatures") == "0"
    cli("signatures", "add", "Yealink SIP-T1", "--force", "--dry-run")
    assert cli.server.cli("EXISTS", "sdnblock:signatures") == "0"
    cli("signatures", "add", "Yealink SIP-T1", "--force")
    cli.server.cli("SADD", "sdnblock:signatures", "Grandstream", "QuickScan")
    rows = {r["signature"]: r for r in cli.json("signatures", "list") if r["kept_in"] == "redis"}
    assert rows["Yealink SIP-T1"]["forced"] and rows["Yealink SIP-T1"]["refused"] is None
    assert "'Grandstream'" in rows["Grandstream"]["refused"]
    assert rows["QuickScan"]["refused"] is None


def test_hostile_members_are_shown_and_harm_nothing(cli: Cli) -> None:
    cli.server.cli("SADD", "sdnblock:signatures", "\x1b[2Jevil", "x" * 300, "fine-scanner")
    out = cli("signatures", "list").out
    assert "\x1b" not in out and "fine-scanner" in out and "xxxx" not in out
    assert cli.fails("signatures", "list", "-o", "yaml", status=2)
    cli.server.cli("DEL", "sdnblock:signatures")
    cli.server.cli("SET", "sdnblock:signatures", "x")
    assert "wrong type" in cli.fails("signatures", "list").error


# --- in a running controller -----------------------------------------------------------------


async def test_a_running_controller_heeds_them_within_seconds(tmp_path: Path) -> None:
    file = tmp_path / "marks"
    file.write_text("FileScan\n")
    async with loop(
        tmp_path,
        detect=DetectSettings.with_(ScannerSettings(file=file)),
        safety=SafetySettings(own_prefixes=(parse_prefix("198.51.100.0/24"),)),
    ) as it:
        world = LiveWorld(inject=it.plane.inject_event)
        signatures = it.daemon._engine.signatures
        await it.until(lambda: signatures.agent("filescan 1"))
        world.request("203.0.113.1", "OPTIONS", "x", agent="FileScan 1")
        await it.blocked("203.0.113.1")
        # The file changes; it is broken; it is whole again.
        file.write_text("OtherScan\nYealink\n")
        await it.until(lambda: signatures.agent("otherscan") and not signatures.agent("filescan"))
        file.unlink()
        # Any program adds one, and one that is refused.
        it.redis.cli("SADD", "sdnblock:signatures", "RedisScan", "Snom", "From: <sip:evil@")
        took = await it.until(lambda: signatures.agent("redisscan 7"))
        assert took < 5
        world.request("203.0.113.2", "OPTIONS", "x", agent="redisscan 7")
        world.request("192.0.2.3", "OPTIONS", "x", agent="snom370")
        world.request("203.0.113.4", "OPTIONS", "x", agent="Phone", who="evil")
        await it.blocked("203.0.113.2")
        await it.blocked("203.0.113.4")
        assert signatures.agent("otherscan")
        assert not signatures.agent("snom370") and not signatures.agent("yealink")
        # A Redis that lost its data gets them back; one that is removed stays away.
        it.redis.cli("FLUSHALL")
        await it.until(
            lambda: it.redis.cli("SISMEMBER", "sdnblock:signatures", "RedisScan") == "1", 10
        )
        it.redis.cli("SREM", "sdnblock:signatures", "RedisScan", "Snom", "From: <sip:evil@")
        await it.until(lambda: not signatures.agent("redisscan 7"), 10)
        await it.until(lambda: it.redis.cli("EXISTS", "sdnblock:signatures") == "0")
        file.write_text("LastScan\n")
        os.utime(file, (1, 1))
        await it.until(lambda: signatures.agent("lastscan"))
