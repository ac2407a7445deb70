"""What SIP servers tell a running controller becomes blocks in a switch."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdnblock.block import Action, parse_prefix, parse_target
from sdnblock.blocklist.safety import SafetySettings
from sdnblock.blocklist.settings import KamailioSettings
from sdnblock.daemon import Daemon
from sdnblock.errors import SdnblockError
from sdnblock.evidence.senders import HepSettings
from tests.daemon_kit import Loop, config_for, loop
from tests.hep_kit import SERVER, hep
from tests.redis_server import RedisServer
from tests.sip_live import LiveWorld
from tests.test_kamailio_events import push

ATTACKER = "203.0.113.66"
OURS = SafetySettings(own_prefixes=(parse_prefix("198.51.100.0/24"),))
HEP = HepSettings(enabled=True, listen="127.0.0.1:0")


def send(it: Loop, *packets: bytes) -> None:
    assert it.daemon.servers.hep is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for packet in packets:
            sender.sendto(packet, ("127.0.0.1", it.daemon.servers.hep.port))


async def test_a_scanner_that_only_a_server_has_seen(tmp_path: Path) -> None:
    async with loop(tmp_path, hep=HEP, safety=OURS) as it:
        send(it, hep(time=time.time()))
        await it.blocked(ATTACKER)
        await it.until(lambda: ATTACKER in it.redis.cli("HGETALL", "sdnblock:facts:scanner"))
        assert "friendly-scanner" in it.redis.cli("HGET", "sdnblock:facts:scanner", ATTACKER)


async def test_what_our_own_servers_send_convicts_nobody(tmp_path: Path) -> None:
    """A proxy passes a scanner's request on to a gateway, and reports that too."""
    async with loop(tmp_path, hep=HEP, safety=OURS) as it:
        gateway = bytes((192, 0, 2, 9))
        send(it, hep(time=time.time(), source=SERVER, destination=gateway))
        send(it, hep(time=time.time()))
        await it.blocked(ATTACKER)
        assert list(it.plane.blocks()) == [parse_target(ATTACKER)]


async def test_the_same_message_by_three_ways_counts_once(tmp_path: Path) -> None:
    async with loop(tmp_path, hep=HEP, safety=OURS, kamailio=KamailioSettings(enabled=True)) as it:
        push(it.redis, "1@203.0.113.66")
        send(it, hep(time=time.time()), hep(time=time.time(), agent=2))
        await it.blocked(ATTACKER)
        await it.until(lambda: it.redis.cli("LLEN", "events") == "0")
        await asyncio.sleep(0.3)
        logged = it.redis.cli("XLEN", "sdnblock:changes")
        assert logged == "1", "one verdict, written once"


@dataclass
class TwiceSeen(LiveWorld):
    """Every message is copied by a switch, and reported by the server as well."""

    report: Callable[[bytes], object] = field(kw_only=True)

    def _observe(
        self, source: bytes, port: int, to: bytes, to_port: int, text: str, protocol: int,
        *, established: bool = False,
    ) -> None:  # fmt: skip
        super()._observe(source, port, to, to_port, text, protocol, established=established)
        self.report(
            hep(
                text.encode(), source=source, source_port=port, destination=to,
                destination_port=to_port, time=time.time(), protocol=protocol,
            )
        )  # fmt: skip


async def test_what_a_switch_and_a_server_have_seen_counts_once(tmp_path: Path) -> None:
    """Three rejected credentials are three, not six; the fifth convicts."""
    async with loop(tmp_path, hep=HEP, safety=OURS) as it:
        hep_server = it.daemon.servers.hep
        assert hep_server is not None
        world = TwiceSeen(inject=it.plane.inject_event, report=lambda made: send(it, made))
        for _ in range(3):
            world.register(ATTACKER, "1001", good=False)
        await it.until(lambda: hep_server.intake.tally.judged == 12)
        await asyncio.sleep(0.5)
        assert not it.redis.cli("KEYS", "sdnblock:origin:*")
        for _ in range(2):
            world.register(ATTACKER, "1001", good=False)
        await it.until(lambda: "brute-force" in it.redis.cli("KEYS", "sdnblock:origin:*"))
        facts = it.redis.cli("HVALS", "sdnblock:facts:brute-force")
        assert "5 rejected credentials" in facts


async def test_an_event_of_kamailios(tmp_path: Path) -> None:
    with RedisServer(tmp_path, name="kamailio") as other:
        kamailio = KamailioSettings(enabled=True, redis=other.settings(), prefix="")
        async with loop(tmp_path, safety=OURS, kamailio=kamailio) as it:
            push(other, "c0", sourceip="198.51.100.10")
            push(other, "c1")
            await it.blocked(ATTACKER)
            assert list(it.plane.blocks()) == [parse_target(ATTACKER)]
            assert other.cli("KEYS", "sdnblock:*") == ""
            # The talk's other output: what it dialled, for voice routing.
            await it.until(
                lambda: it.redis.cli("ZRANGE", "sdnblock:testnumbers", "0", "-1") == "00441234"
            )


async def test_a_flood_that_kamailio_counts(tmp_path: Path) -> None:
    kamailio = KamailioSettings(enabled=True)
    async with loop(tmp_path, safety=OURS, kamailio=kamailio) as it:
        stamp = int(time.time())
        for number in range(40):
            push(it.redis, f"c{number}", ua="Phone", short_ua="Phone", stamp=stamp)
        await it.blocked(ATTACKER, Action.DROP)  # as this configuration asks for
        await it.until(lambda: ATTACKER in it.redis.cli("HGETALL", "sdnblock:facts:request-rate"))
        reason = it.redis.cli("HGET", "sdnblock:facts:request-rate", ATTACKER)
        assert "20 SIP requests within 1 s (threshold 20) seen by Kamailio" in reason


async def test_an_address_that_is_taken_ends_the_controller_in_words(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        config = config_for(redis, {}, hep=HepSettings(enabled=True, listen=listen), safety=OURS)
        with pytest.raises(SdnblockError, match="cannot listen for HEP"):
            await Daemon(config, lambda: config).run()
