"""The Lua that runs inside Redis: what must be read and written in one step.

Every key a script touches is in KEYS, so Redis Cluster can place it (all our
keys share one hash tag there). Each script checks types before its first
write: a key of a wrong type then changes nothing at all.
"""

from __future__ import annotations

from typing import Final

_CHECK: Final = """
local function is(key, wanted)
  local kind = redis.call('TYPE', key).ok
  return kind == wanted or kind == 'none'
end
local function demand(key, wanted)
  if not is(key, wanted) then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is no ' .. wanted)
  end
end
"""

ADD: Final = (
    _CHECK
    + """
-- KEYS: zset, facts, changes, then the zsets that these members must leave
-- ARGV: stream length, '1' to hint every member, the suffixes of the zset and of those to leave,
-- then member, score, facts ...
local wrong = demand(KEYS[1], 'zset') or demand(KEYS[2], 'hash') or demand(KEYS[3], 'stream')
for k = 4, #KEYS do wrong = wrong or demand(KEYS[k], 'zset') end
if wrong then return wrong end
local function hint(suffix, member)
  if ARGV[2] == '1' then
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[1], '*', 'key', suffix, 'target', member)
  end
end
for i = #KEYS + 1, #ARGV, 3 do
  local member = ARGV[i]
  redis.call('ZADD', KEYS[1], ARGV[i + 1], member)
  hint(ARGV[3], member)
  for k = 4, #KEYS do
    if redis.call('ZREM', KEYS[k], member) == 1 then hint(ARGV[k], member) end
  end
  if ARGV[i + 2] ~= '' then
    redis.call('HSET', KEYS[2], member, ARGV[i + 2])
  else
    redis.call('HDEL', KEYS[2], member)
  end
end
return redis.status_reply('OK')
"""
)

REMOVE: Final = (
    _CHECK
    + """
-- KEYS: changes, then groups of n zsets and their facts
-- ARGV: stream length, n, number of members, the members, then each zset's suffix, in order
-- Returns, flat: index of the zset (from 0, facts not counted), member, score, facts ('' if none)
local removed = {}
local n, members = tonumber(ARGV[2]), tonumber(ARGV[3])
local hints = is(KEYS[1], 'stream')
local zset = 0
for first = 2, #KEYS, n + 1 do
  local facts = is(KEYS[first + n], 'hash')
  for key = first, first + n - 1 do
    if is(KEYS[key], 'zset') then
      for m = 4, members + 3 do
        local score = redis.call('ZSCORE', KEYS[key], ARGV[m])
        if score then
          redis.call('ZREM', KEYS[key], ARGV[m])
          removed[#removed + 1] = zset
          removed[#removed + 1] = ARGV[m]
          removed[#removed + 1] = score
          removed[#removed + 1] = facts and redis.call('HGET', KEYS[first + n], ARGV[m]) or ''
          if hints then
            redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*',
              'key', ARGV[members + 4 + zset], 'target', ARGV[m])
          end
        end
      end
    end
    zset = zset + 1
  end
  if facts then
    for m = 4, members + 3 do redis.call('HDEL', KEYS[first + n], ARGV[m]) end
  end
end
return removed
"""
)

PURGE: Final = (
    _CHECK
    + """
-- KEYS: zset, facts, changes, then the other zsets that share those facts
-- ARGV: now, how many at most, stream length, suffix of the zset. Returns how many went.
-- One step: an extension comes either before (then it is not expired) or after (then it is new).
if not is(KEYS[1], 'zset') then return 0 end
local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local facts = is(KEYS[2], 'hash')
for _, member in ipairs(expired) do
  redis.call('ZREM', KEYS[1], member)
  local held = false
  for k = 4, #KEYS do
    if is(KEYS[k], 'zset') and redis.call('ZSCORE', KEYS[k], member) then held = true end
  end
  if facts and not held then redis.call('HDEL', KEYS[2], member) end
end
if #expired > 0 and is(KEYS[3], 'stream') then
  -- Without a target: housekeeping, nothing to look at.
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'key', ARGV[4], 'target', '')
end
return #expired
"""
)

SCORES: Final = """
-- KEYS: zset. ARGV: members. Returns the scores, false for what is not there; nothing at all
-- if the key is no sorted set.
local scores = {}
for i, member in ipairs(ARGV) do
  local score = redis.pcall('ZSCORE', KEYS[1], member)
  if type(score) == 'table' then return {} end
  scores[i] = score
end
return scores
"""

COUNT: Final = """
-- KEYS: counters. ARGV: a token of this batch, then target, packets, bytes ...
-- The token makes a repeated batch (its answer was lost) count once.
if redis.call('HGET', KEYS[1], '') == ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], '', ARGV[1])
for i = 2, #ARGV, 3 do
  local packets, bytes = 0, 0
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  if held then
    local p, b = string.match(held, '^(%d+) (%d+)$')
    packets, bytes = tonumber(p or 0), tonumber(b or 0)
  end
  redis.call('HSET', KEYS[1], ARGV[i], string.format('%.0f %.0f',
    packets + tonumber(ARGV[i + 1]), bytes + tonumber(ARGV[i + 2])))
end
return 1
"""

META: Final = """
-- KEYS: meta. ARGV: version, instance, created. Writes them if there is none.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'version', ARGV[1], 'instance', ARGV[2], 'created', ARGV[3])
end
return 1
"""

_TRIM: Final = """
-- What is too old, and what is too many, goes from a zset and the hash beside it, some at a time.
local function forget(members)
  for _, member in ipairs(members) do
    redis.call('ZREM', KEYS[1], member)
    redis.call('HDEL', KEYS[2], member)
  end
end
forget(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[4]))
local excess = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[2])
if excess > 0 then
  forget(redis.call('ZRANGE', KEYS[1], 0, math.min(excess, tonumber(ARGV[4])) - 1))
end
for k = 1, 2 do redis.call('PEXPIRE', KEYS[k], ARGV[3]) end
return redis.status_reply('OK')
"""

KEEP: Final = (
    _CHECK
    + """
-- KEYS: zset, hash. ARGV: forget what is older than this, how many to hold, time to live in
-- ms, how many to forget at a time, then key, time ('': delete it), data ('': none) ...
local wrong = demand(KEYS[1], 'zset') or demand(KEYS[2], 'hash')
if wrong then return wrong end
for i = 5, #ARGV, 3 do
  local key, time, data = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local held = redis.call('ZSCORE', KEYS[1], key)
  if time == '' then
    redis.call('ZREM', KEYS[1], key)
    redis.call('HDEL', KEYS[2], key)
  elseif not held or tonumber(held) <= tonumber(time) then
    redis.call('ZADD', KEYS[1], time, key)
    if data ~= '' then redis.call('HSET', KEYS[2], key, data) end
  end
end
"""
    + _TRIM
)

NUMBERS: Final = (
    _CHECK
    + """
-- KEYS: zset, facts. ARGV: forget what was seen before this, how many to hold, time to live in
-- ms, how many to forget at a time, then number, last seen, facts ... The first facts stay.
local wrong = demand(KEYS[1], 'zset') or demand(KEYS[2], 'hash')
if wrong then return wrong end
for i = 5, #ARGV, 3 do
  local held = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if not held or tonumber(held) < tonumber(ARGV[i + 1]) then
    redis.call('ZADD', KEYS[1], ARGV[i + 1], ARGV[i])
  end
  redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 2])
end
"""
    + _TRIM
)
