"""Atomic steps in Redis, in Lua. A script runs as a whole or, when memory is out, does nothing."""

LOOK = b"""
-- keys: state, floor, stream, numbers, epoch, due. argument: id.
-- Answers: version, state, newest entry of the stream, its newest number, name of the data set, whether it was lost.
local version, state = unpack(redis.call('HMGET', KEYS[1], 'version', 'state'))
local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
local number = redis.call('HGET', KEYS[4], KEYS[3]) or '0'
local lost = not version and redis.pcall('ZSCORE', KEYS[6], ARGV[1])
return {version or redis.call('GET', KEYS[2]) or '0', state, newest[1] and newest[1][1] or '0-0', number,
        redis.call('GET', KEYS[5]) or '', type(lost) == 'string' and 1 or 0}
"""
"""The position is read together with the state, so that nothing is missed between the two.

A thing without a state that is still due for removal was not removed: Redis evicted it, or another program deleted it.
"""

ENDS = b"""
-- keys: epoch, numbers, streams.
-- Answers: name of the data set, then of each stream its newest entry, and the number of its newest change.
local ends = {redis.call('GET', KEYS[1]) or ''}
for i = 3, #KEYS do
  local newest = redis.call('XREVRANGE', KEYS[i], '+', '-', 'COUNT', 1)
  ends[i - 1] = {newest[1] and newest[1][1] or '0-0', redis.call('HGET', KEYS[2], KEYS[i]) or '0'}
end
return ends
"""
"""The two differ when the newest changes were trimmed."""

READ = b"""
-- keys: floor, waiters, due, then for each thing two: state, seen.
-- arguments: for each thing its id, number of events, their ids, number of sessions, their ids.
-- Answers for each thing: version, state, whether each event was seen, what each session waits as, whether it was lost.
local answers, a = {}, 1
for k = 4, #KEYS, 2 do
  local version, state = unpack(redis.call('HMGET', KEYS[k], 'version', 'state'))
  local lost = not version and redis.pcall('ZSCORE', KEYS[3], ARGV[a])
  local known, holders = {}, {}
  a = a + 1
  for i = 1, tonumber(ARGV[a]) do
    known[i] = redis.call('ZSCORE', KEYS[k + 1], ARGV[a + i]) and 1 or 0
  end
  a = a + 1 + #known
  for i = 1, tonumber(ARGV[a]) do
    holders[i] = redis.call('HGET', KEYS[2], ARGV[a + i])
  end
  a = a + 1 + #holders
  answers[#answers + 1] = {version or redis.call('GET', KEYS[1]) or '0', state, known, holders,
                           type(lost) == 'string' and 1 or 0}
end
return answers
"""

COMMIT = b"""
-- keys: epoch, numbers, waiters, then for each part six: state, floor, seen, due, stream, recent changes; where a part
--   changes a player's index of sessions, that as well.
-- arguments: a name for the data set, if it has none, then for each thing the number of its parts, and for each part:
--   how many follow, the version that was read or the octets of the expected state, version now, state, id,
--   when to forget, seconds and number of ids remembered,
--   backlog, kind, seconds and number of changes recalled, entry in the index (when it started, 'over', or nothing),
--   number of changes, (event id, version, change) for each,
--   number of claims, (session, place) for each, sessions that wait no more. A claim without a place is only compared.
-- Answers for each thing: 1, or 0 when another node was faster.
local epoch, numbers, waiters = unpack(KEYS, 1, 3)
local name, taken = redis.call('GET', epoch), {}

local function is_unchanged(k, a)
  local state, floor, seen, due, stream, recent = unpack(KEYS, k, k + 5)
  local expected, at = ARGV[a + 1], a + 14 + 3 * tonumber(ARGV[a + 13])
  if string.sub(expected, 1, 1) == '{' then
    if redis.call('HGET', state, 'state') ~= expected then return false end
    for i = a + 14, at - 1, 3 do
      if redis.call('ZSCORE', seen, ARGV[i]) then return false end
    end
  elseif (redis.call('HGET', state, 'version') or redis.call('GET', floor) or '0') ~= expected then
    return false
  end
  for i = at + 1, at + 2 * tonumber(ARGV[at]), 2 do
    local holder = taken[ARGV[i]] or redis.call('HGET', waiters, ARGV[i])
    if holder and string.sub(holder, 1, 36) ~= ARGV[a + 4] then return false end
    taken[ARGV[i]] = ARGV[i + 1]  -- one session may be claimed by two things of this script.
  end
  -- A key of another type fails before anything is written: these here, the others when they were read.
  redis.call('ZCARD', due)
  redis.call('XLEN', stream)
  redis.call('LLEN', recent)
  if ARGV[a + 12] ~= '' then redis.call('ZCARD', KEYS[k + 6]) end
  return true
end

local function write(k, a)
  local state, floor, seen, due, stream, recent = unpack(KEYS, k, k + 5)
  local recalled = tonumber(ARGV[a + 11])
  local at = a + 14 + 3 * tonumber(ARGV[a + 13])
  local claims = tonumber(ARGV[at])
  redis.call('HSET', state, 'version', ARGV[a + 2], 'state', ARGV[a + 3])
  redis.call('ZADD', due, ARGV[a + 5], ARGV[a + 4])
  for i = a + 14, at - 1, 3 do
    redis.call('ZADD', seen, ARGV[i + 1], ARGV[i])
    local entry = redis.call('XADD', stream, 'MAXLEN', '~', ARGV[a + 8], '*',
                             'kind', ARGV[a + 9], 'id', ARGV[a + 4], 'version', ARGV[i + 1], 'change', ARGV[i + 2],
                             'number', redis.call('HINCRBY', numbers, stream, 1), 'epoch', name)
    if recalled > 0 then redis.call('RPUSH', recent, ARGV[i + 1] .. ' ' .. entry) end
  end
  if recalled > 0 then
    redis.call('LTRIM', recent, -recalled, -1)
    redis.call('EXPIRE', recent, ARGV[a + 10])
  end
  redis.call('ZREMRANGEBYRANK', seen, 0, -1 - tonumber(ARGV[a + 7]))
  redis.call('EXPIRE', seen, ARGV[a + 6])
  for i = at + 1, at + 2 * claims, 2 do
    if ARGV[i + 1] ~= '' then redis.call('HSET', waiters, ARGV[i], ARGV[i + 1]) end
  end
  for i = at + 1 + 2 * claims, a + tonumber(ARGV[a]) do
    redis.call('HDEL', waiters, ARGV[i])
  end
  if ARGV[a + 12] == 'over' then
    redis.call('ZREM', KEYS[k + 6], ARGV[a + 4])
  elseif ARGV[a + 12] ~= '' then
    redis.call('ZADD', KEYS[k + 6], ARGV[a + 12], ARGV[a + 4])
    redis.call('EXPIREAT', KEYS[k + 6], math.ceil(tonumber(ARGV[a + 5])))
  end
end

redis.call('HLEN', numbers)
local written, parts, k, a = {}, {}, 4, 2
while a <= #ARGV do
  local unchanged, last = true, #parts + tonumber(ARGV[a])
  a = a + 1
  for part = #parts + 1, last do
    unchanged = unchanged and is_unchanged(k, a)
    parts[part] = {#written + 1, k, a}
    k, a = k + (ARGV[a + 12] == '' and 6 or 7), a + 1 + tonumber(ARGV[a])
  end
  written[#written + 1] = unchanged and 1 or 0
end
if not name then
  name = ARGV[1]
  redis.call('SET', epoch, name)
end
for _, part in ipairs(parts) do
  if written[part[1]] == 1 then write(part[2], part[3]) end
end
return written
"""
"""Compare and set: of each thing all parts or none, independently of the others.

Unchanged versions mean that nothing was accepted since they were read, and that the seen ids are known. What was not
read is compared as a whole, and none of the ids may have been seen. Each change names its data set: in another one,
versions mean something else.

Everything is compared before anything is written, so that an error leaves everything as it was.
"""

RECALL = b"""
-- keys: recent changes, stream, epoch. argument: version.
-- Answers: name of the data set, then the changes that followed the version, up to the first that is gone.
local following, found = tonumber(ARGV[1]) + 1, {redis.call('GET', KEYS[3]) or ''}
for _, line in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local version, entry = string.match(line, '^(%d+) (.+)$')
  if tonumber(version) >= following then
    local change = redis.call('XRANGE', KEYS[2], entry, entry)[1]
    if tonumber(version) > following or not change then break end
    found[#found + 1] = change[2][8]
    following = following + 1
  end
end
return found
"""

RENAME = b"""
-- key: epoch. arguments: name of the data set that was read, another one. Answers: the name.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
"""
"""Renames a data set whose versions restarted. The first node that notices names it."""

LOST = b"""
-- keys: state, due, stream, recent changes, numbers, epoch. arguments: id, kind, backlog, a new name for the data set.
-- Answers: 1 if it is forgotten now.
if redis.call('EXISTS', KEYS[1]) == 1 or not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[4])
redis.call('SET', KEYS[6], ARGV[4])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'kind', ARGV[2], 'id', ARGV[1], 'version', '0',
           'number', redis.call('HINCRBY', KEYS[5], KEYS[3], 1), 'epoch', ARGV[4])
return 1
"""
"""Removes what Redis lost, and renames the data set: the versions of what was lost may restart."""

FORGET = b"""
-- keys: state, floor, waiters, due, stream, due of the materials, recent changes, numbers.
-- arguments: id, now, kind, backlog.
-- Answers: 1 if it was forgotten.
local due = redis.call('ZSCORE', KEYS[4], ARGV[1])
if not due or tonumber(due) > tonumber(ARGV[2]) then return 0 end
local kept = redis.pcall('HMGET', KEYS[1], 'version', 'state')  -- what is not ours is forgotten like anything else.
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('DEL', KEYS[1], KEYS[7])
if ARGV[3] == 'queue' and tonumber(kept[1]) then
  local floor = tonumber(redis.call('GET', KEYS[2]) or '0')
  if tonumber(kept[1]) > floor then redis.call('SET', KEYS[2], kept[1]) end
  pcall(function ()
    for _, entry in ipairs(cjson.decode(kept[2])['entries'] or {}) do
      if type(entry['session_id']) == 'string' then redis.call('HDEL', KEYS[3], entry['session_id']) end
    end
  end)
end
if ARGV[3] == 'session' then redis.call('ZADD', KEYS[6], 'XX', 0, ARGV[1]) end
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[4], '*', 'kind', ARGV[3], 'id', ARGV[1], 'version', '0',
           'number', redis.call('HINCRBY', KEYS[8], KEYS[5], 1))
return 1
"""
"""Requested by every node; the first one succeeds.

It starts with commands that Redis accepts when memory is out: then it accepts the rest of the script as well.
"""

EPOCH = b"""
-- key: era. Answers: the era's name; nothing where this is no master.
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local replication = redis.call('INFO', 'replication')
local name = string.match(replication, 'master_replid:(%w+)')
if not server or not name or not string.find(replication, 'role:master') then return false end
local known = redis.call('GET', KEYS[1])
if known and string.sub(known, 1, #server) == server then return string.sub(known, #server + 2) end
redis.pcall('SET', KEYS[1], server .. ' ' .. name)
return name
"""
"""A restarted server, or one that follows another one as the master, may lack what was acknowledged last.

Either gives it a new replication id. It may get one without that as well, so the first one is kept if there is room.
"""

LEASE = b"""
-- key: lease. arguments: who wants it, milliseconds. Answers: 1, or 0 when it is another's.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

RELEASE = b"""
-- key: lease. argument: who holds it.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

JOIN = b"""
-- key: stream. argument: group.
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if type(made) == 'table' and made['err'] and not string.find(made['err'], 'BUSYGROUP') then return made end
return 1
"""

DONE = b"""
-- key: stream. arguments: group, entries. What is done does not stay: the stream's length is what is still to do.
redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 2))
return redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
"""
