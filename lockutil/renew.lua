-- Extends a lease that is still held. One that has run out and that nobody has taken since is still held.
-- KEYS 1 holders  2 about   ARGV 1 token  2 ttl in ms
-- Returns 1, or 0 when it is not held any more.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local t = redis.call('TIME')
local now, ttl = t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now + ttl, ARGV[1])
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < ttl + 60000 then redis.call('PEXPIRE', key, ttl + 60000) end
end
return 1
