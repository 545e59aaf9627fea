-- Puts claims back at the head of their queues, each only if it still stands.
--
-- KEYS 1 unacked  2 unacked_index  3 claims of the worker that is restored  4 its started set  5.. target list of each message
-- ARGV for each message: tag, sequence number ('' when the tag is not a Lovage worker's), message
-- Returns how many were put back. The message is the caller's edited copy (redelivered, deliveries counted): cjson would lose
-- digits and empty lists, so no script rewrites JSON.
local restored = 0
for i = 5, #KEYS do
  local a = 3 * (i - 5)
  local tag, seq, message = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
  if redis.call('HDEL', KEYS[1], tag) == 1 then
    redis.call('RPUSH', KEYS[i], message)
    restored = restored + 1
  end
  redis.call('ZREM', KEYS[2], tag)
  if seq ~= '' then
    redis.call('SREM', KEYS[3], seq)
    redis.call('SREM', KEYS[4], seq)
  end
end
return restored
