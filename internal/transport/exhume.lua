-- Takes an entry out of the dead letters, and puts its message on a queue.
-- KEYS 1 dead letters  2 descriptions  3 messages  4 target list ('' = drop)
-- ARGV 1 id
-- Returns 1, or 0 when there is no such entry.
local message = redis.call('HGET', KEYS[3], ARGV[1])
if not message then return 0 end
if KEYS[4] ~= '' then redis.call('LPUSH', KEYS[4], message) end
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
