-- Pushes a message unless one of its id was pushed before.
-- KEYS 1 mark  2 list   ARGV 1 message  2 how long the mark is kept, ms
-- Returns 1 when it was pushed now.
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[2]) then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[1])
return 1
