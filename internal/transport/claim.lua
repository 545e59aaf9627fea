-- Moves messages from queue lists into unacked + unacked_index under a worker's name, in one step.
--
-- KEYS 1 workers        sorted set of leases
--      2 unacked        kombu's hash: tag -> [message, exchange, routing_key]
--      3 unacked_index  kombu's sorted set: tag -> time
--      4 claims         set of this worker's sequence numbers
--      5.. sources      lists in the order of service: all lists of the first priority step, then of the next, ...
-- ARGV 1 worker id
--      2 first sequence number to give out
--      3 most messages
--      4 most bytes (at least one message is taken)
--      5 size above which only the size and the tail of a message are returned
--      6 how many lists make one step (they share what there is evenly)
--      7 1: the first list is an inbox, and when it is empty there is nothing more to look for; 0 otherwise
--      8.. one tail per source: ,"","<queue>"] as JSON, which makes kombu's value of the message
--
-- Returns a flat list of groups: index of the source (from 1), count, then the messages; a message above the size as {size, tail}.
-- Sequence numbers follow the order of the reply. Error LEASELOST when the worker is not registered: nothing was moved.
-- When Redis is full the first pop is still allowed, and after it the writes are: a claim never stops half way.
local call = redis.call
local first, most, budget, large, width = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local taken, bytes, now = 0, 0, nil
local reply, empty = {}, {}

local function record(source, messages)
  if not now then
    local t = call('TIME')
    now = string.format('%.6f', t[1] + t[2] / 1000000)
  end
  local tail, fields, index, seqs = ARGV[7 + source], {}, {}, {}
  reply[#reply + 1] = source
  reply[#reply + 1] = #messages
  for i, message in ipairs(messages) do
    local seq = string.format('%.0f', first + taken)
    taken = taken + 1
    fields[2 * i - 1], fields[2 * i] = ARGV[1] .. '/' .. seq, '[' .. message .. tail
    index[2 * i - 1], index[2 * i] = now, fields[2 * i - 1]
    seqs[i] = seq
    if #message > large then
      reply[#reply + 1] = {#message, string.sub(message, -4096)}
    else
      reply[#reply + 1] = message
    end
  end
  call('HSET', KEYS[2], unpack(fields))
  call('ZADD', KEYS[3], unpack(index))
  call('SADD', KEYS[4], unpack(seqs))
end

-- Takes up to want messages from one list. What goes past the byte budget is put back where it was.
local function take(source, want)
  local key = KEYS[4 + source]
  while want > 0 and bytes < budget do
    local count = 16
    if taken > 0 then
      count = math.max(1, math.floor((budget - bytes) / math.max(1, bytes / taken)))
    end
    count = math.min(want, count, 1000)
    local popped = call('RPOP', key, count)
    if not popped or #popped == 0 then
      empty[source] = true
      return
    end
    local keep = {}
    for i, message in ipairs(popped) do
      if bytes >= budget then
        for j = #popped, i, -1 do call('RPUSH', key, popped[j]) end
        break
      end
      keep[i] = message
      bytes = bytes + #message
    end
    record(source, keep)
    want = want - #keep
    if #popped < count then
      empty[source] = true
      return
    end
  end
end

if not call('ZSCORE', KEYS[1], ARGV[1]) then
  return redis.error_reply('LEASELOST worker ' .. ARGV[1] .. ' holds no lease')
end
local sources = #KEYS - 4
for low = 1, sources, width do
  local high = math.min(low + width - 1, sources)
  for source = low, high do -- an even share each
    take(source, math.ceil((most - taken) / (high - source + 1)))
  end
  for source = low, high do -- what the others left
    if not empty[source] then take(source, most - taken) end
  end
  if taken >= most or bytes >= budget or (ARGV[7] == '1' and taken == 0) then break end
end
return reply
