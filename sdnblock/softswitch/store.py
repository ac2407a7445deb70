"""The pipeline config that is in force, kept for the next switchd that takes it over.

The kernel keeps program and tables; P4Info and cookie live in a file beside a
name for the program they belong to. A file that belongs to another program, or
is damaged, counts as none.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from finsy.proto import p4r
from google.protobuf.message import DecodeError

_log = logging.getLogger(__name__)


class ConfigStore:
    """One device's file, ``pipeline`` in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "pipeline"

    def save(self, identity: str, config: p4r.ForwardingPipelineConfig) -> None:
        """Replace the file in one step. A failure is logged: only taking over needs it."""
        temporary = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(identity.encode() + b"\n" + config.SerializeToString())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            _log.warning(
                "cannot keep the pipeline config in %s (%s): after a restart clients must set it"
                " again",
                self._path,
                error.strerror,
            )

    def load(self, identity: str) -> p4r.ForwardingPipelineConfig | None:
        """The config of the program ``identity``; None if it is not known."""
        try:
            stored, _, packed = self._path.read_bytes().partition(b"\n")
        except OSError:
            return None
        if stored != identity.encode():
            return None
        try:
            return p4r.ForwardingPipelineConfig.FromString(packed)
        except DecodeError:
            return None

    def forget(self) -> None:
        """Nothing is in force any more."""
        with contextlib.suppress(OSError):
            self._path.unlink()
