-- KEYS: ready, delayed, failed, stats, nodes, retired
-- ARGV: prefix of the queue's keys
-- Answers {pushed, ready, delayed, running, failed, done}
local call = redis.call
local ready, delayed, failed, stats, nodes, retired = unpack(KEYS)
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local running, waiting = 0, call('LLEN', ready) + call('ZCOUNT', delayed, '-inf', now)
for _, owner in ipairs(call('ZRANGE', nodes, 0, -1)) do
    local run = ARGV[1] .. 'run:' .. owner
    local fields, meta = call('HGETALL', run), nil
    for i = 1, #fields, 2 do
        if fields[i] == '_meta' then
            meta = fields[i + 1]
        else
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
return {
    tonumber(ever[1] or 0), waiting, call('ZCOUNT', delayed, '(' .. string.format('%.0f', now), '+inf'), running,
    call('HLEN', failed), tonumber(ever[2] or 0)
}
