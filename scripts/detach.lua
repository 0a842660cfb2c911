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
-- Ids grow with a producer's sequence: the oldest job is moved last and so comes first. Compared as hexadecimal text,
-- because Lua compares by the server's locale.
local ids, order = call('HKEYS', run), {}
for i = 1, #ids do
    order[ids[i]] = string.gsub(ids[i], '.', function(c) return string.format('%02x', string.byte(c)) end)
end
table.sort(ids, function(a, b) return order[a] > order[b] end)
for i = 1, #ids do
    call('LPUSH', ready, call('HGET', run, ids[i]))
end
call('DEL', run)
call('ZREM', nodes, ARGV[2])
local time = call('TIME')
call('ZADD', retired, time[1] * 1000 + math.floor(time[2] / 1000), ARGV[3])
return {ok = 'OK'}
