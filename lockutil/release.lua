-- Gives up a lease, or a place in the line; of others nothing is touched.
-- KEYS 1 holders  2 waiters  3 alive  4 about   ARGV 1 token
-- Returns {1 when it was held, the token of the waiter that is next or ''}.
local held = redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
local t = redis.call('TIME')
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', t[1] * 1000 + math.floor(t[2] / 1000))) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
return {held, redis.call('ZRANGE', KEYS[2], 0, 0)[1] or ''}
