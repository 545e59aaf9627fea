-- Ends claims: for each message, only if its claim still stands, acknowledges it and carries out its effects, in one step.
--
-- KEYS 1 unacked  2 unacked_index  3 claims  4 settled (this worker's last batch)  5 started
--      6 dead letters  7 their descriptions  8 their messages
--      9.. the keys of the operations, in the order in which the operations name none themselves
-- ARGV 1 worker id  2 batch number  3 database of the results ('' = this one)  4 database of the broker  5 number of entries
--      then for each entry: sequence number, mode, number of operations, operations.
--   modes  A  acknowledge: the claim ends
--          H  hold: the claim stays (STARTED results)
--          N  no claim: acknowledged before (early ack); operations are carried out without a check
--   operations (K takes the next key)
--          S K value ttl channel  store a result (ttl in ms, 0 = for ever) and publish it; a stored SUCCESS is kept
--          L K message            LPUSH: append to a queue's tail
--          R K message            RPUSH: put at a queue's head
--          B K tail               give back: the claimed message itself, byte for byte, to a queue's head
--          T K tail               the same, to the queue's tail (reject with requeue)
--          P K due                park until due: the claim leaves this worker but stays in unacked
--          D id info tail now     move the claimed message itself to the dead letters
--          E channel payload      publish
--          X                      nothing; the entry is named when it is refused
--          C K*6 id value ordered score expires groupexpires claimexpires token
--                                 count a member of a chord (chord.lua). When that makes a chord complete the entry stops here: its claim stays, nothing
--                                 else of it is carried out, and it is named in the answer. The worker then reads the members' results and settles again.
--          I K*2 id               a chord waits for one member more
--          F K*5 token seconds n  a complete chord is dispatched: its keys go, and the n operations behind this one are carried out, unless
--                                 another worker has done it
--          Z K*2 size ttl         the size of a chord that is sent
--          V K value ttl          set a key among the results
-- Returns {number of plain acks whose claim was gone, how many refused follow, sequence numbers of the other entries that were refused..., then pairs: sequence
-- number of an entry that stopped at a complete chord, number of that C operation among the entry's}.
-- A batch that was already carried out (its answer was lost) returns its first answer and changes nothing.
-- HDEL comes before any write that a full Redis may refuse; once a script has written, the rest of it is allowed.
local last = redis.call('GET', KEYS[4])
if last then
  local number, answer = string.match(last, '^(%d+):(.*)$')
  if number == ARGV[2] then return cjson.decode(answer) end
end

local a, k = 6, 9
local refused, acked, acks, results, complete = {}, {}, 0, {}, {}
local plain = {}

local function nextkey()
  k = k + 1
  return KEYS[k - 1]
end

local function nextkeys(n)
  k = k + n
  local keys = {}
  for i = 1, n do keys[i] = KEYS[k - n - 1 + i] end
  return keys
end

-- Where the results are: another database of this server, or the broker's own.
local function onresults(f, ...)
  if ARGV[3] ~= '' then redis.call('SELECT', ARGV[3]) end
  local answer = f(...)
  if ARGV[3] ~= '' then redis.call('SELECT', ARGV[4]) end
  return answer
end

local function setvalue(key, value, ttl)
  if ttl == '0' then redis.call('SET', key, value) else redis.call('SET', key, value, 'PX', ttl) end
end

local function body(value, tail) return string.sub(value, 2, -(#tail + 1)) end

-- Carries out one operation (or only steps over it when run is false) and returns the index after its arguments.
local function operation(run, tag, seq, value)
  local op = ARGV[a]
  if op == 'S' then
    local key = nextkey()
    if run then results[#results + 1] = {key, ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]} end
    a = a + 4
  elseif op == 'L' or op == 'R' then
    local key = nextkey()
    if run then redis.call(op == 'L' and 'LPUSH' or 'RPUSH', key, ARGV[a + 1]) end
    a = a + 2
  elseif op == 'B' or op == 'T' then
    local key = nextkey()
    if run then redis.call(op == 'B' and 'RPUSH' or 'LPUSH', key, body(value, ARGV[a + 1])) end
    a = a + 2
  elseif op == 'P' then
    local key = nextkey()
    if run then
      redis.call('HSET', KEYS[1], tag, value)
      redis.call('ZADD', KEYS[2], ARGV[a + 1], tag)
      redis.call('ZADD', key, ARGV[a + 1], tag)
      redis.call('SREM', KEYS[3], seq)
    end
    a = a + 2
  elseif op == 'D' then
    if run then
      redis.call('HSET', KEYS[8], ARGV[a + 1], body(value, ARGV[a + 3]))
      redis.call('HSET', KEYS[7], ARGV[a + 1], ARGV[a + 2])
      redis.call('ZADD', KEYS[6], ARGV[a + 4], ARGV[a + 1])
    end
    a = a + 5
  elseif op == 'E' then
    if run then redis.call('PUBLISH', ARGV[a + 1], ARGV[a + 2]) end
    a = a + 3
  elseif op == 'X' then
    a = a + 1
  elseif op == 'C' then
    local keys = nextkeys(6)
    local at = a + 1
    a = a + 9
    if run and onresults(chordpart, keys, at) then return 'complete' end
  elseif op == 'I' then
    local keys = nextkeys(2)
    if run then onresults(chordgrow, keys, ARGV[a + 1]) end
    a = a + 2
  elseif op == 'F' then
    local keys = nextkeys(5)
    local token, seconds, skip = ARGV[a + 1], ARGV[a + 2], tonumber(ARGV[a + 3])
    a = a + 4
    if run then
      if onresults(chordclaimed, keys, token) then
        onresults(chorddone, keys, seconds)
      else
        return 'skip', skip
      end
    end
  elseif op == 'Z' then
    local keys = nextkeys(2)
    if run then onresults(chordsize, keys, ARGV[a + 1], ARGV[a + 2]) end
    a = a + 3
  elseif op == 'V' then
    local key = nextkey()
    if run then onresults(setvalue, key, ARGV[a + 1], ARGV[a + 2]) end
    a = a + 3
  else
    error('unknown operation ' .. tostring(op))
  end
  return op
end

local function chunked(command, key, list)
  for i = 1, #list, 1000 do
    redis.call(command, key, unpack(list, i, math.min(i + 999, #list)))
  end
end

for _ = 1, tonumber(ARGV[5]) do
  local seq, mode, ops = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2])
  a = a + 3
  local tag = ARGV[1] .. '/' .. seq
  if mode == 'A' and ops == 0 then
    plain[#plain + 1] = tag
    acks = acks + 1
    acked[#acked + 1] = seq
  else
    local run, value, parked = true, nil, false
    if mode == 'A' then
      local op = ARGV[a]
      if op == 'B' or op == 'T' or op == 'P' or op == 'D' or op == 'C' or op == 'I' then value = redis.call('HGET', KEYS[1], tag) end
      run = redis.call('HDEL', KEYS[1], tag) == 1
    elseif mode == 'H' then
      run = redis.call('HEXISTS', KEYS[1], tag) == 1
    end
    local stands, parts, stopped, skip = run, 0, false, 0
    for _ = 1, ops do
      local op, more = operation(run and skip == 0 and (not stopped or ARGV[a] == 'C'), tag, seq, value)
      skip = math.max(0, skip - 1)
      if op == 'C' or op == 'complete' then parts = parts + 1 end
      if op == 'P' then
        parked = run
      elseif op == 'skip' then
        skip = more
      elseif op == 'complete' then
        stopped = true
        complete[#complete + 1] = tonumber(seq)
        complete[#complete + 1] = parts
      end
    end
    if stopped and mode == 'A' then redis.call('HSET', KEYS[1], tag, value) end
    if not stands then refused[#refused + 1] = tonumber(seq) end
    if mode == 'A' and not parked and not stopped then acked[#acked + 1] = seq end
  end
end

local gone = 0
if acks > 0 then
  local stood = 0
  for i = 1, #plain, 1000 do
    stood = stood + redis.call('HDEL', KEYS[1], unpack(plain, i, math.min(i + 999, #plain)))
  end
  gone = acks - stood
end
if #acked > 0 then
  local tags = {}
  for i, seq in ipairs(acked) do tags[i] = ARGV[1] .. '/' .. seq end
  chunked('ZREM', KEYS[2], tags)
  chunked('SREM', KEYS[3], acked)
  if redis.call('EXISTS', KEYS[5]) == 1 then chunked('SREM', KEYS[5], acked) end
end

if #results > 0 then
  if ARGV[3] ~= '' then redis.call('SELECT', ARGV[3]) end
  for _, r in ipairs(results) do
    local before, keep
    if r[3] == '0' then
      before = redis.pcall('SET', r[1], r[2], 'GET')
    else
      before = redis.pcall('SET', r[1], r[2], 'PX', r[3], 'GET')
    end
    if type(before) == 'table' and before.err then -- the key holds another type; a result replaces it
      redis.call('DEL', r[1])
      redis.call('SET', r[1], r[2])
      if r[3] ~= '0' then redis.call('PEXPIRE', r[1], r[3]) end
    elseif before and string.find(string.sub(before, 1, 64), '"status": *"SUCCESS"') then
      redis.call('SET', r[1], before, 'KEEPTTL')
      keep = true
    end
    if not keep then redis.call('PUBLISH', r[4], r[2]) end
  end
  if ARGV[3] ~= '' then redis.call('SELECT', ARGV[4]) end
end
local answer = {gone, #refused}
for _, list in ipairs({refused, complete}) do
  for _, n in ipairs(list) do answer[#answer + 1] = n end
end
redis.call('SET', KEYS[4], ARGV[2] .. ':' .. cjson.encode(answer), 'EX', 86400)
return answer
