-- Lets a message of a task begin, or says how long it has to wait: at most so many a minute, evenly, and while the breaker is open one at a time to try.
-- KEYS 1 next (the time in ms when the next one may begin)  2 breaker (HASH open until ms, good, bad, window)
-- ARGV 1 per minute, 0: no bound  2 what happened: '' a message asks to begin, 'good' or 'bad' one has ended  3 failures of how many open the breaker, in percent; 0: no breaker
--      4 the least runs to judge by  5 how long the breaker stays open, ms
-- Returns the ms to wait, 0: go.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local percent, least, rest = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

if ARGV[2] ~= '' then
  if percent == 0 then return 0 end
  local trying = redis.call('HGET', KEYS[2], 'trying')
  if trying and ARGV[2] == 'good' then redis.call('DEL', KEYS[2]) return 0 end
  local count = redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
  local good, bad = tonumber(redis.call('HGET', KEYS[2], 'good') or 0), tonumber(redis.call('HGET', KEYS[2], 'bad') or 0)
  if trying or good + bad >= least and bad * 100 >= percent * (good + bad) then
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[2], 'open', now + rest)
    redis.call('PEXPIRE', KEYS[2], 10 * rest)
  elseif good + bad >= 10 * least then
    redis.call('DEL', KEYS[2])
  else
    redis.call('PEXPIRE', KEYS[2], 10 * rest)
  end
  return 0
end

local open = tonumber(redis.call('HGET', KEYS[2], 'open') or 0)
if open > now then return open - now end
if open > 0 then -- half open: one tries, and the others wait for how it ends
  redis.call('HSET', KEYS[2], 'open', now + rest, 'trying', 1)
  return 0
end
local rate = tonumber(ARGV[1])
if rate == 0 then return 0 end
local gap = 60000 / rate
local at = tonumber(redis.call('GET', KEYS[1]) or 0)
if at > now then return math.ceil(at - now) end
redis.call('SET', KEYS[1], string.format('%.3f', math.max(at, now - 1000) + gap), 'PX', math.ceil(gap) + 60000)
return 0
