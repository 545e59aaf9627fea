-- Takes parked messages that are due, in due order, and claims them for a worker, in one step.
--
-- KEYS 1 workers  2 unacked  3 unacked_index  4 claims  5 parked (one queue's due-time set)
-- ARGV 1 worker id  2 first sequence number  3 most messages  4 most bytes  5 size above which only size and tail are returned
--      6 length of the tail ,"","<queue>"]
-- Returns {due time of the next parked message or '', message, message, ...}; large messages as {size, tail}.
-- An entry whose message is gone (a Python worker restored it after the visibility timeout) is forgotten.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return redis.error_reply('LEASELOST worker ' .. ARGV[1] .. ' holds no lease')
end
local first, most, budget, large, tail = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local t = redis.call('TIME')
local now = string.format('%.6f', t[1] + t[2] / 1000000)
local reply, taken, bytes = {''}, 0, 0
for _, tag in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, most)) do
  if bytes >= budget then break end
  redis.call('ZREM', KEYS[5], tag)
  local value = redis.call('HGET', KEYS[2], tag)
  if value then
    local seq = string.format('%.0f', first + taken)
    redis.call('HDEL', KEYS[2], tag)
    redis.call('ZREM', KEYS[3], tag)
    redis.call('HSET', KEYS[2], ARGV[1] .. '/' .. seq, value)
    redis.call('ZADD', KEYS[3], now, ARGV[1] .. '/' .. seq)
    redis.call('SADD', KEYS[4], seq)
    taken = taken + 1
    local message = string.sub(value, 2, -tail - 1)
    bytes = bytes + #message
    if #message > large then
      reply[#reply + 1] = {#message, string.sub(message, -4096)}
    else
      reply[#reply + 1] = message
    end
  end
end
local nextdue = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
if nextdue[2] then reply[1] = nextdue[2] end
return reply
