"""A head read in the plainest way, with one pattern: what the parser must find too, however it
gets there."""

from __future__ import annotations

import re

MAX_HEAD = 16384
MAX_VALUE = 1024
REPEATED = 64

_FOLD = re.compile(rb"\r?\n[ \t]++")
_HEADER = re.compile(
    r"^(call-id|i|cseq|from|f|to|t|user-agent|server|contact|m|expires|content-length|l"
    r"|authorization|proxy-authorization|www-authenticate|proxy-authenticate|via|v"
    r"|session-expires|x)"
    r"[ \t]*+:[ \t]*+([^\r\n]{0,1024})",
    re.IGNORECASE | re.MULTILINE | re.ASCII,
)
_FULL = {
    "i": "call-id", "f": "from", "t": "to", "m": "contact", "l": "content-length", "v": "via",
    "x": "session-expires",
}  # fmt: skip


def read_head(data: bytes, first: int) -> tuple[dict[str, str], tuple[tuple[str, str], ...], int]:
    """Of a message whose first line has ``first`` bytes with its line end: headers, those that
    came again, and bytes up to the body."""
    text = data[first - 1 : MAX_HEAD]
    lf, crlf = text.find(b"\n\n"), text.find(b"\n\r\n")
    if lf < 0 and crlf < 0:
        end = size = len(text)
    elif lf < 0 or 0 <= crlf < lf:
        end, size = crlf, crlf + 3
    else:
        end, size = lf, lf + 2
    head = _FOLD.sub(b" ", text[1:end])
    fields: dict[str, str] = {}
    repeated: tuple[tuple[str, str], ...] = ()
    for name, value in _HEADER.findall(head.decode("utf-8", "replace")):
        key = _FULL.get(name.lower(), name.lower())
        if key not in fields:
            fields[key] = value.rstrip()
        elif len(repeated) < REPEATED:
            repeated += ((key, value.rstrip()),)
    return fields, repeated, first - 1 + size
