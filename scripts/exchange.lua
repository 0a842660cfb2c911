-- Settles, promotes what is due, reserves and renews the lease of one owner.
-- KEYS: run, stage, ready, delayed, nodes, failed, stats, run of the owner whose jobs are settled
-- ARGV: token, owner, lease ms, want, bytes wanted, first chunk, wake channel,
--       numbers of: claims, unstaged, done, other settles;
--       ids of claims, of unstaged, of done; then kind, id, delay, envelope of each other settle
-- Answers LOST, STALE, or {refused, garbage, earliest due time or -1 (0 = not looked up), now, ready, envelopes...}
--
-- The first write must be one that Redis allows when its memory is full: it lets the others through, too, and a
-- consumer is what makes room.
local call, byte, sub = redis.call, string.byte, string.sub
local run, stage, ready, delayed, nodes, failed, stats, held = unpack(KEYS)
local token = call('HGET', run, '_meta')
if token ~= ARGV[1] then
    return {ok = token and 'STALE' or 'LOST'}
end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local want, want_bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local claims, unstaged, dones, others = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local at = 11
local heads = {}

-- What BLMOVE delivered becomes ours, or goes back when it came too late to be given out.
if claims + unstaged > 0 then
    local fate, rest = {}, {}
    for i = at + 1, at + claims + unstaged do
        fate[ARGV[i]] = i <= at + claims and 'claim' or 'unstage'
    end
    local popped = call('LPOP', stage, claims + unstaged) or {}
    for i = 1, #popped do
        local envelope = popped[i]
        local id = sub(envelope, 9, 24)
        if fate[id] == 'claim' then
            call('HSET', run, id, envelope)
        elseif fate[id] then
            heads[#heads + 1] = envelope
        else
            rest[#rest + 1] = envelope
        end
    end
    if #rest > 0 then
        call('RPUSH', stage, unpack(rest))
    end
    at = at + claims + unstaged
end

-- Jobs of others are settled only once their lease was taken away.
local may_settle = held == run or call('HEXISTS', held, '_meta') == 0
local refused = 0
if dones > 0 and may_settle then
    local removed = call('HDEL', held, unpack(ARGV, at + 1, at + dones))
    refused = dones - removed
    if removed > 0 then
        call('HINCRBY', stats, 'done', removed)
    end
else
    refused = dones
    call('HDEL', run, '')
end
at = at + dones

if others > 0 then
    local later, first, retried, ended = {}, math.huge, 0, 0
    for i = at + 1, at + 4 * others, 4 do
        local kind, id, delay, envelope = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
        if kind == 'return' then
            envelope = call('HGET', held, id)
        end
        if not may_settle or call('HDEL', held, id) == 0 then
            refused = refused + 1
        elseif kind == 'failed' then
            call('HSET', failed, id, envelope)
            ended = ended + 1
        else
            if kind == 'retry' then
                retried = retried + 1
            end
            if delay > 0 then
                local due = now + 1 + delay -- now was rounded down, and nothing may be early
                first = math.min(first, due)
                later[#later + 1] = string.format('%.0f', due)
                later[#later + 1] = envelope
            else
                heads[#heads + 1] = envelope
            end
        end
    end
    if #later > 0 then
        first = string.format('%.0f', first)
        local earliest = call('ZCOUNT', delayed, '-inf', first) == 0
        call('ZADD', delayed, unpack(later))
        if earliest then
            redis.pcall('PUBLISH', ARGV[7], first)
        end
    end
    if retried > 0 then
        call('HINCRBY', stats, 'retried', retried)
    end
    if ended > 0 then
        call('HINCRBY', stats, 'failed', ended)
    end
end
if held ~= run and call('EXISTS', held) == 0 then
    call('ZREM', nodes, sub(held, #run - #ARGV[2] + 1)) -- nothing is left of that owner
end
if #heads > 0 then
    local reversed = {}
    for i = #heads, 1, -1 do
        reversed[#reversed + 1] = heads[i]
    end
    call('LPUSH', ready, unpack(reversed))
end

-- Chunks grow while their members turn out to be small, and shrink when the last of the next one is not.
local function fit(chunk, last, room)
    if last and #last * chunk > room then
        return math.max(1, math.floor(room / #last))
    end
    return chunk
end

local chunk, moved, bytes, budget = tonumber(ARGV[6]), 0, 0, 16777216
while moved < 256 and bytes < budget do
    local due = call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, chunk)
    if #due == 0 then
        break
    end
    call('ZREMRANGEBYRANK', delayed, 0, #due - 1)
    call('RPUSH', ready, unpack(due))
    if #due < chunk then
        break
    end
    for i = 1, #due do
        bytes = bytes + #due[i]
    end
    moved = moved + #due
    chunk = math.min(8 * chunk, 256 - moved)
    local last = call('ZRANGE', delayed, chunk - 1, chunk - 1)[1] or call('ZRANGE', delayed, -1, -1)[1]
    chunk = fit(chunk, last, budget - bytes)
end

local reply, jobs, fields, taken, garbage, drained = {0, 0, 0, 0, 0}, 0, {}, 0, 0, false
chunk, bytes = want_bytes > 0 and tonumber(ARGV[6]) or want, 0
while taken < want and not drained and (want_bytes == 0 or bytes < want_bytes) do
    chunk = math.min(chunk, want - taken)
    if want_bytes > 0 and chunk > 1 then
        local mean = taken > 0 and bytes / taken or 0
        if mean * chunk > want_bytes - bytes then
            chunk = math.max(1, math.floor((want_bytes - bytes) / mean))
        end
        chunk = fit(chunk, call('LINDEX', ready, chunk - 1) or call('LINDEX', ready, -1), want_bytes - bytes)
    end
    local popped = call('LPOP', ready, chunk) or {}
    drained = #popped < chunk
    for i = 1, #popped do
        local envelope = popped[i]
        local m, q, version = byte(envelope, 1, 3)
        if m == 77 and q == 81 and version == 1 and #envelope >= 72 then
            jobs = jobs + 1
            reply[5 + jobs] = envelope
            fields[2 * jobs - 1] = sub(envelope, 9, 24)
            fields[2 * jobs] = envelope
        else
            call('HSET', failed, sub(redis.sha1hex(envelope), 1, 16), envelope)
            garbage = garbage + 1
        end
        bytes = bytes + #envelope
    end
    taken = taken + #popped
    chunk = 8 * chunk
end
if jobs > 0 then
    call('HSET', run, unpack(fields))
end
if garbage > 0 then
    call('HINCRBY', stats, 'failed', garbage)
end

call('ZADD', nodes, 'XX', string.format('%.0f', now + tonumber(ARGV[3])), ARGV[2])
local left = drained and 0 or call('LLEN', ready)
local due = 0
if left == 0 then
    local earliest = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
    due = earliest[2] and tonumber(earliest[2]) or -1
end
reply[1], reply[2], reply[3], reply[4], reply[5] = refused, garbage, due, now, left
return reply
