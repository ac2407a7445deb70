"""The HEP server on real sockets: UDP, TCP, limits, and what it says of what it refused."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from sdnblock.block import TCP, parse_prefix
from sdnblock.controller.hep import HepServer
from sdnblock.errors import SdnblockError
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.senders import HepSettings
from tests.hep_kit import OPTIONS, hep


@dataclass
class Served:
    """A server and what it has handed on."""

    server: HepServer
    seen: list[SipSeen] = field(default_factory=list)

    def udp(self, *packets: bytes, source: str = "127.0.0.1") -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            for packet in packets:
                sender.sendto(packet, ("127.0.0.1", self.server.port))

    def tcp(self, source: str = "127.0.0.1") -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.server.port), 5, (source, 0))
        made.settimeout(5)
        return made

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (len(self.seen), self.server.intake.tally.refused)
            await asyncio.sleep(0.005)

    async def refused(self, words: str, count: int = 1) -> None:
        tally = self.server.intake.tally

        def told() -> bool:
            return sum(n for reason, n in tally.refused.items() if words in reason) >= count

        await self.until(told)


def now(**changes: object) -> bytes:
    return hep(time=time.time(), **changes)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def serving(**changes: object) -> AsyncIterator[Served]:
    settings = HepSettings(**{"listen": "127.0.0.1:0", **changes})  # type: ignore[arg-type]
    served = Served(HepServer(settings))
    served.server.open()
    task = asyncio.create_task(served.server.run(served.seen.append))
    try:
        yield served
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait({task})
        served.server.close()
        if not task.cancelled():
            task.result()


async def test_udp_and_tcp() -> None:
    async with serving() as it:
        it.udp(now(agent=1))
        await it.until(lambda: len(it.seen) == 1)
        with it.tcp() as one:
            whole = now(agent=2, protocol=TCP) + now(agent=3, protocol=22, deflate=True)
            for at in range(0, len(whole), 100):
                one.sendall(whole[at : at + 100])
                await asyncio.sleep(0.001)
            await it.until(lambda: len(it.seen) == 3)
        assert [event.via[-2] for event in it.seen] == ["1", "2", "3"]
        assert [event.established for event in it.seen] == [False, True, True]


async def test_garbage_ends_its_own_connection_only() -> None:
    async with serving() as it:
        with it.tcp() as good, it.tcp() as bad:
            bad.sendall(now() + OPTIONS + now())
            assert await asyncio.to_thread(bad.recv, 1) == b""
            good.sendall(now())
            await it.until(lambda: len(it.seen) == 2)
        await it.refused("not HEP version 3 (its connection is closed)")
        with it.tcp() as cut:
            cut.sendall(now()[:-1])
        await it.refused("ended within a packet")


async def test_strangers_are_turned_away() -> None:
    async with serving(senders=(parse_prefix("127.0.0.2"),)) as it:
        it.udp(now())
        with it.tcp() as stranger:
            assert await asyncio.to_thread(stranger.recv, 1) == b""
        await it.refused("not on the list", 2)
        it.udp(now(), source="127.0.0.2")
        with it.tcp("127.0.0.2") as known:
            known.sendall(now())
            await it.until(lambda: len(it.seen) == 2)


async def test_the_key_is_asked_for_on_both_ways() -> None:
    async with serving(key="secret") as it:
        it.udp(now(), now(key=b"wrong"), now(key=b"secret"))
        with it.tcp() as one:
            one.sendall(now() + now(key=b"secret"))
            await it.until(lambda: len(it.seen) == 2)
        await it.refused("no key", 2)
        await it.refused("key is wrong", 1)


async def test_connections_are_bounded_and_given_back() -> None:
    async with serving() as it:
        with contextlib.ExitStack() as stack:
            for last in (1, 2, 3, 4):
                for _ in range(16):
                    stack.enter_context(it.tcp(f"127.0.0.{last}"))
            for last in (1, 5):
                with it.tcp(f"127.0.0.{last}") as more:
                    assert await asyncio.to_thread(more.recv, 1) == b""
            await it.refused("too many connections", 2)
        await it.until(lambda: not it.server._connections)
        with it.tcp() as again:
            again.sendall(now())
            await it.until(lambda: len(it.seen) == 1)


async def test_a_flood_starves_nobody() -> None:
    """While both sockets never run empty, others have their turn as well."""
    async with serving() as it:
        packets = [now()] * 200
        with it.tcp() as flooding:
            flooding.setblocking(False)
            async with asyncio.timeout(60):
                for _ in range(20):
                    it.udp(*packets)
                    with contextlib.suppress(BlockingIOError, ConnectionError):
                        flooding.send(b"".join(packets))
                    await asyncio.sleep(0)
        assert 0 < len(it.seen) < 20 * 200, "it handles some, and leaves the rest for later"


async def test_what_was_refused_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as it:
        it.udp(*[now()[:-1]] * 50, hep(time=1.0), now(), now(kind=5))
        await it.until(lambda: len(it.seen) == 1)
        await it.refused("breaks off", 50)
        await it.until(lambda: it.server.intake.tally.ignored.total() == 1)
        caplog.set_level(logging.WARNING)
        it.server.report()
        (record,) = caplog.records
        assert record.getMessage().startswith("HEP: 51 refused: 50 because it breaks off (last: 12")
        assert record.getMessage().endswith("; 1 judged, 1 with payload type 5")
        it.server.report()
        assert len(caplog.records) == 1


async def test_packets_that_the_kernel_dropped_are_told(caplog: pytest.LogCaptureFixture) -> None:
    server = HepServer(HepSettings(listen="127.0.0.1:0"))
    server.open()
    try:
        served = Served(server)
        for _ in range(200):  # nobody reads
            served.udp(*[hep(b"x" * 60_000)] * 20)
        server.report()
        (record,) = caplog.records
        assert "packets lost: they came faster than they could be judged" in record.getMessage()
        server.report()
        assert len(caplog.records) == 1
    finally:
        server.close()


async def test_an_address_that_is_taken() -> None:
    async with serving() as it:
        other = HepServer(HepSettings(listen=f"127.0.0.1:{it.server.port}"))
        with pytest.raises(SdnblockError, match=r"cannot listen for HEP on .*in use.*Homer"):
            other.open()


async def test_ipv6() -> None:
    async with serving(listen="[::1]:0") as it:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(now(), ("::1", it.server.port))
        await it.until(lambda: len(it.seen) == 1)
        assert it.seen[0].via == "HEP of ::1 (agent 2001)"


async def test_a_bug_in_a_detector_is_not_swallowed() -> None:
    server = HepServer(HepSettings(listen="127.0.0.1:0"))
    server.open()

    def see(event: SipSeen) -> None:
        raise ZeroDivisionError

    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        task = asyncio.create_task(server.run(see))
        with socket.socket(socket.AF_INET, kind) as sender:
            sender.connect(("127.0.0.1", server.port))
            sender.sendall(now())
            with pytest.raises(ExceptionGroup):
                await asyncio.wait_for(task, 10)
    server.close()
