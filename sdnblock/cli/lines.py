"""Reading a list of targets from a file that may hold anything, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from sdnblock.block import Target
from sdnblock.cli.params import read_target
from sdnblock.errors import TargetError

MAX_LINE: Final = 1024
"""Bytes of a line, comment included; what is longer is refused unread."""

_BOM: Final = b"\xef\xbb\xbf"


def read_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """(line number, line without its end); None in place of a line that is too long."""
    number = 0
    while line := stream.readline(MAX_LINE + 2):
        number += 1
        if number == 1:
            line = line.removeprefix(_BOM)
        if len(line.rstrip(b"\r\n")) <= MAX_LINE:
            yield number, line.rstrip(b"\r\n")
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(1 << 16)
        yield number, None


def parse_line(line: bytes | None) -> Target | None:
    """The target on a line, None if there is only a comment. Raises TargetError.

    A comment begins with ``#`` or ``;`` and goes to the end of the line.
    """
    if line is None:
        raise TargetError(f"the line is longer than {MAX_LINE} bytes")
    content = line.partition(b"#")[0].partition(b";")[0].strip()
    if not content:
        return None
    try:
        return read_target(content.decode("ascii"))
    except UnicodeDecodeError:
        shown = ascii(content[:40].decode("utf-8", "backslashreplace"))
        raise TargetError(f"{shown} is not a target: it is not ASCII") from None
