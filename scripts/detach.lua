-- Hands back everything an owner holds and ends its lease.
-- KEYS: run, stage, ready, nodes, retired
-- ARGV: token, owner, name of the stage, prefix of the queue's keys
local call = redis.call
local run, stage, ready, nodes, retired = unpack(KEYS)
local token = call('HGET', run, '_meta')
if token ~= ARGV[1] then
    return {ok = token and 'STALE' or 'LOST'}
end
call('HDEL', run, '_meta', '_next')
while call('LMOVE', stage, ready, 'RIGHT', 'LEFT') do
end
local chunks = call('HKEYS', run)
table.sort(chunks, function(a, b) return tonumber(a) > tonumber(b) end)
for i = 1, #chunks do
    local chunk = ARGV[4] .. 'held:' .. ARGV[2] .. ':' .. chunks[i]
    call('LREM', chunk, 0, '')
    while call('LMOVE', chunk, ready, 'RIGHT', 'LEFT') do
    end
end
call('DEL', run)
call('ZREM', nodes, ARGV[2])
local time = call('TIME')
call('ZADD', retired, time[1] * 1000 + math.floor(time[2] / 1000), ARGV[3])
return {ok = 'OK'}
