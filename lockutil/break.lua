-- Takes a lock away from whoever holds it. Those who wait keep their places.
-- KEYS 1 holders  2 waiters  3 about   ARGV 1 the token to take it from, or '' for all
-- Returns {tokens taken, the token of the waiter that is next or ''}. The holders learn of it when they renew; until then only the number stops them.
local taken = {}
for _, token in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if ARGV[1] == '' or ARGV[1] == token then
    redis.call('ZREM', KEYS[1], token)
    redis.call('HDEL', KEYS[3], token)
    taken[#taken + 1] = token
  end
end
return {taken, redis.call('ZRANGE', KEYS[2], 0, 0)[1] or ''}
