-- Lifts the counter of numbers to what the database has seen, so that the next number is above it.
-- KEYS 1 fence   ARGV 1 the number
-- Returns 1 when the counter was below it.
local last = tonumber(redis.call('HGET', KEYS[1], 'number') or 0)
if last >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'number', ARGV[1])
return 1
