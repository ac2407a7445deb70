"""Test numbers: what convicted sources dial is listed, what honest ones dial never."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.block import TCP, parse_prefix
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.safety import SafetySettings
from sdnblock.blocklist.store import Store
from sdnblock.config import parse_config
from sdnblock.detect.kept import Memory
from sdnblock.detect.numbers import NumberSettings, TestNumbers, dialled, number_of
from sdnblock.errors import ConfigError
from tests.cli_kit import Cli
from tests.daemon_kit import loop
from tests.redis_server import RedisServer, free_port
from tests.sip_live import LiveWorld
from tests.sip_world import World

ATTACKER, OTHER, OFFICE = "203.0.113.66", "203.0.113.67", "192.0.2.10"
NUMBER, ABROAD = "900442079460000", "+442079460000"
PAGE = (Path(__file__).parent.parent / "docs" / "numbers.md").read_text()


class Dialling(World):
    """A world whose verdicts are enforced, and what is listed of it."""

    def __init__(self, settings: NumberSettings | None = None) -> None:
        super().__init__()
        self.numbers = TestNumbers(
            settings or NumberSettings(), self.engine.credit, self.engine.memory
        )
        self.engine.add(self.numbers)
        self.told = 0
        self.allowed = False

    def listed(self) -> set[str]:
        """What is to be listed since the last time."""
        for verdict in self.verdicts[self.told :]:
            self.numbers.concluded(verdict, self.now, enforced=not self.allowed)
        self.told = len(self.verdicts)
        return set(self.numbers.take()[0])

    def scan(self, source: str, number: str, port: int = 5060) -> None:
        """An INVITE by a tool that says its name."""
        self.request(source, "INVITE", number, agent="sipcli/v1.8", port=port)


def test_what_a_scanner_dials_is_listed_before_and_after_its_verdict() -> None:
    world = Dialling()
    world.scan(ATTACKER, NUMBER)
    assert world.listed() == {NUMBER}
    world.scan(ATTACKER, "00442079460000")
    world.request(ATTACKER, "INVITE", ABROAD)  # whatever it calls itself now
    assert world.listed() == {"00442079460000", ABROAD}
    world.now += 601
    world.request(ATTACKER, "INVITE", "900442079460001")  # its block has ended
    assert world.listed() == set()


def test_what_an_enumerator_had_dialled_before_is_listed() -> None:
    world = Dialling()
    for number in range(4):
        world.ask(ATTACKER, "INVITE", f"90044207946000{number}", 404)
    assert world.listed() == {f"90044207946000{number}" for number in range(4)}


def test_the_listing_says_who_and_what_convicted_him() -> None:
    world = Dialling()
    world.scan(ATTACKER, NUMBER)
    world.numbers.concluded(world.verdicts[0], world.now, enforced=True)
    (listing,) = world.numbers.take()[0].values()
    assert listing.reason == "dialled by 203.0.113.66, convicted by scanner"


def test_what_a_customer_dials_is_never_listed() -> None:
    world = Dialling()
    world.register(OFFICE, "1001", good=True)
    world.request(OFFICE, "INVITE", ABROAD)
    world.scan(ATTACKER, ABROAD)
    world.scan(ATTACKER, NUMBER)
    assert world.listed() == {NUMBER}
    # His own name is forged: he is watched, and what he dialled is not listed.
    world.scan(OFFICE, ABROAD)
    world.now += 10
    assert world.listed() == set()
    # A month later nobody honest has dialled it for long.
    world.now += 31 * 86400
    world.scan(OTHER, ABROAD)
    assert world.listed() == {ABROAD}


def test_a_trunk_without_registration_is_a_customer_once_a_call_was_taken() -> None:
    world = Dialling()
    world.ask(OFFICE, "INVITE", ABROAD, 200, protocol=TCP)
    world.scan(ATTACKER, ABROAD)
    assert world.listed() == set()


def test_our_own_users_and_extensions_are_never_listed() -> None:
    world = Dialling()
    world.register(OFFICE, "4930123456", good=True)
    for number in ("4930123456", "1001", "1234567", "+1234567", "alice", "*67123456789"):
        world.scan(ATTACKER, number)
    assert world.listed() == set()


def test_what_the_configuration_names_is_never_listed() -> None:
    world = Dialling(NumberSettings(never=("+4930", "0049")))
    for number in ("+4930123456", "0049301234567", "+49401234567"):
        world.scan(ATTACKER, number)
    assert world.listed() == {"+49401234567"}


def test_only_the_guilty_flows_numbers_of_an_office() -> None:
    world = Dialling()
    for phone in range(10):
        world.register(OFFICE, f"u{phone}", good=True, port=20000 + phone)
    world.request(OFFICE, "INVITE", ABROAD, port=20001)
    world.request(OFFICE, "INVITE", NUMBER, port=20666)
    for _ in range(6):
        world.register(OFFICE, "guessed", good=False, port=20666)
    assert world.blocked() == {f"udp:{OFFICE}:20666>198.51.100.10:5060"}
    assert world.listed() == {NUMBER}
    world.request(OFFICE, "INVITE", "900442079460009", port=20666)
    world.request(OFFICE, "INVITE", "+442079460008", port=20001)
    assert world.listed() == {"900442079460009"}


def test_the_allowlisted_the_unproven_and_the_disabled_list_nothing() -> None:
    allowed = Dialling()
    allowed.allowed = True
    proven = Dialling(NumberSettings(evidence="proven"))
    disabled = Dialling(NumberSettings(enabled=False))
    for world in (allowed, proven, disabled):
        world.scan(ATTACKER, NUMBER)
        assert world.listed() == set()
    for number in range(5):
        proven.register(ATTACKER, str(number), good=False)
    assert proven.listed() == {NUMBER}


def test_a_pardon_takes_back_what_the_block_led_to() -> None:
    world = Dialling()
    world.scan(OFFICE, NUMBER)  # forged, before he first registers
    assert world.listed() == {NUMBER}
    world.register(OFFICE, "1001", good=True)
    assert world.lifts
    for lift in world.lifts:
        world.numbers.concluded(lift, world.now, enforced=True)
    listed, unlisted = world.numbers.take()
    assert not listed and unlisted == [NUMBER]


def test_a_restart_forgets_no_honest_number() -> None:
    before, after = Dialling(), Dialling()
    before.register(OFFICE, "4930123456", good=True)
    before.request(OFFICE, "INVITE", ABROAD)
    after.now = before.now
    for old, new in zip(before.engine.memory.tables(), after.engine.memory.tables(), strict=True):
        assert new.load([old.row(key) for key in old.take(100)], after.now) == 0
    for number in (ABROAD, "4930123456", NUMBER):
        after.scan(ATTACKER, number)
    assert after.listed() == {NUMBER}


def test_a_flood_is_bounded() -> None:
    world = Dialling()
    numbers = TestNumbers(NumberSettings(), world.engine.credit, Memory())
    world.engine.add(numbers)
    for number in range(300):
        world.request(ATTACKER, "INVITE", f"0044{number:08}")
    assert len(numbers._dialled[b"\xcb\x00\x71\x42"]) == 64


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("sip:+44-20.7946(0000)@example.net", "+442079460000"),
        ("sips:0044207946%30000;phone-context=x@192.0.2.1;user=phone", "00442079460000"),
        ("tel:+44-20-7946-0000;ext=1", "+442079460000"),
        ("sip:12345678:secret@example.net", "12345678"),
        ("sip:12345678", None),
        ("sip:1234a678@example.net", None),
        ("sip:+@example.net", None),
        ("mailto:12345678@example.net", None),
        ("sip:" + "1" * 33 + "@example.net", None),
        ("sip:\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18@example.net", None),
        ("", None),
    ],
)
def test_the_number_in_a_request_uri(uri: str, number: str | None) -> None:
    assert dialled(uri) == number


@given(st.text(max_size=60))
def test_any_uri_is_a_number_or_none(text: str) -> None:
    for uri in (text, f"sip:{text}@x", f"tel:{text}"):
        number = dialled(uri)
        assert number is None or (number_of(number) == number and number.isascii())


def test_the_configuration_says_what_is_wrong() -> None:
    assert parse_config({"numbers": {"never": ["+4930"]}}, None).numbers.never == ("+4930",)
    with pytest.raises(ConfigError, match=r"numbers.never: 'alice' is not a number"):
        parse_config({"numbers": {"never": ["alice"]}}, None)


# --- in Redis --------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as found:
        yield found


async def test_kept_bounded_and_expiring(server: RedisServer) -> None:
    client = await open_redis(server.settings())
    store, now = Store(client, Keys()), time.time()
    await store.numbers.add({"11111111": (now - 50, "first"), "22222222": (now, "b")}, 100, 3)
    await store.numbers.add({"11111111": (now - 60, "second")}, 100, 3)
    found = await store.numbers.find("11111111")
    assert found is not None and (round(now - found.seen), found.reason) == (50, "first")
    await store.numbers.add({"33333333": (now + 900, ""), "44444444": (now, "")}, 100, 3)
    assert sorted(server.cli("ZRANGE", "sdnblock:testnumbers", "0", "-1").split()) == [
        "22222222", "33333333", "44444444",
    ]  # fmt: skip
    assert float(server.cli("ZSCORE", "sdnblock:testnumbers", "33333333")) <= time.time()
    await store.numbers.add({"55555555": (now - 101, "too old")}, 100, 3)
    assert await store.numbers.find("55555555") is None
    assert server.cli("HLEN", "sdnblock:testnumbers:facts") == "3"
    await store.numbers.add({}, 0.001, 3)
    assert server.cli("EXISTS", "sdnblock:testnumbers", "sdnblock:testnumbers:facts") == "0"
    await client.aclose()


async def test_a_running_controller_lists_them(tmp_path: Path) -> None:
    own = SafetySettings(own_prefixes=(parse_prefix("198.51.100.0/24"),))
    async with loop(tmp_path, safety=own) as it:
        world = LiveWorld(inject=it.plane.inject_event)
        world.register(OFFICE, "1001", good=True)
        world.request(OFFICE, "INVITE", ABROAD)
        world.request(ATTACKER, "INVITE", ABROAD, agent="sipcli")
        world.request(ATTACKER, "INVITE", NUMBER, agent="sipcli")
        await it.blocked(ATTACKER)
        await it.until(lambda: it.redis.cli("ZCARD", "sdnblock:testnumbers") == "1")
        assert abs(float(it.redis.cli("ZSCORE", "sdnblock:testnumbers", NUMBER)) - time.time()) < 60
        # While Redis is away nothing is lost.
        it.redis.freeze()
        world.request(ATTACKER, "INVITE", "900442079460001", agent="sipcli")
        await asyncio.sleep(0.5)
        it.redis.thaw()
        await it.until(lambda: it.redis.cli("ZCARD", "sdnblock:testnumbers") == "2", 20)


# --- the command line ------------------------------------------------------------------------


def test_list_check_and_remove(server: RedisServer, tmp_path: Path) -> None:
    cli = Cli(server, tmp_path)
    assert cli.fails("numbers", "check", NUMBER).error == f"{NUMBER} is not a test number"
    assert cli("numbers", "list").err == "there are no test numbers\n"
    now = int(time.time())
    server.cli("ZADD", "sdnblock:testnumbers", str(now), NUMBER, str(now - 60), ABROAD)
    server.cli("HSET", "sdnblock:testnumbers:facts", NUMBER, '{"reason":"by x","since":5}')
    assert cli.json("numbers", "list") == [
        {"number": NUMBER, "seen": now, "since": 5, "reason": "by x"},
        {"number": ABROAD, "seen": now - 60, "since": None, "reason": ""},
    ]
    assert cli("numbers", "list", "-o", "csv").lines[1] == f"{NUMBER},{now},5,by x"
    assert NUMBER in cli("numbers", "check", NUMBER).out
    assert cli("numbers", "check", "+44 20 7946-0000").status == 0
    assert "is not a number" in cli.fails("numbers", "check", "alice").error
    assert cli("numbers", "remove", NUMBER, "--dry-run").out == f"would remove {NUMBER}\n"
    assert cli("numbers", "remove", NUMBER).out == f"removed {NUMBER}\n"
    gone = cli.fails("numbers", "remove", NUMBER, ABROAD)
    assert (gone.out, gone.error) == (
        f"removed {ABROAD}\n", f"sdnblock: {NUMBER} is not a test number",
    )  # fmt: skip


def test_hostile_members_cannot_steer_the_terminal(server: RedisServer, tmp_path: Path) -> None:
    server.cli("ZADD", "sdnblock:testnumbers", "1", "\x1b[2J1234")
    assert "\x1b" not in Cli(server, tmp_path)("numbers", "list").out


# --- Kamailio --------------------------------------------------------------------------------

_KAMAILIO = """#!KAMAILIO
debug=1
log_stderror=yes
children=1
disable_tcp=yes
dns=no
rev_dns=no
auto_aliases=no
listen=udp:127.0.0.1:{port}
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
{page}
request_route {{
    if (is_method("INVITE") && !has_totag()) {{
        route(TESTNUMBER);
    }}
    sl_send_reply("404", "Not Found");
}}
"""


def _ask(port: int, number: str) -> int:
    """The status that an INVITE to ``number`` is answered with."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        own = client.getsockname()[1]
        text = (
            f"INVITE sip:{number}@127.0.0.1:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{number.strip('+')}\r\n"
            f"From: <sip:a@x>;tag=1\r\nTo: <sip:{number}@x>\r\nCall-ID: {own}{number}\r\n"
            "CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        client.settimeout(0.5)
        for _ in range(40):  # until it listens
            client.sendto(text.encode(), ("127.0.0.1", port))
            try:
                return int(client.recv(4096).split(b" ", 2)[1])
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.1)
    raise AssertionError("Kamailio does not answer")


def test_kamailio_asks_for_them_with_the_page_s_configuration(
    server: RedisServer, tmp_path: Path
) -> None:
    (page,) = re.findall(r"^```kamailio\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    page = page.replace("addr=127.0.0.1;port=6379;", f"unix={server.socket};")
    port = free_port()
    config = tmp_path / "kamailio.cfg"
    config.write_text(_KAMAILIO.format(port=port, page=page))
    server.cli("ZADD", "sdnblock:testnumbers", "1", NUMBER, "1", ABROAD)
    run = tmp_path / "run"
    run.mkdir()
    log = tmp_path / "log"
    words = ["kamailio", "-DD", "-E", "-f", config, "-Y", run, "-P", run / "pid", "-m", "64"]
    with (
        log.open("wb") as stream,
        subprocess.Popen([*map(str, words), "-M", "8"], stdout=stream, stderr=stream) as process,
    ):
        try:
            assert _ask(port, "900442079460001") == 404, log.read_text()
            assert _ask(port, NUMBER) == 603
            assert _ask(port, ABROAD) == 603
            assert _ask(port, "00442079460000") == 404
            cli = Cli(server, tmp_path)
            cli("numbers", "remove", NUMBER)
            assert _ask(port, NUMBER) == 404
            server.stop()  # it lets calls through rather than refuse them all
            assert _ask(port, ABROAD) == 404
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
    assert "test number 900442079460000 dialled by" in log.read_text()
