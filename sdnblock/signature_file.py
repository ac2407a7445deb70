"""A file of scanner signatures: one a line, ``#`` begins a comment line.

A line that begins with ``!`` insists on a signature that might fit honest phones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sdnblock.detect.signatures import MOST, Signature, objection, parse_signature
from sdnblock.errors import ConfigError, TargetError

_MAX_FILE: Final = 1 << 20
_MOST_TOLD: Final = 20


def read_signatures(path: Path) -> tuple[list[Signature], list[str]]:
    """The signatures of a file, and what is refused in it: ``FILE:LINE: why``.

    Raises ConfigError for a file that cannot be read.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_FILE + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the signatures in {path}: {error.strerror}") from None
    if len(data) > _MAX_FILE:
        raise ConfigError(f"{path} is larger than a megabyte: no list of signatures")
    found: dict[Signature, None] = {}
    refused: list[str] = []
    for number, line in enumerate(data.decode("utf-8", "backslashreplace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            signature = parse_signature(text.removeprefix("!"))
            why = None if text.startswith("!") else objection(signature)
        except TargetError as error:
            why = str(error)
        else:
            if why is None:
                found[signature] = None
                continue
            why = f"{signature}: {why}; begin the line with ! if it is meant"
        refused.append(f"{path}:{number}: {why}")
    if len(found) > MOST:
        raise ConfigError(f"{path} holds {len(found)} signatures: at most {MOST} are heeded")
    if len(refused) > _MOST_TOLD:
        refused[_MOST_TOLD:] = [f"{path}: {len(refused) - _MOST_TOLD} more lines are refused"]
    return list(found), refused
