"""A real Kamailio on loopback, with the configurations of docs/evidence.md as they stand."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from demo.processes import Process
from sdnblock.block import TCP, UDP, parse_address
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.kamailio import KamailioLists
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.kamailio import FIELDS, read_event
from tests.evidence_docs import KAMAILIO, PAGE, events, events_of_the_slide, hep_settings
from tests.hep_kit import OPTIONS
from tests.redis_server import RedisServer, free_port
from tests.test_hep_server import Served, serving
from tests.test_kamailio_events import lists

pytestmark = pytest.mark.skipif(shutil.which("kamailio") is None, reason="needs kamailio")

LOCAL, LOCAL_6 = parse_address("127.0.0.1"), parse_address("::1")
VICTIM = "203.0.113.77"


@contextlib.asynccontextmanager
async def kamailio(directory: Path, config: str, *listen: str) -> AsyncIterator[None]:
    """Kamailio with a configuration, listening."""
    file = directory / "kamailio.cfg"
    file.write_text(KAMAILIO + config)
    process = await Process.start(
        "kamailio",
        (
            *("kamailio", "-DD", "-E", "-f", file, "-Y", directory, "-P", directory / "pid"),
            *("-m", "64", "-M", "8"),
            *(word for each in listen for word in ("-l", each)),
        ),
        directory / "kamailio.log",
    )
    try:
        await process.until_logged("Aliases:", 30)
        deadline = time.monotonic() + 30
        while not all(map(is_bound, listen)):
            assert process.running and time.monotonic() < deadline, process.words()
            await asyncio.sleep(0.02)
        yield
    finally:
        await process.stop()


def is_bound(listen: str) -> bool:
    """Whether somebody has the port of ``udp:127.0.0.1:5060`` (it says so before it does)."""
    table = listen.partition(":")[0] + ("6" if "[" in listen else "")
    port = f":{int(listen.rpartition(':')[2]):04X}"
    rows = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(port) for row in rows)


@pytest.mark.parametrize("way", ["udp", "tcp"])
async def test_hep_as_kamailio_sends_it(tmp_path: Path, way: str) -> None:
    port = free_port()
    answer = """
loadmodule "sl.so"
loadmodule "textops.so"
request_route {
    if (is_method("OPTIONS")) { sl_send_reply("404", "Not Found"); }
    exit;
}
"""
    async with serving(key="s3cret") as it:
        url = f"sip:127.0.0.1:{it.server.port}" + (";transport=tcp" if way == "tcp" else "")
        config = hep_settings(url, "s3cret") + answer
        listen = [f"udp:127.0.0.1:{port}", f"tcp:127.0.0.1:{port}", f"udp:[::1]:{port}"]
        async with kamailio(tmp_path, config, *listen):
            with contextlib.ExitStack() as stack:
                four = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                six = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
                stream = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
                four.bind(("127.0.0.1", 0))
                for number, sock in enumerate((four, six, stream)):
                    text = OPTIONS.replace(b"Call-ID: 1@", b"Call-ID: %d@" % number)
                    if sock is stream:
                        sock.sendall(text.replace(b"/UDP", b"/TCP"))
                    else:
                        place = "::1" if sock is six else "127.0.0.1"
                        sock.sendto(text, (place, port))
                await it.until(lambda: len(it.seen) == 6)
                check(it, 0, UDP, LOCAL, four.getsockname()[1], port)
                check(it, 1, UDP, LOCAL_6, six.getsockname()[1], port)
                check(it, 2, TCP, LOCAL, stream.getsockname()[1], port)
        assert not it.server.intake.tally.refused


def check(it: Served, call: int, protocol: int, place: bytes, port: int, server: int) -> None:
    """A request that came in by a socket, and its answer."""
    mine = [event for event in it.seen if event.message.call_id.startswith(f"{call}@")]
    request, response = sorted(mine, key=lambda event: event.message.status)
    assert (request.message.method, response.message.status) == ("OPTIONS", 404)
    assert (request.source, request.source_port) == (place, port)
    assert (request.destination, request.destination_port) == (place, server)
    assert (response.source, response.source_port) == (place, server)
    assert response.destination == place
    assert request.message.branch == response.message.branch == "z9hG4bK-1"
    for event in mine:
        assert event.protocol == protocol
        assert event.established is (protocol == TCP)
        assert event.via == "HEP of 127.0.0.1 (agent 2001)"


@contextlib.asynccontextmanager
async def noted(directory: Path, slide: bool) -> AsyncIterator[tuple[RedisServer, int]]:
    """Kamailio writing events into a private Redis; and the port it listens on."""
    port = free_port()
    with RedisServer(directory) as server:
        place = f"unix={server.socket}"
        config = events_of_the_slide(place) if slide else events(place)
        listen = [f"udp:127.0.0.1:{port}", f"udp:[::1]:{port}"]
        async with kamailio(directory, config, *listen):
            yield server, port


AGENTS = {
    "scanner": b"User-Agent: friendly-scanner\r\n",
    "words": b"User-Agent: Cisco SPA 508G\r\n",
    "two": b"User-Agent: two words\r\n",
    "none": b"",
    "framing": b"User-Agent: x/1 sourceip 203.0.113.77\r\n",
    "stack": b"User-Agent: 100%d%s\r\n",
    "quotes": b"User-Agent: a\"b'c\\d\r\n",
}


async def collect(server: RedisServer, count: int) -> dict[str, SipSeen]:
    """Events by the beginning of their Call-ID."""
    found: dict[str, SipSeen] = {}
    async with lists(server) as made:
        for _ in range(500):
            batch = await made.take()
            assert batch is not None
            for call_id, values in batch.events:
                event = read_event(call_id, values, time.time())
                found[call_id.decode().partition("@")[0]] = event
            if len(found) >= count:
                break
            await asyncio.sleep(0.02)
    return found


def send(port: int) -> None:
    for name, agent in AGENTS.items():
        text = OPTIONS.replace(b"Call-ID: 1@", b"Call-ID: %s@" % name.encode())
        text = text.replace(AGENTS["scanner"], agent)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(text, ("127.0.0.1", port))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(OPTIONS.replace(b"Call-ID: 1@", b"Call-ID: six@"), ("::1", port))


async def test_events_as_the_page_has_them(tmp_path: Path) -> None:
    async with noted(tmp_path, slide=False) as (server, port):
        send(port)
        found = await collect(server, len(AGENTS) + 1)
    assert set(found) == {*AGENTS, "six"}
    agents = {name: event.message.user_agent for name, event in found.items()}
    assert agents == {
        "scanner": "friendly-scanner", "words": "Cisco SPA 508G", "two": "two words", "none": "-",
        "framing": "x/1 sourceip 203.0.113.77", "stack": "100%d%s", "quotes": "a\"b'c\\d",
        "six": "friendly-scanner",
    }  # fmt: skip
    for name, event in found.items():
        here = LOCAL_6 if name == "six" else LOCAL
        assert (event.source, event.destination) == (here, here)
        assert event.message.method == "OPTIONS"
        assert event.message.first("from") == "<sip:100@203.0.113.66>"
        assert event.message.uri == "sip:100@198.51.100.10"
        assert event.via == f"Kamailio {socket.gethostname()}"
        assert not event.whole


async def test_events_as_the_slide_has_them(tmp_path: Path) -> None:
    """They are understood, and what the page warns of is so."""
    async with noted(tmp_path, slide=True) as (server, port):
        send(port)
        found = await collect(server, 6)
        assert server.cli("HGET", "event:scanner@203.0.113.66", "dialled") == "'100'"
        assert server.cli("HGET", "event:words@203.0.113.66", "SPA") == "508G"
    assert found["scanner"].message.user_agent == "friendly-scanner"
    assert found["scanner"].source == LOCAL
    assert found["scanner"].message.request_uri is not None
    assert found["framing"].source == parse_address(VICTIM), "anybody frames anybody"
    assert found["two"].message.user_agent in ("", "two")
    assert "none" not in found


async def test_the_rights_that_the_page_gives_are_enough(tmp_path: Path) -> None:
    (line,) = re.findall(r"^```acl\n(.*?)\n```$", PAGE, re.MULTILINE)
    with RedisServer(tmp_path) as server:
        assert server.cli(*line.split()) == "OK"
        server.cli("LPUSH", "events", "c0")
        settings = server.settings(username="sdnblock-events", password="PASSWORD")
        client = await open_redis(settings)
        try:
            made = KamailioLists(client, "Redis", "", FIELDS)
            assert await made.take()
            assert await made.take()
        finally:
            await client.aclose()
        assert server.cli("LLEN", "events") == "0"
