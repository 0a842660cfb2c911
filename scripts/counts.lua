-- KEYS: ready, delayed, failed, stats, nodes, retired, gates
-- ARGV: prefix of the queue's keys
-- Answers {pushed, ready, delayed, running, failed, done}
local call = redis.call
local ready, delayed, failed, stats, nodes, retired, gates = unpack(KEYS)
local time = call('TIME')
local now = string.format('%.3f', time[1] * 1000 + time[2] / 1000)
local running, waiting = 0, call('LLEN', ready) + call('ZCOUNT', delayed, '-inf', now)
for _, owner in ipairs(call('ZRANGE', nodes, 0, -1)) do
    local run = ARGV[1] .. 'run:' .. owner
    local fields, meta = call('HGETALL', run), nil
    for i = 1, #fields, 2 do
        if fields[i] == '_meta' then
            meta = fields[i + 1]
        elseif tonumber(fields[i]) then
            running = running + tonumber(fields[i + 1])
        end
    end
    if meta then
        local generation = string.format('%d', tonumber(string.sub(meta, 1, 20)))
        running = running + call('LLEN', ARGV[1] .. 'stage:' .. owner .. ':' .. generation)
    end
end
for _, stage in ipairs(call('ZRANGE', retired, 0, -1)) do
    waiting = waiting + call('LLEN', ARGV[1] .. 'stage:' .. stage)
end
local ever = call('HMGET', stats, 'pushed', 'done')
local pushed = tonumber(ever[1] or 0)
-- What has passed the gates, see push.lua: each list begins with a sequence that was counted.
for _, name in ipairs(call('ZRANGE', gates, 0, -1)) do
    local gate = ARGV[1] .. 'seq:' .. name
    local passed, last = call('LLEN', gate) - 1, call('LINDEX', gate, -1)
    if last and #last > 20 then
        passed = passed - 2
    end
    pushed = pushed + math.max(0, passed)
end
return {
    pushed, waiting, call('ZCOUNT', delayed, '(' .. now, '+inf'), running,
    call('HLEN', failed), tonumber(ever[2] or 0)
}
