"""Where fuzzing begins: honest input of every parser."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.captures import write_pcap, write_pcapng
from tests.dataplane import packets as p
from tests.hep_kit import OPTIONS, chunk, hep
from tests.test_sip import REGISTER

_RESPONSE = (
    b"SIP/2.0 401 Unauthorized\r\nv: SIP/2.0/UDP 203.0.113.66;branch=z9hG4bK-1;received=x\r\n"
    b'f: "a \\" <b" <sip:100@x>;tag=1\r\nt: Bob <sip:+44;p=x:pw@[2001:db8::1]:5061;user=phone>'
    b"\r\n ;tag=2\r\ni: 1\r\nCSeq:\t1 REGISTER\r\nServer: x\r\nx: 1800;refresher=uac\r\n"
    b'Proxy-Authenticate: Digest realm="r", nonce="n", stale=true, qop="auth"\r\n\r\n'
)
_REMOVAL = (
    b"junk REGISTER sips:x SIP/2.0\nm: *, <sip:a@b>;expires=0\nExpires: 0\nl: 3\n"
    b'Authorization: Digest username="a",nonce="n",nc=00000001,response=x\n\nabc'
)
_MESSAGES = (REGISTER, OPTIONS, _RESPONSE, _REMOVAL)


def seeds(target: str) -> list[bytes]:
    """The seeds of one target."""
    if target == "sip":
        return list(_MESSAGES)
    if target == "sip_stream":
        return [bytes((0, 3, 60, 130, 9, 9, 9, 200)) + b"\r\n".join(_MESSAGES)]
    packets = [
        hep(),
        hep(_RESPONSE, protocol=22, key=b"secret", node=b"edge1", deflate=True),
        hep(REGISTER, source=bytes(15) + b"\1", destination=bytes(10) + b"\xff\xff" + bytes(4),
            more=chunk(18, b"\0\1") + chunk(1, b"hello", vendor=4)),
    ]  # fmt: skip
    if target == "hep":
        return packets
    if target == "hep_stream":
        return [bytes((0, 3, 60, 130, 9, 9, 9, 200)) + b"".join(packets)]
    if target == "event":
        return [
            b"1@x\n1700000000\n203.0.113.66\n198.51.100.10\nINVITE\nsip:100@x\nsip:0044@x\n'0044'\n"
            b"friendly-scanner\nfriendly\nkam1",
            b"2\n1700000000.5\n2001:db8::66\n[2001:db8::9]\nregister\n<null>\n<null>\n'0\na\\'b\\0",
        ]
    found = [p.v4(OPTIONS), p.v4(REGISTER)]
    if target == "frames":
        return found
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x"
        pairs = [(1_700_000_000.5, frame) for frame in found]
        return [
            write_pcap(path, pairs).read_bytes(),
            write_pcap(path, pairs, order=">", nanoseconds=True).read_bytes(),
            write_pcapng(path, pairs).read_bytes(),
            write_pcapng(path, pairs, order=">", resolution=9).read_bytes(),
        ]
