-- Retires an owner whose lease has ended and sweeps what late BLMOVEs left in retired stages. The jobs that it held
-- stay there until exchange.lua settles them. Whoever looks for no owner by name renews its own lease.
-- A job that BLMOVE had delivered, and nobody claimed, may have begun or not. Who names the owner knows, so it is held.
-- Else it goes back, marked: whoever finds it so a second time counts it, or it could end one owner after the other.
-- KEYS: run, ready, nodes, retired, delayed
-- ARGV: token, own name, name of the dead owner or '', prefix of the queue's keys, lease ms
-- Answers LOST, STALE, ENDED (our own lease has), NOBODY, {name of the dead owner, number and jobs of each chunk...}, or
-- when nobody was named and nobody is dead {in how many ms somebody may be, in how many us the earliest job is due}, -1 =
-- not known
local call, sub = redis.call, string.sub
local run, ready, nodes, retired, delayed = unpack(KEYS)
local me, dead, prefix = ARGV[2], ARGV[3], ARGV[4]
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
if #names > 0 then
    call('ZREMRANGEBYSCORE', retired, '-inf', now - 3600000)
end

-- Its flags are in byte 5; see job.h, MPQ_JOB_IN_DOUBT.
local function is_in_doubt(envelope)
    return string.byte(envelope, 5) % 4 >= 2
end

local function mark(envelope)
    return sub(envelope, 1, 4) .. string.char(string.byte(envelope, 5) + 2) .. sub(envelope, 6)
end

-- `first`: the number of the first new chunk; each is one of its own, as a claim's.
local function end_stage(name, theirs, first, named)
    local staged = call('LRANGE', prefix .. 'stage:' .. name, 0, -1)
    call('DEL', prefix .. 'stage:' .. name)
    for i = #staged, 1, -1 do
        local envelope = staged[i]
        if #envelope < 72 or sub(envelope, 1, 2) ~= 'MQ' then
            call('LPUSH', ready, envelope)
        elseif named or is_in_doubt(envelope) then
            local chunk = string.format('%.0f', first)
            call('RPUSH', prefix .. 'held:' .. dead .. ':' .. chunk, envelope)
            call('HSET', theirs, chunk, 1)
            first = first + 1
        else
            call('LPUSH', ready, mark(envelope))
        end
    end
end

-- When the next lease of another owner ends. A BLMOVE that was under way when its owner ended may fill the stage for as
-- long as it blocks: meanwhile the stages are swept often.
local function look_in(ends)
    local newest = names[#names] and tonumber(call('ZSCORE', retired, names[#names]) or '0') or 0
    local soon = now - newest < 20000 and 500 or -1
    if ends and (soon < 0 or ends - now < soon) then
        return ends - now
    end
    return soon
end

-- Where our own lease has ended, too, the store was away, and nobody's ended lease says that its owner is dead.
local named = dead ~= ''
if not named then
    if tonumber(call('ZSCORE', nodes, me) or '0') <= now then
        return {ok = 'ENDED'}
    end
    call('ZADD', nodes, 'XX', string.format('%.0f', now + tonumber(ARGV[5])), me)
    local first = call('ZRANGE', nodes, 0, 1, 'WITHSCORES')
    local at = first[1] == me and 3 or 1
    local ends = first[at] and tonumber(first[at + 1])
    if not ends or ends > now then
        local due = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]
        local now_us = time[1] * 1000000 + time[2]
        return {look_in(ends), due and math.max(0, math.floor(tonumber(due) * 1000 + 0.5) - now_us) or -1}
    end
    dead = first[at]
elseif dead == me or not call('ZSCORE', nodes, dead) then
    return {ok = 'NOBODY'}
end

-- Without _meta its owner is refused everything.
local theirs = prefix .. 'run:' .. dead
local meta = call('HGET', theirs, '_meta')
if meta then
    local stage = dead .. ':' .. string.format('%d', tonumber(sub(meta, 1, 20)))
    local first = tonumber(call('HGET', theirs, '_next') or '1')
    call('HDEL', theirs, '_meta', '_next')
    end_stage(stage, theirs, first, named)
    call('ZADD', retired, now, stage)
end
-- Who was named keeps the end of its lease: those who know less about it don't find it before.
if not named then
    call('ZADD', nodes, 0, dead)
end

local chunks, reply = {}, {dead}
for _, chunk in ipairs(call('HKEYS', theirs)) do
    chunks[#chunks + 1] = tonumber(chunk)
end
table.sort(chunks)
for i = 1, #chunks do
    reply[2 * i] = chunks[i]
    reply[2 * i + 1] = tonumber(call('HGET', theirs, string.format('%.0f', chunks[i])))
end
if #chunks == 0 then
    call('ZREM', nodes, dead)
end
return reply
