"""What was seen of one source: bounded, and as plain values for people and programs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from sdnblock.detect.kept import packed_count, packed_text, packed_time
from sdnblock.detect.kind import Kind
from sdnblock.detect.site import parse_site, site_text

LIFETIME: Final = 2592000.0
"""Seconds for which a story is kept after something was last seen of the source."""

_USERS: Final = 24
_AGENTS: Final = 6
_COUNTED: Final = 24
"""Different methods, and different answers, that are counted."""
_FINDINGS: Final = 16
_DECISIONS: Final = 8
_LONGEST: Final = 48
_REASON: Final = 240
_ROW: Final = (
    "source", "target", "action", "grade", "detector", "reason", "first_seen", "decided_at",
    "packets_before",
)  # fmt: skip

Row = dict[str, Any]


@dataclass(slots=True)
class Story:
    """Of one source. Times are Unix seconds."""

    first: float
    last: float
    messages: int = 0
    """SIP messages that it sent, as often as they were seen."""
    methods: dict[str, int] = field(default_factory=dict)
    """Its new requests by method."""
    answers: dict[str, int] = field(default_factory=dict)
    """Our final answers by status."""
    users: dict[str, int] = field(default_factory=dict)
    """Whom it asked for, and how often; the latest at the end."""
    agents: dict[str, int] = field(default_factory=dict)
    findings: list[Row] = field(default_factory=list)
    decisions: list[Row] = field(default_factory=list)

    def count_user(self, user: str) -> None:
        """It asked for somebody."""
        _latest(self.users, user[:_LONGEST], _USERS)

    def count_agent(self, agent: str) -> None:
        """It called itself so."""
        _latest(self.agents, agent[:_LONGEST], _AGENTS)

    def found(self, time: float, detector: str, grade: str, reason: str, what: str) -> None:
        """A detector found something; the same again is counted."""
        if self.findings and self.findings[-1]["detector"] == detector:
            last = self.findings[-1]
            if last["result"] == what and time - last["time"] < 3600.0:
                last.update(times=last["times"] + 1, last=time, reason=reason[:_REASON])
                return
        self.findings.append(
            {
                "time": time, "last": time, "times": 1, "detector": detector, "grade": grade,
                "reason": reason[:_REASON], "result": what,
            }
        )  # fmt: skip
        del self.findings[:-_FINDINGS]

    def decided(self, row: Row, until: float, enforced: bool) -> None:
        """A block was decided; while it lasts the same again only prolongs it."""
        for last in self.decisions:
            same = all(last[key] == row[key] for key in ("target", "action", "detector"))
            if same and last["until"] > row["decided_at"]:
                last["until"] = max(last["until"], until)
                return
        reason = str(row["reason"])[:_REASON]
        self.decisions.append({**row, "reason": reason, "until": until, "enforced": enforced})
        del self.decisions[:-_DECISIONS]

    def as_row(self) -> Row:
        """Plain values."""
        return {
            "first_seen": self.first, "last_seen": self.last, "messages": self.messages,
            "requests": self.methods, "answers": self.answers, "users": self.users,
            "user_agents": self.agents, "findings": self.findings, "decisions": self.decisions,
        }  # fmt: skip


def count(counts: dict[str, int], name: str) -> None:
    """One more of ``name``, if there is room for it."""
    if name in counts or len(counts) < _COUNTED:
        counts[name] = counts.get(name, 0) + 1


def unpack_story(time: float, packed: Any) -> Story:
    """:meth:`Story.as_row` back, from outside. Raises ValueError."""
    if not isinstance(packed, dict):
        raise ValueError("not a story")
    try:
        return Story(
            min(packed_time(packed["first_seen"]), time), time, packed_count(packed["messages"]),
            _counts(packed["requests"], _COUNTED), _counts(packed["answers"], _COUNTED),
            _counts(packed["users"], _USERS), _counts(packed["user_agents"], _AGENTS),
            [_finding(each) for each in packed["findings"][-_FINDINGS:]],
            [_decision(each) for each in packed["decisions"][-_DECISIONS:]],
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a story: {error}") from None


def _latest(counts: dict[str, int], name: str, most: int) -> None:
    counts[name] = counts.pop(name, 0) + 1
    if len(counts) > most:
        del counts[next(iter(counts))]


def _counts(value: Any, most: int) -> dict[str, int]:
    items = list(value.items())[-most:]
    return {packed_text(name, _LONGEST): packed_count(number) for name, number in items}


def _finding(value: Any) -> Row:
    return {
        "time": packed_time(value["time"]), "last": packed_time(value["last"]),
        "times": packed_count(value["times"]), "detector": packed_text(value["detector"], 64),
        "grade": packed_text(value["grade"], 16), "reason": packed_text(value["reason"], _REASON),
        "result": packed_text(value["result"], 64),
    }  # fmt: skip


def _decision(value: Any) -> Row:
    row: Row = {}
    for name in _ROW:
        if name in ("first_seen", "decided_at"):
            row[name] = packed_time(value[name])
        elif name == "packets_before":
            row[name] = packed_count(value[name])
        else:
            row[name] = packed_text(value[name], _REASON)
    until = packed_time(value["until"])
    return {**row, "until": min(until, math.inf), "enforced": bool(value["enforced"])}


KIND: Final[Kind[bytes, Story]] = Kind(
    name="story",
    lifetime=LIFETIME,
    most=5_000,
    key_text=site_text,
    parse_key=parse_site,
    time=lambda story: story.last,
    pack=Story.as_row,
    unpack=unpack_story,
    firm=lambda story: any(each["grade"] == "proven" for each in story.decisions),
)
