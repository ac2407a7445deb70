"""Whether a P4Info fits the one program that this switch runs.

The tables are compiled into the BPF program, so the P4Info that a client sets
must describe the same objects: same names, ids, widths and sizes. What it says
beyond that (registers, documentation, annotations) does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from sdnblock.softswitch.refusal import invalid
from sdnblock.softswitch.schema import Schema

_SHOWN: Final = 5


def check_fit(given: Schema, ours: Schema) -> None:
    """Raises Refusal INVALID_ARGUMENT that names what is missing, unknown or different."""
    found = list(_differences(given, ours))
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise invalid(f"the P4Info does not fit this switch: {'; '.join(found[:_SHOWN])}{more}")


def _differences(given: Schema, ours: Schema) -> Iterator[str]:
    for kind, member in (
        ("table", "tables"),
        ("action", "actions"),
        ("counter", "counters"),
        ("meter", "meters"),
        ("direct counter", "direct_counters"),
        ("digest", "digests"),
        ("packet_in field", "packet_in"),
    ):
        yield from _compare(kind, getattr(given, member), getattr(ours, member))


def _compare(kind: str, given: Mapping[Any, Any], ours: Mapping[Any, Any]) -> Iterator[str]:
    for key in ours:
        if key not in given:
            yield f"{_name(kind, key, ours[key])} is missing"
        elif given[key] != ours[key]:
            what = ", ".join(_different(given[key], ours[key]))
            yield f"{_name(kind, key, ours[key])} differs: {what}"
    for key in given:
        if key not in ours:
            yield f"{_name(kind, key, given[key])} is unknown"


def _name(kind: str, key: Any, value: Any) -> str:
    number = f"{key:#010x}" if isinstance(key, int) else repr(key)
    return f"{kind} {getattr(value, 'name', value)!r} ({number})"


def _different(given: Any, ours: Any) -> Iterator[str]:
    if not is_dataclass(ours) or type(given) is not type(ours):
        yield f"{given!r} where this switch has {ours!r}"
        return
    for field in fields(ours):
        theirs, mine = getattr(given, field.name), getattr(ours, field.name)
        if theirs != mine:
            yield f"{field.name} {_short(theirs)} where this switch has {_short(mine)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
