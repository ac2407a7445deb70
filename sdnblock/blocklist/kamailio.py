"""Kamailio's lists of events in Redis: taken by one controller at a time, each once.

Kamailio pushes the Call-ID of each request at the head of ``rate_events`` and ``events`` and
keeps the event itself, for ten seconds, in the hash ``event:<Call-ID>``. Whoever holds the
lease ``events:reader`` reads at the tails; what it has taken is removed only when it asks for
more, so that a controller that dies loses nothing: the next one reads it again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from sdnblock.blocklist.link import Link, Value

LEASE: Final = 3.0
"""Seconds after which another controller may read if the present one does not come back."""
BATCH: Final = 250
"""Events of each list that are taken at a time."""
MOST: Final = 20_000
"""Longer lists lose their oldest: what is older than ten seconds is gone anyway."""
_LONGEST: Final = 1024

_TAKE: Final = """
-- KEYS: lease, events, rate_events
-- ARGV: token, number of this call, lease in ms, batch, most, prefix of the hashes,
-- taken last time of events and of rate_events, longest value, then fields
local holder = redis.call('GET', KEYS[1])
local last = -1
if holder then
  local token, number = string.match(holder, '^(%S+) (%d+)$')
  if token ~= ARGV[1] then return {0} end
  last = tonumber(number)
end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
local batch, most, longest = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[9])
local fields = {}
for i = 10, #ARGV do fields[#fields + 1] = ARGV[i] end
local answer = {1}
for k = 2, 3 do
  -- What was taken goes now, unless this call is a repetition, or others have read meanwhile.
  local taken = tonumber(ARGV[5 + k])
  if taken > 0 and last == tonumber(ARGV[2]) - 1 then
    redis.call('LTRIM', KEYS[k], 0, -1 - taken)
  end
  local lost = redis.call('LLEN', KEYS[k]) - most
  if lost > 0 then redis.call('LTRIM', KEYS[k], 0, most - 1) else lost = 0 end
  local found = {}
  local ids = redis.call('LRANGE', KEYS[k], -batch, -1)
  for i = #ids, 1, -1 do
    local values = redis.pcall('HMGET', ARGV[6] .. ids[i], unpack(fields))
    if values.err then values = {} end
    for j = 1, #fields do
      values[j] = values[j] and string.sub(values[j], 1, longest) or false
    end
    found[#found + 1] = {string.sub(ids[i], 1, longest), values}
  end
  answer[#answer + 1] = lost
  answer[#answer + 1] = found
end
return answer
"""

Event = tuple[bytes, list[bytes | None]]
"""Call-ID, and the values of the fields: all None if the hash has expired."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The oldest of both lists, oldest first. ``lost``: cut off unread since the last time."""

    events: list[Event]
    rates: list[Event]
    lost: int

    @property
    def full(self) -> bool:
        """Whether more is waiting."""
        return len(self.events) == BATCH or len(self.rates) == BATCH


class KamailioLists:
    """The lists under one prefix; ``fields`` of each event's hash are read.

    Everything raises BlockListError.
    """

    def __init__(self, redis: Redis, place: str, prefix: str, fields: Sequence[str]) -> None:
        self._link = Link(redis, place)
        self._fields = fields
        self._keys = [f"{prefix}{name}" for name in ("events:reader", "events", "rate_events")]
        self._hashes = f"{prefix}event:"
        self._token = secrets.token_hex(8)
        self._number = 0
        self._taken = (0, 0)

    async def take(self) -> Batch | None:
        """What has come since the last time; that, and no earlier, is removed by this call.

        None: another controller reads. A call that failed may be repeated.
        """
        number = self._number + 1
        words: list[Value] = [self._token, number, int(LEASE * 1000), BATCH, MOST, self._hashes]
        words += [*self._taken, _LONGEST, *self._fields]
        answer = await self._link.run(_TAKE, self._keys, words)
        self._number = number
        if not answer[0]:
            self._taken = (0, 0)
            return None
        _, lost, events, lost_rates, rates = answer
        self._taken = (len(events), len(rates))
        return Batch(
            [(each[0], each[1]) for each in events],
            [(each[0], each[1]) for each in rates],
            int(lost) + int(lost_rates),
        )
