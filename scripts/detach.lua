-- Hands back everything an owner holds and ends its lease.
-- KEYS: run, stage, ready, nodes, retired
-- ARGV: token, owner, name of the stage
local call = redis.call
local run, stage, ready, nodes, retired = unpack(KEYS)
local token = call('HGET', run, '_meta')
if token ~= ARGV[1] then
    return {ok = token and 'STALE' or 'LOST'}
end
call('HDEL', run, '_meta')
while call('LMOVE', stage, ready, 'RIGHT', 'LEFT') do
end
-- Ids grow with a producer's sequence: the oldest job is moved last and so comes first.
local ids = call('HKEYS', run)
table.sort(ids)
for i = #ids, 1, -1 do
    call('LPUSH', ready, call('HGET', run, ids[i]))
end
call('DEL', run)
call('ZREM', nodes, ARGV[2])
local time = call('TIME')
call('ZADD', retired, time[1] * 1000 + math.floor(time[2] / 1000), ARGV[3])
return {ok = 'OK'}
