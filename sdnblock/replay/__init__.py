"""A capture through the detectors, on its own clock: what would have been blocked, and when."""

from __future__ import annotations

from sdnblock.replay.judged import replay
from sdnblock.replay.messages import read_events

__all__ = ["read_events", "replay"]
