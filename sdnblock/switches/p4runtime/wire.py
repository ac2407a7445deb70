"""Read answers taken apart before they are decoded.

BMv2 answers a Read with one message, however many entries it has. Decoding that
at once would hold up the event loop, and keep every entry in memory twice.
Protocol buffers can be cut between the elements of a repeated field, and
``ReadResponse`` has nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from finsy.proto import p4r
from google.protobuf.message import DecodeError

_ENTITIES: Final = (p4r.ReadResponse.ENTITIES_FIELD_NUMBER << 3) | 2  # length-delimited


def responses(data: bytes, size: int) -> Iterator[p4r.ReadResponse]:
    """Decode an encoded ReadResponse in parts of at most ``size`` entities.

    Raises DecodeError if it is malformed.
    """
    start = at = count = 0
    end = len(data)
    while at < end:
        if data[at] != _ENTITIES:  # a field of a later version: leave it to the library
            yield p4r.ReadResponse.FromString(data[start:])
            return
        at += 1
        length = shift = 0
        while True:
            if at >= end or shift > 28:
                raise DecodeError("truncated")
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        at += length
        count += 1
        if count == size and at < end:
            yield p4r.ReadResponse.FromString(data[start:at])
            start, count = at, 0
    if start < end:
        yield p4r.ReadResponse.FromString(data[start:])
