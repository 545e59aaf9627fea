-- Fences a worker whose lease has lapsed: from here on it can claim nothing, and its claims may be restored.
--
-- KEYS 1 workers  2 fenced
-- ARGV 1 worker id
-- Returns 1 when the worker is fenced (now or before), 0 when its lease stands or it is unknown.
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 1 end
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not lease or tonumber(lease) > now then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], string.format('%.6f', now), ARGV[1])
return 1
