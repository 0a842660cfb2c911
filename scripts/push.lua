-- Adds one push, once for a given producer and sequence, and opens a gate for the pushes that follow: see
-- src/engine/broker_redis_gate.c.
-- KEYS: seq, ready, delayed, stats, gates, gate to open
-- ARGV: sequence (20 digits), seconds that the record is kept, wake channel, name of the gate to open ('' = none),
--       number of ready envelopes, number of all, ready envelopes..., then delay and envelope of each delayed one
local call, try = redis.call, redis.pcall

-- Counts what has passed a gate, and removes it. `name` as in the set of gates: <producer>:<gate>
local function close(name)
    local gate = string.sub(KEYS[5], 1, -6) .. name
    local length, last = try('LLEN', gate), try('LINDEX', gate, -1)
    call('DEL', gate)
    try('ZREM', KEYS[5], name)
    local passed = type(length) == 'number' and length - 1 or 0
    if type(last) == 'string' and #last > 20 then
        passed = passed - 2
    end
    if passed > 0 then
        try('HINCRBY', KEYS[4], 'pushed', passed)
    end
end

local function remove_old(name)
    local record = string.sub(KEYS[1], 1, -17) .. string.sub(name, 1, 16)
    close(name)
    if string.sub(call('GET', record) or '', 21) == string.sub(name, 18) then
        call('DEL', record)
    end
end

-- Should it fail, there is no gate: making it comes last.
local function open(name, sequence)
    local now = tonumber(call('TIME')[1])
    -- Two that nobody uses any more for each new one: they can't pile up.
    for _, old in ipairs(call('ZRANGEBYSCORE', KEYS[5], '-inf', '(' .. now - ARGV[2], 'LIMIT', 0, 2)) do
        pcall(remove_old, old)
    end
    call('ZADD', KEYS[5], now, name)
    call('RPUSH', KEYS[6], sequence)
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
if known then
    call('EXPIRE', KEYS[1], ARGV[2]) -- allowed in a full Redis; then all the rest is
end
-- Before the jobs: should a write fail from here on, what comes late finds no gate all the same. But the gate may be all
-- that knows of the last push; and as long as it is there, the record names it.
if gate then
    call('SET', KEYS[1], seen .. gate)
    close(producer .. ':' .. gate)
    try('EXPIRE', KEYS[1], ARGV[2])
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
    if ready > 0 then
        call('LLEN', KEYS[2]) -- fails before anything is added, if it is no list
    end
    call('ZADD', KEYS[3], unpack(members))
    if earliest then
        try('PUBLISH', ARGV[3], first)
    end
end
if not known and ready > 0 then
    call('RPUSH', KEYS[2], unpack(ARGV, 7, 6 + ready))
end
-- After the jobs: should a write fail half way, a repetition must not be taken for done. What fails from here on is not
-- worth telling who pushes that his jobs are not there.
if not known then
    seen = ARGV[1]
    try('HINCRBY', KEYS[4], 'pushed', all)
end
if ARGV[4] ~= '' and pcall(open, producer .. ':' .. ARGV[4], seen) then
    call('SET', KEYS[1], seen .. ARGV[4]) -- it would be missed as long as there is the gate: both are removed together
else
    call('SET', KEYS[1], seen, 'EX', ARGV[2])
end
return {ok = known and 'DUP' or 'OK'}
