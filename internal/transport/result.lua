-- Stores and publishes one result on a server of its own (settle.lua does the same inside the settle step).
--
-- KEYS 1 result key
-- ARGV 1 value  2 time to live in ms, 0 = for ever  3 channel
-- Returns 1, or 0 when a stored SUCCESS was kept.
local before = redis.pcall('GET', KEYS[1])
if type(before) == 'string' and string.find(string.sub(before, 1, 64), '"status": *"SUCCESS"') then return 0 end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
redis.call('PUBLISH', ARGV[3], ARGV[1])
return 1
