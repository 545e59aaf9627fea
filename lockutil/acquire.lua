-- Takes a lease on a key, or a place in the line of those who wait for it.
--
-- KEYS 1 holders (ZSET token -> end of the lease, ms)   2 waiters (ZSET token -> arrival, us)   3 alive (ZSET token -> counts until, ms)
--      4 about (HASH token -> "<number> <description>")   5 fence (HASH number, server)   6 names (ZSET key -> last use, ms)
-- ARGV 1 token: a mode (w exclusive, r shared, s one of n), a colon and something unique   2 n   3 ttl in ms   4 how long the caller counts as waiting, in
--      ms; 0: it does not wait   5 description   6 the key's name   7 the least number that is new to the database; '?': ask me if you have none; ''
--
-- Returns {1, number, next}  held under that number (next: a waiter that may get in as well, or '')
--         {0, ms}            not held; the earliest lease ends in ms
--         {-1}               the counter is gone (Redis has lost its memory): call again with ARGV 7
--
-- Guarantees: exclusive excludes everybody, shared excludes exclusive, at most n hold a semaphore; whoever came first is served first, and nobody passes a waiter that
-- is alive. The number is above every number that this Redis has given out and above its clock in us; when the server is another one than last time (restart, failover)
-- it jumps a minute ahead, because the last numbers may not have reached this server and its clock may be behind.
local token, mode = ARGV[1], string.sub(ARGV[1], 1, 1)
local t = redis.call('TIME')
local now, micros = t[1] * 1000 + math.floor(t[2] / 1000), t[1] * 1000000 + t[2]

local function keep(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end

local about = redis.call('HGET', KEYS[4], token)
if about and redis.call('ZSCORE', KEYS[1], token) then -- the answer to an earlier call was lost
  return {1, string.match(about, '^%d+'), ''}
end

for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[4], gone)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end

local held = redis.call('ZCARD', KEYS[1])
local ahead = redis.call('ZRANK', KEYS[2], token) or redis.call('ZCARD', KEYS[2])
local free
if mode == 'w' then
  free = held == 0 and ahead == 0
elseif mode == 's' then
  free = held + ahead < tonumber(ARGV[2])
else
  free = held == 0 or string.sub(redis.call('ZRANGE', KEYS[1], 0, 0)[1], 1, 1) == 'r'
  if free and ahead > 0 then
    for _, other in ipairs(redis.call('ZRANGE', KEYS[2], 0, ahead - 1)) do
      if string.sub(other, 1, 1) ~= 'r' then free = false break end
    end
  end
end

if not free then
  local patience = tonumber(ARGV[4])
  if patience > 0 then
    if not redis.call('ZSCORE', KEYS[2], token) then redis.call('ZADD', KEYS[2], string.format('%.0f', micros), token) end
    redis.call('ZADD', KEYS[3], now + patience, token)
    keep(KEYS[2], 10 * patience)
    keep(KEYS[3], 10 * patience)
    redis.call('ZADD', KEYS[6], now, ARGV[6])
  end
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return {0, first[2] and math.max(0, tonumber(first[2]) - now) or 0}
end

local last = redis.call('HGET', KEYS[5], 'number')
if not last and ARGV[7] == '?' then return {-1} end
local number = math.max((tonumber(last) or 0) + 1, micros, (tonumber(ARGV[7]) or 0) + 1)
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
if redis.call('HGET', KEYS[5], 'server') ~= server then
  number = number + 60000000
  redis.call('HSET', KEYS[5], 'server', server)
end
number = string.format('%.0f', number)
redis.call('HSET', KEYS[5], 'number', number)

local ttl = tonumber(ARGV[3])
redis.call('ZREM', KEYS[2], token)
redis.call('ZREM', KEYS[3], token)
redis.call('ZADD', KEYS[1], now + ttl, token)
redis.call('HSET', KEYS[4], token, number .. ' ' .. ARGV[5])
keep(KEYS[1], ttl + 60000)
keep(KEYS[4], ttl + 60000)
redis.call('ZADD', KEYS[6], now, ARGV[6])
return {1, number, mode ~= 'w' and redis.call('ZRANGE', KEYS[2], 0, 0)[1] or ''}
