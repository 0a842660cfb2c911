-- Adds one push, once for a given producer and sequence, and opens a gate for the pushes that follow: see
-- src/engine/broker_redis_gate.c.
-- KEYS: seq, ready, delayed, stats, gates, gate to open
-- ARGV: sequence (20 digits), seconds that the record is kept, wake channel, name of the gate to open ('' = none),
--       number of ready envelopes, number of all, ready envelopes..., then delay and envelope of each delayed one
local call = redis.call

-- Counts what has passed a gate, and removes it. `name` as in the set of gates: <producer>:<gate>
local function close(name)
    local gate = string.sub(KEYS[5], 1, -6) .. name
    local passed, last = call('LLEN', gate) - 1, call('LINDEX', gate, -1)
    if last and #last > 20 then
        passed = passed - 2
    end
    call('DEL', gate)
    call('ZREM', KEYS[5], name)
    if passed > 0 then
        call('HINCRBY', KEYS[4], 'pushed', passed)
    end
end

local record, gate = call('GET', KEYS[1]), nil
local producer = string.sub(KEYS[1], -16)
local seen = record and string.sub(record, 1, 20) or ''
if record and #record > 20 then
    gate = string.sub(record, 21)
    local last = call('LINDEX', KEYS[1] .. ':' .. gate, -1)
    if last and #last > 20 then -- a job that did not get out: neither it nor its sequence counts
        last = call('LINDEX', KEYS[1] .. ':' .. gate, -3)
    end
    if last and last > seen then
        seen = last
    end
end
local known = seen >= ARGV[1]
local ready, all = tonumber(ARGV[5]), tonumber(ARGV[6])
if not known and ready > 0 then
    call('RPUSH', KEYS[2], unpack(ARGV, 7, 6 + ready))
end
if not known and ready < all then
    local time = call('TIME')
    local now = time[1] * 1000 + (time[2] + 1) / 1000 -- the clock was rounded down, and nothing may be early
    local members, first = {}, math.huge
    for i = 7 + ready, #ARGV, 2 do
        local due = now + tonumber(ARGV[i])
        first = math.min(first, due)
        members[#members + 1] = string.format('%.3f', due)
        members[#members + 1] = ARGV[i + 1]
    end
    first = string.format('%.3f', first)
    local earliest = call('ZCOUNT', KEYS[3], '-inf', first) == 0
    call('ZADD', KEYS[3], unpack(members))
    if earliest then
        redis.pcall('PUBLISH', ARGV[3], first)
    end
end
-- After the jobs: should a write fail half way, a repetition must not be taken for done. And before the gate is gone,
-- which may be all that knows of the last push.
if known then
    call('EXPIRE', KEYS[1], ARGV[2]) -- allowed in a full Redis; then all the rest is
else
    seen = ARGV[1]
end
if ARGV[4] == '' then
    call('SET', KEYS[1], seen, 'EX', ARGV[2])
else -- it would be missed as long as there is the gate: both are removed together, below
    call('SET', KEYS[1], seen .. ARGV[4])
end
if not known then
    call('HINCRBY', KEYS[4], 'pushed', all)
end
if gate then
    close(producer .. ':' .. gate)
end
if ARGV[4] ~= '' then
    local now = tonumber(call('TIME')[1])
    call('RPUSH', KEYS[6], seen)
    call('ZADD', KEYS[5], now, producer .. ':' .. ARGV[4])
    -- Two that nobody uses any more for each new one: they can't pile up.
    for _, name in ipairs(call('ZRANGEBYSCORE', KEYS[5], '-inf', '(' .. now - ARGV[2], 'LIMIT', 0, 2)) do
        local old = string.sub(KEYS[1], 1, -17) .. string.sub(name, 1, 16)
        close(name)
        if string.sub(call('GET', old) or '', 21) == string.sub(name, 18) then
            call('DEL', old)
        end
    end
end
return {ok = known and 'DUP' or 'OK'}
