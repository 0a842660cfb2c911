-- Deletes what a queue stores; owners, leases and sequences of producers stay.
-- KEYS: ready, delayed, failed, stats, nodes, retired, gates
-- ARGV: prefix of the queue's keys
local call = redis.call
call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
for _, owner in ipairs(call('ZRANGE', KEYS[5], 0, -1)) do
    local run = ARGV[1] .. 'run:' .. owner
    local meta, next_chunk = unpack(call('HMGET', run, '_meta', '_next'))
    for _, chunk in ipairs(call('HKEYS', run)) do
        call('UNLINK', ARGV[1] .. 'held:' .. owner .. ':' .. chunk)
    end
    call('UNLINK', run)
    if meta then
        call('HSET', run, '_meta', meta, '_next', next_chunk)
        local generation = string.format('%d', tonumber(string.sub(meta, 1, 20)))
        call('UNLINK', ARGV[1] .. 'stage:' .. owner .. ':' .. generation)
    else
        call('ZREM', KEYS[5], owner)
    end
end
for _, stage in ipairs(call('ZRANGE', KEYS[6], 0, -1)) do
    call('UNLINK', ARGV[1] .. 'stage:' .. stage)
end
for _, name in ipairs(call('ZRANGE', KEYS[7], 0, -1)) do -- what has passed was counted; the last sequence stays
    local gate = ARGV[1] .. 'seq:' .. name
    local last = call('LINDEX', gate, -1)
    call('LTRIM', gate, last and #last > 20 and -3 or -1, -1)
end
return {ok = 'OK'}
