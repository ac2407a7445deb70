"""The facts beside a block, as JSON: written by anyone, so never trusted."""

from __future__ import annotations

import json
import math
from typing import Any, Final

MAX_FACTS: Final = 4096
"""Bytes of JSON that are read or written for one target; longer facts are ignored."""

MAX_REASON: Final = 500
"""Letters of a reason that are kept."""


def write_facts(reason: str, since: float | None, force: bool | None = None) -> bytes:
    """Facts of one claim, allowlist entry or signature; empty when there are none."""
    facts: dict[str, Any] = {} if force is None else {"force": force}
    if reason:
        facts["reason"] = reason[:MAX_REASON]
    if since is not None and math.isfinite(since):
        facts["since"] = round(since, 3)
    if not facts:
        return b""
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate cannot be UTF-8; JSON can carry it escaped.
    return text.encode("utf-8", "backslashreplace")[:MAX_FACTS]


def read_facts(text: bytes | None) -> tuple[str, float | None]:
    """(reason, since) out of anything; what is malformed, huge or of a wrong type is ignored.

    The reason may still hold any printable text; control characters are escaped.
    """
    if not text or len(text) > MAX_FACTS:
        return "", None
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return "", None
    if not isinstance(facts, dict):
        return "", None
    reason = facts.get("reason", "")
    if not isinstance(reason, str):
        reason = ""
    since = facts.get("since")
    if isinstance(since, bool) or not isinstance(since, (int, float)):
        since = None
    return _safe(reason[:MAX_REASON]), _finite(since)


def _finite(number: float | None) -> float | None:
    try:
        return None if number is None or not math.isfinite(number) else float(number)
    except OverflowError:  # an integer beyond any float
        return None


def _safe(text: str) -> str:
    """Text without control characters, newlines or lone surrogates."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
