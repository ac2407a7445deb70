"""Counts SIP on an interface: what was sent to UDP port 5060, and what came back.

Run in a host's namespace: ``python -m demo.sniff eth0 OUT.json``. OUT is replaced
five times a second by one JSON object: ``sent``, ``received`` (packets),
``first_sent``, ``last_sent``, ``last_received`` (Unix seconds, null if none), ``statuses``
(status code of a reply -> how many). What a
switch floods here on its way to others is not counted. Prints ``listening`` once it counts.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from pathlib import Path

_ETH_P_ALL = 3
_SIP = 5060
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")


def main(interface: str, out: Path) -> None:
    """Count until killed."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
    sock.bind((interface, _ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # when it came, not when we woke
    sock.settimeout(0.1)
    sent = received = 0
    statuses: dict[str, int] = {}
    first_sent: float | None = None
    last_sent: float | None = None
    last_received: float | None = None
    written = 0.0
    print("listening", flush=True)
    while True:
        try:
            packet, ancillary, _, address = sock.recvmsg(128, 64)
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            now = seconds + nanoseconds / 1e9
        except TimeoutError:
            packet, address, now = b"", None, time.time()
        if len(packet) >= 28 and packet[0] == 0x45 and packet[9] == socket.IPPROTO_UDP:
            kind = None if address is None else address[2]
            if kind == socket.PACKET_OUTGOING and int.from_bytes(packet[22:24], "big") == _SIP:
                sent += 1
                first_sent, last_sent = first_sent or now, now
            elif kind == socket.PACKET_HOST and int.from_bytes(packet[20:22], "big") == _SIP:
                received += 1
                status = packet[36:39].decode(errors="replace")
                if packet.startswith(b"SIP/2.0 ", 28):
                    statuses[status] = statuses.get(status, 0) + 1
                last_received = now
        if now - written >= 0.2:
            written = now
            part = out.with_suffix(".part")
            part.write_text(
                json.dumps(
                    {
                        "sent": sent,
                        "received": received,
                        "first_sent": first_sent,
                        "last_sent": last_sent,
                        "last_received": last_received,
                        "statuses": statuses,
                    }
                )
            )
            part.replace(out)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
