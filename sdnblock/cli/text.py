"""Values as text for people: safe, short, and with times both absolute and relative."""

from __future__ import annotations

import math
import unicodedata
from datetime import datetime
from typing import Final

_DAY: Final = 86400
_FAR: Final = 100 * 366 * _DAY
"""Seconds beyond which a time is not worth a date: a hundred years."""


def printable(text: str) -> str:
    """``text`` without anything that could steer a terminal or break a line.

    Control and format characters (escape sequences, newlines, right-to-left overrides)
    and lone surrogates are shown as escapes.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def width(text: str) -> int:
    """Columns that printable text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_columns(c) for c in text)


def cut(text: str, room: int) -> str:
    """``text`` in at most ``room`` columns, its end replaced by an ellipsis if need be."""
    if width(text) <= room:
        return text
    kept, used = [], 0
    for letter in text:
        used += _columns(letter)
        if used > room - 1:
            break
        kept.append(letter)
    return "".join(kept) + "…" if room > 0 else ""


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def duration(seconds: float) -> str:
    """About how long: ``45s``, ``12m``, ``3h 20m``, ``2d 4h``."""
    whole = round(abs(seconds))
    for unit, size, finer, fine in (("d", _DAY, "h", 3600), ("h", 3600, "m", 60)):
        if whole >= size - fine / 2:
            units, rest = divmod(round(whole / fine), size // fine)
            return f"{units}{unit} {rest}{finer}" if rest else f"{units}{unit}"
    return f"{whole // 60}m" if whole >= 60 else f"{whole}s"


def moment(time: float, now: float) -> str:
    """Unix seconds as local time and how far away that is."""
    if not math.isfinite(time) or abs(time - now) > _FAR:
        return "never" if time > now else "long ago"
    stamp = datetime.fromtimestamp(time).isoformat(" ", "seconds")
    if time >= now:
        return f"{stamp} (in {duration(time - now)})"
    return f"{stamp} ({duration(now - time)} ago)"


def until(expires: float, now: float) -> str:
    """An expiry as the end of a sentence: ``for ever`` or ``until ... (in 4h)``."""
    text = moment(expires, now)
    return "for ever" if text == "never" else f"until {text}"


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 block``, ``1,234 blocks``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(number: int) -> str:
    """Bytes in a handy unit: ``980 B``, ``1.4 MB``."""
    if number < 1000:
        return f"{number} B"
    value = float(number)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.5 or unit == "PB":
            break
    return f"{value:.1f} {unit}"
