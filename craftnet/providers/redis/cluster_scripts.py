"""Atomic steps in Redis for the nodes as a cluster, in Lua, as in `craftnet.providers.redis.scripts`."""

REVOKE = b"""
-- keys: revoked, players, stream. arguments: what ended until then is forgotten, most there may be, backlog, then
--   (token, player, issued, until) for each revocation; what is empty is not meant.
-- Answers: how many were taken. Fewer than were given: there is no more room.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 1000)) do
  redis.call('ZREM', KEYS[1], member)
  if string.sub(member, 1, 1) == 'p' then redis.call('HDEL', KEYS[2], string.sub(member, 2)) end
end
for i = 4, #ARGV, 4 do
  local token, player, issued, till = unpack(ARGV, i, i + 3)
  local members, new, news = {}, 0, false
  if token ~= '' then members[#members + 1] = 't' .. token end
  if player ~= '' then members[#members + 1] = 'p' .. player end
  for _, member in ipairs(members) do
    if not redis.call('ZSCORE', KEYS[1], member) then new = new + 1 end
  end
  if new > 0 and redis.call('ZCARD', KEYS[1]) + new > tonumber(ARGV[2]) then return (i - 4) / 4 end
  for _, member in ipairs(members) do
    if redis.call('ZADD', KEYS[1], 'GT', 'CH', till, member) > 0 then news = true end
  end
  if player ~= '' then
    local before = redis.call('HGET', KEYS[2], player)
    if not before or tonumber(before) < tonumber(issued) then
      redis.call('HSET', KEYS[2], player, issued)
      news = true
    end
  end
  if news then
    local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
    local number = newest[1] and tonumber(string.match(newest[1][1], '^%d+')) or 0
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], string.format('%.0f-0', number + 1),
               'token', token, 'player', player, 'issued', issued, 'until', till)
  end
end
return (#ARGV - 3) / 4
"""
"""Entries of the stream are numbered without gaps, so that a reader notices when some were trimmed."""

_LEASED = b"""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not lease or tonumber(lease) <= now then return -1 end
"""
"""All nodes use Redis' clock. An expired name means nothing any more, whatever still arrives under it."""

_BURY = b"""
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))) do
  redis.call('ZREM', KEYS[1], node)
  redis.call('DEL', ARGV[2] .. node)
end
"""

JOIN = (
    b"""
-- key: nodes. arguments: node, what the places' keys begin with, milliseconds, the name that it had before or nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
if ARGV[4] ~= '' then
  redis.call('ZREM', KEYS[1], ARGV[4])
  redis.call('DEL', ARGV[2] .. ARGV[4])
end
"""
    + _BURY
    + b"return 1"
)

RENEW = (
    b"-- key: nodes. arguments: node, what the places' keys begin with, milliseconds. Answers: 1; -1 when it lapsed."
    + _LEASED
    + b"""
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', ARGV[2] .. ARGV[1], 2 * ARGV[3])
"""
    + _BURY
    + b"return 1"
)

ENTER = (
    b"""-- key: nodes. arguments: node, what the places' keys begin with, milliseconds, player, places here with the new
--   one, limit.
-- Answers: 1; 0 when there would be too many; -1 when the node lapsed."""
    + _LEASED
    + b"""
local number = tonumber(ARGV[5])
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')) do
  if node ~= ARGV[1] then number = number + tonumber(redis.call('HGET', ARGV[2] .. node, ARGV[4]) or '0') end
end
if number > tonumber(ARGV[6]) then return 0 end
redis.call('HSET', ARGV[2] .. ARGV[1], ARGV[4], ARGV[5])
redis.call('PEXPIRE', ARGV[2] .. ARGV[1], 2 * ARGV[3])
return 1
"""
)

REPORT = (
    b"""-- key: nodes. arguments: node, what the places' keys begin with, milliseconds, then (player, places here) each.
-- Answers: 1; -1 when the node lapsed."""
    + _LEASED
    + b"""
for i = 4, #ARGV, 2 do
  if ARGV[i + 1] == '0' then
    redis.call('HDEL', ARGV[2] .. ARGV[1], ARGV[i])
  else
    redis.call('HSET', ARGV[2] .. ARGV[1], ARGV[i], ARGV[i + 1])
  end
end
redis.call('PEXPIRE', ARGV[2] .. ARGV[1], 2 * ARGV[3])
return 1
"""
)
"""Numbers are absolute: repeating them, also after a lost answer, does no harm."""

ANNOUNCE = b"""
-- keys: entries, their expiries. args: node, milliseconds, entry or nothing. Answers: node, entry, node, ...
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))) do
  redis.call('ZREM', KEYS[2], node)
  redis.call('HDEL', KEYS[1], node)
end
return redis.call('HGETALL', KEYS[1])
"""

READ_DEVICES = b"""
-- key: a player's devices. argument: milliseconds until they are forgotten. Answers: their version, their state.
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return {redis.call('HGET', KEYS[1], 'version') or '', redis.call('HGET', KEYS[1], 'state') or ''}
"""

WRITE_DEVICES = b"""
-- key: as above. arguments: the version that was read, the new version, the new state, milliseconds as above.
-- Answers: 1; 0 when there is another version by now.
if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'state', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""

KEEP_LEARNED = b"""
-- keys: learned. arguments: the two numbers of a stream position, the state of the model at that position.
-- Answers: 1 if it is kept, 0 if what another node has kept reaches as far.
local ms, number = string.match(redis.call('HGET', KEYS[1], 'position') or '0-0', '^(%d+)-(%d+)$')
local new_ms, new_number = tonumber(ARGV[1]), tonumber(ARGV[2])
ms, number = tonumber(ms or 0), tonumber(number or 0)
if new_ms < ms or (new_ms == ms and new_number <= number) then return 0 end
redis.call('HSET', KEYS[1], 'position', ARGV[1] .. '-' .. ARGV[2], 'learned', ARGV[3])
return 1
"""
