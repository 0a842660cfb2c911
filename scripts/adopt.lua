-- Retires an owner whose lease has ended and lists jobs it held, and sweeps what late BLMOVEs left in retired stages.
-- They stay there until exchange.lua settles them.
-- KEYS: run, ready, nodes, retired, failed, stats
-- ARGV: token, own name, name of the dead owner or '', prefix of the queue's keys, most jobs, most bytes
-- Answers LOST, STALE, NOBODY, or {name of the dead owner, garbage, envelopes...}
local call, byte, sub = redis.call, string.byte, string.sub
local run, ready, nodes, retired, failed, stats = unpack(KEYS)
local me, dead, prefix, most, most_bytes = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local token = call('HGET', run, '_meta')
if token ~= ARGV[1] then
    return {ok = token and 'STALE' or 'LOST'}
end
call('HDEL', run, '') -- allowed in a full Redis, see attach
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function empty_stage(name)
    while call('LMOVE', prefix .. 'stage:' .. name, ready, 'RIGHT', 'LEFT') do
    end
end

-- One EXISTS tells for many stages at once that all are empty. Nothing can fill one an hour later.
local names = call('ZRANGE', retired, 0, -1)
for first = 1, #names, 1000 do
    local last, keys = math.min(first + 999, #names), {}
    for i = first, last do
        keys[#keys + 1] = prefix .. 'stage:' .. names[i]
    end
    if call('EXISTS', unpack(keys)) > 0 then
        for i = first, last do
            empty_stage(names[i])
        end
    end
end
call('ZREMRANGEBYSCORE', retired, '-inf', now - 3600000)

-- Where our own lease has ended, too, the store was away, and nobody's ended lease says that its owner is dead.
local named = dead ~= ''
if not named then
    if tonumber(call('ZSCORE', nodes, me) or '0') <= now then
        return {ok = 'NOBODY'}
    end
    dead = call('ZRANGEBYSCORE', nodes, '-inf', now, 'LIMIT', 0, 1)[1]
end
if not dead or dead == me or not call('ZSCORE', nodes, dead) then
    return {ok = 'NOBODY'}
end

-- Without _meta its owner is refused everything.
local theirs = prefix .. 'run:' .. dead
local meta = call('HGET', theirs, '_meta')
if meta then
    local stage = dead .. ':' .. string.format('%d', tonumber(sub(meta, 1, 20)))
    call('HDEL', theirs, '_meta')
    empty_stage(stage)
    call('ZADD', retired, now, stage)
end
-- Who was named keeps the end of its lease: those who know less about it don't find it before.
if not named then
    call('ZADD', nodes, 0, dead)
end

-- Oldest first; compared as hexadecimal text, because Lua compares by the server's locale.
local candidates, order = call('HKEYS', theirs), {}
for i = 1, #candidates do
    order[candidates[i]] = string.gsub(candidates[i], '.', function(c) return string.format('%02x', byte(c)) end)
end
table.sort(candidates, function(a, b) return order[a] < order[b] end)

local reply, ids, garbage, bytes = {dead, 0}, {}, 0, 0
for i = 1, math.min(#candidates, most) do
    ids[i] = candidates[i]
    bytes = bytes + call('HSTRLEN', theirs, ids[i])
    if bytes >= most_bytes then
        break
    end
end
if #ids > 0 then
    local envelopes = call('HMGET', theirs, unpack(ids))
    for i = 1, #ids do
        local envelope = envelopes[i]
        local m, q, version = byte(envelope, 1, 3)
        if m == 77 and q == 81 and version == 1 and #envelope >= 72 and sub(envelope, 9, 24) == ids[i] then
            reply[#reply + 1] = envelope
        else
            call('HSET', failed, sub(redis.sha1hex(envelope), 1, 16), envelope)
            call('HDEL', theirs, ids[i])
            garbage = garbage + 1
        end
    end
    if garbage > 0 then
        call('HINCRBY', stats, 'failed', garbage)
    end
end
if call('EXISTS', theirs) == 0 then
    call('ZREM', nodes, dead)
end
reply[2] = garbage
return reply
