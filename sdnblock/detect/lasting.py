"""Calls that last, of remotes that our servers ask no credential of: trunks known by address.

One call proves little: a public number answers anybody. Three calls of ten seconds or more, the
first of them an hour ago, earn credit as a credential does. Each must be acknowledged with our
To tag and ended with it, so none can be forged.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.events import SipSeen

LEAST_SECONDS: Final = 10.0
LEAST_CALLS: Final = 3
LEAST_SINCE: Final = 3600.0
"""Seconds since the first of them."""

_DAY: Final = 86400.0
_CALLS: Final = 50_000
_SITES: Final = 50_000


@dataclass(slots=True)
class _Call:
    answered: float
    to_tag: str


class LastingCalls:
    """Calls under way that were proven, and how many have lasted, by site."""

    def __init__(self) -> None:
        self._calls: OrderedDict[tuple[bytes, str], _Call] = OrderedDict()
        self._lasted: OrderedDict[bytes, list[float]] = OrderedDict()

    def answered(self, outcome: Outcome) -> None:
        """A call of a remote was taken, and that acknowledged."""
        if outcome.method != "INVITE" or not outcome.accepted or not outcome.proven:
            return
        key = (outcome.remote, outcome.asked.call_id)
        if not outcome.asked.in_dialog and key not in self._calls:
            self._calls[key] = _Call(outcome.time, outcome.to_tag)
            if len(self._calls) > _CALLS:
                self._calls.popitem(last=False)

    def ended(self, bye: SipSeen, remote: bytes) -> bool:
        """A BYE of the remote, or to it; whether its calls earn credit now."""
        message = bye.message
        key = (remote, message.call_id)
        call = self._calls.get(key)
        if call is None or (call.to_tag != message.to_tag and call.to_tag != message.from_tag):
            return False
        del self._calls[key]
        if not LEAST_SECONDS <= bye.time - call.answered <= _DAY:
            return False
        return self._count(site_of(remote), bye.time)

    def _count(self, site: bytes, now: float) -> bool:
        lasted = self._lasted.setdefault(site, [])
        self._lasted.move_to_end(site)
        if len(self._lasted) > _SITES:
            self._lasted.popitem(last=False)
        while lasted and now - lasted[0] > _DAY:
            del lasted[0]
        if len(lasted) >= LEAST_CALLS:
            del lasted[1]  # the first says since when, the others how many
        lasted.append(now)
        return len(lasted) >= LEAST_CALLS and now - lasted[0] >= LEAST_SINCE
