-- The counting of chords, as Celery 5.7's Redis backend does it (celery/backends/redis.py), so that Python and Lovage workers count the same chord together. Put in front of settle.lua
-- (results on the broker's server) or of a line that calls one function (results elsewhere).
--
-- Keys of a chord: .j the results (a sorted set by place, or a list), .t the difference to the size, .s the size, .d the members that were counted, .c who
-- dispatches the body, or 'done'.

-- chordpart counts one member. keys: .j .t .s .d <saved group> .c   args (from index a): id, value, ordered ('1'), score, seconds that the
-- chord's keys are kept (0 = for ever), the same of the saved group, seconds of the dispatch claim, token.
-- Returns true when the chord is complete and its body is the caller's to dispatch. A member is counted once, however often its message is delivered; the
-- token is the member's own, so that whoever runs it again after its worker died takes the claim over.
local function chordpart(keys, a)
  local id, value, ordered, score, token = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 7]
  local claim = redis.call('GET', keys[6])
  if claim == 'done' then return false end
  local member = id .. ':' .. score
  if redis.call('SADD', keys[4], member) == 1 then
    if ordered == '1' then
      redis.call('ZADD', keys[1], score, value)
    else
      redis.call('RPUSH', keys[1], value)
    end
  end
  local ready
  if ordered == '1' then ready = redis.call('ZCARD', keys[1]) else ready = redis.call('LLEN', keys[1]) end
  if ARGV[a + 4] ~= '0' then
    for i = 1, 4 do redis.call('EXPIRE', keys[i], ARGV[a + 4]) end
    if ARGV[a + 5] ~= '0' then redis.call('EXPIRE', keys[5], ARGV[a + 5]) end
  end
  local size = redis.call('GET', keys[3])
  if not size or ready ~= tonumber(size) + tonumber(redis.call('GET', keys[2]) or 0) then return false end
  if claim and claim ~= token then return false end
  redis.call('SET', keys[6], token, 'EX', ARGV[a + 6])
  return true
end

-- chordclaimed tells whether the body is still the caller's to dispatch. keys: .j .t .s .d .c
local function chordclaimed(keys, token)
  local claim = redis.call('GET', keys[5])
  if claim then return claim == token end
  return redis.call('EXISTS', keys[3]) == 1
end

-- chorddone removes a dispatched chord; a late copy of a member finds 'done' for a while.
local function chorddone(keys, seconds)
  redis.call('DEL', keys[1], keys[2], keys[3], keys[4])
  redis.call('SET', keys[5], 'done', 'EX', seconds)
end

-- chordsize sets the size of a chord that is being sent. keys: .s .c
local function chordsize(keys, size, ttl)
  redis.call('DEL', keys[2])
  if ttl == '0' then redis.call('SET', keys[1], size) else redis.call('SET', keys[1], size, 'PX', ttl) end
end

-- chordgrow makes a chord wait for one member more. keys: .t .d
local function chordgrow(keys, id)
  if redis.call('SADD', keys[2], 'added:' .. id) == 1 then redis.call('INCR', keys[1]) end
end

