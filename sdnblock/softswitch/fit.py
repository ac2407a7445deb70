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
from sdnblock.softswitch.schema import ActionRef, Schema

_SHOWN: Final = 5


def check_fit(given: Schema, ours: Schema) -> None:
    """Raises Refusal INVALID_ARGUMENT that names what is missing, unknown or different."""
    found = list(_differences(given, ours))
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise invalid(f"the P4Info does not fit this switch: {'; '.join(found[:_SHOWN])}{more}")


def _differences(given: Schema, ours: Schema) -> Iterator[str]:
    for kind, member in (
        ("action", "actions"),
        ("table", "tables"),
        ("counter", "counters"),
        ("meter", "meters"),
        ("direct counter", "direct_counters"),
        ("digest", "digests"),
        ("packet_in field", "packet_in"),
    ):
        yield from _members(kind, getattr(given, member), getattr(ours, member))


def _members(kind: str, given: Mapping[Any, Any], ours: Mapping[Any, Any]) -> Iterator[str]:
    for key in ours:
        name = _name(kind, key, ours[key])
        if key not in given:
            yield f"{name} is missing"
        else:
            yield from _compare(name, given[key], ours[key])
    for key in given:
        if key not in ours:
            yield f"{_name(kind, key, given[key])} is unknown here"


def _compare(where: str, given: Any, ours: Any) -> Iterator[str]:
    if given == ours:
        return
    if isinstance(ours, ActionRef):  # the action itself is compared by itself
        if (given.in_entries, given.as_default) != (ours.in_entries, ours.as_default):
            yield f"{where} has another scope"
    elif is_dataclass(ours):
        for field in fields(ours):
            mine, theirs = getattr(ours, field.name), getattr(given, field.name)
            yield from _compare(f"{where}: {field.name}", theirs, mine)
    elif isinstance(ours, Mapping):
        for text in _members("action", given, ours):
            yield f"{where}: {text}"
    elif isinstance(ours, tuple) and len(given) == len(ours):
        for number, (theirs, mine) in enumerate(zip(given, ours, strict=True), start=1):
            yield from _compare(f"{where} {number}", theirs, mine)
    elif isinstance(ours, tuple):
        yield f"{where}: {len(given)} where this switch has {len(ours)}"
    else:
        yield f"{where} is {given!r:.80} where this switch has {ours!r:.80}"


def _name(kind: str, key: Any, value: Any) -> str:
    named = value.action if isinstance(value, ActionRef) else value
    number = f"{key:#010x}" if isinstance(key, int) else repr(key)
    return f"{kind} {getattr(named, 'name', named)!r} ({number})"
