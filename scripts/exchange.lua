-- Settles, promotes what is due, reserves and renews the lease of one owner.
-- KEYS: run, stage, ready, delayed, nodes, failed, stats, run of the owner whose jobs are settled
-- ARGV: token, owner, owner whose jobs are settled, prefix of the queue's keys, lease ms, want, bytes wanted,
--       bytes expected of a job (0 = not known), number of the first new chunk (0 = out of turn, and none),
--       numbers of: claims, unstaged, singles, splits, trims; ids of claims; ids of unstaged;
--       kind, chunk, place, id, delay, envelope of each single; chunk, place, places, left of each split;
--       chunk, places, done of each trim
-- Answers LOST, STALE, SKIPPED, or {refused, earliest due time or -1 (0 = not looked up), now, ready, reserved}, times in
-- microseconds, and a 1 more when BLMOVE had delivered a job before that nobody has claimed. The jobs that were reserved are the chunk behind those of claims and splits. No envelope of theirs passes
-- through here: making each a string of Lua would cost more than all the rest.
local call, sub = redis.call, string.sub
local run, stage, ready, delayed, nodes, failed, stats, held = unpack(KEYS)
local owner = call('HMGET', run, '_meta', '_next')
if owner[1] ~= ARGV[1] then
    return {ok = owner[1] and 'STALE' or 'LOST'}
end
-- Places are counted from where the requests before have left them: none may be missing, whatever it was refused for.
local number = ARGV[9]
if number ~= '0' and owner[2] ~= number then
    return {ok = 'SKIPPED'}
end
-- The first write must be one that Redis allows when its memory is full: it lets the others through, too, and a
-- consumer is what makes room.
call('HDEL', run, '')
local time = call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local want, want_bytes, expected = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local in_turn = number ~= '0'
number = tonumber(number)
local claims, unstaged, singles = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local splits, trims = tonumber(ARGV[13]), tonumber(ARGV[14])
local mine, theirs = ARGV[4] .. 'held:' .. ARGV[2] .. ':', ARGV[4] .. 'held:' .. ARGV[3] .. ':'
local at = 14
local heads = {}

-- What BLMOVE delivered becomes ours, or goes back when it came too late to be given out.
if claims + unstaged > 0 then
    local chunks, back, rest = {}, {}, {}
    for i = 1, claims do -- two jobs may have one id
        local id = ARGV[at + i]
        chunks[id] = chunks[id] or {}
        table.insert(chunks[id], string.format('%.0f', number + i - 1))
    end
    for i = claims + 1, claims + unstaged do
        back[ARGV[at + i]] = true
    end
    local popped = call('LPOP', stage, claims + unstaged) or {}
    for i = 1, #popped do
        local envelope = popped[i]
        local id = sub(envelope, 9, 24)
        local chunk = chunks[id] and table.remove(chunks[id], 1)
        if chunk then
            call('RPUSH', mine .. chunk, envelope)
            call('HSET', run, chunk, 1)
        elseif back[id] then
            heads[#heads + 1] = envelope
        else
            rest[#rest + 1] = envelope
        end
    end
    if #rest > 0 then
        call('RPUSH', stage, unpack(rest))
    end
    number = number + claims
    at = at + claims + unstaged
end

-- Jobs of others are settled only once their lease was taken away.
local may_settle = held == run or call('HEXISTS', held, '_meta') == 0
local refused = 0

local function forget(chunk)
    call('DEL', theirs .. chunk)
    call('HDEL', held, chunk)
end

-- Leaves an empty place. Nothing when the job is not there: others have settled it. (Only who has reserved it just now
-- knows of an element that was empty from the beginning.)
local function take(chunk, place, id)
    local envelope = may_settle and call('LINDEX', theirs .. chunk, place)
    if not envelope or sub(envelope, 9, 24) ~= id or (envelope == '' and held ~= run) then
        return nil
    end
    call('LSET', theirs .. chunk, place, '')
    if call('HINCRBY', held, chunk, -1) <= 0 then
        forget(chunk)
    end
    return envelope
end

if singles > 0 then
    local later, first, done, retried, ended = {}, math.huge, 0, 0, 0
    for i = at + 1, at + 6 * singles, 6 do
        local kind, chunk, delay, envelope = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 4]), ARGV[i + 5]
        local taken = kind ~= 'empty' and take(chunk, ARGV[i + 2], ARGV[i + 3])
        if kind == 'empty' then
            if may_settle then
                forget(chunk)
            end
        elseif not taken then
            refused = refused + 1
        elseif kind == 'done' then
            done = done + 1
        elseif kind == 'failed' then
            call('HSET', failed, ARGV[i + 3], envelope)
            ended = ended + 1
        elseif kind == 'garbage' then
            call('HSET', failed, sub(redis.sha1hex(taken), 1, 16), taken)
            ended = ended + 1
        else
            if kind == 'retry' then
                retried = retried + 1
            else
                envelope = taken
            end
            if delay > 0 then
                local due = now + 0.001 + delay -- now was rounded down, and nothing may be early
                first = math.min(first, due)
                later[#later + 1] = string.format('%.3f', due)
                later[#later + 1] = envelope
            else
                heads[#heads + 1] = envelope
            end
        end
    end
    if #later > 0 then
        first = string.format('%.3f', first)
        local earliest = call('ZCOUNT', delayed, '-inf', first) == 0
        call('ZADD', delayed, unpack(later))
        if earliest then
            redis.pcall('PUBLISH', ARGV[4] .. 'wake', first)
        end
    end
    for name, count in pairs({done = done, retried = retried, failed = ended}) do
        if count > 0 then
            call('HINCRBY', stats, name, count)
        end
    end
    at = at + 6 * singles
end

-- Jobs that others have overtaken become a chunk of their own.
for i = at + 1, at + 4 * splits, 4 do
    local chunk, own = ARGV[i], string.format('%.0f', number)
    number = number + 1
    if call('HEXISTS', held, chunk) == 1 then
        call('SORT', theirs .. chunk, 'BY', 'nosort', 'LIMIT', ARGV[i + 1], ARGV[i + 2], 'STORE', theirs .. own)
        call('HSET', held, own, ARGV[i + 3])
        call('HINCRBY', held, chunk, -tonumber(ARGV[i + 3]))
    end
end
at = at + 4 * splits

-- Only an owner's own chunks are split and trimmed: it alone knows that nothing at the front is left.
local total = 0
for i = at + 1, at + 3 * trims, 3 do
    local chunk, done = ARGV[i], tonumber(ARGV[i + 2])
    local left = tonumber(call('HGET', held, chunk) or '-1') - done
    if left < 0 then
        refused = refused + done
    else
        total = total + done
        if left == 0 then
            forget(chunk)
        else
            call('LTRIM', theirs .. chunk, ARGV[i + 1], -1)
            call('HSET', held, chunk, left)
        end
    end
end
if total > 0 then
    call('HINCRBY', stats, 'done', total)
end
if held ~= run and call('EXISTS', held) == 0 then
    call('ZREM', nodes, ARGV[3]) -- nothing is left of that owner
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

local moved, bytes, budget = 0, 0, 16777216
local chunk = expected == 0 and 1 or math.max(1, math.min(32, math.floor(budget / expected)))
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

-- SORT copies without looking, so it begins with few, and goes on as far as the server's own count of the bytes allows:
-- a quarter more than the jobs' at most. Who may not ask for that count has the size of the jobs so far.
local own, reserved = mine .. string.format('%.0f', number), 0

local function copy(count)
    reserved = call('SORT', ready, 'BY', 'nosort', 'LIMIT', 0, count, 'STORE', own)
    local bytes = redis.pcall('MEMORY', 'USAGE', own, 'SAMPLES', 0)
    return math.max(1, type(bytes) == 'number' and bytes or expected * reserved)
end

if want > 0 and want_bytes == 0 then
    copy(want)
elseif want > 0 then
    local count, asked, room = math.min(want, 16), 0, 1.3 * want_bytes + 65536
    while count > reserved and reserved == asked do
        local last = call('LINDEX', ready, count - 1) or call('LINDEX', ready, -1) or ''
        count = math.min(count, math.ceil(want_bytes / math.max(expected, #last, 1)))
        if count <= reserved then
            break
        end
        asked = count
        local bytes = copy(count)
        while bytes > room and reserved > 1 do
            bytes = copy(math.max(1, math.min(math.floor(reserved / 2), math.floor(reserved * want_bytes / bytes))))
        end
        count = math.min(want, 16 * count, math.ceil(reserved * want_bytes / bytes))
    end
end
if reserved > 0 then
    call('HSET', run, string.format('%.0f', number), reserved)
    call('LTRIM', ready, reserved, -1)
end

if in_turn then
    call('HSET', run, '_next', string.format('%.0f', number + 1))
end
call('ZADD', nodes, 'XX', string.format('%.0f', now + tonumber(ARGV[5])), ARGV[2])
local left, due = call('LLEN', ready), 0
if left == 0 then
    local earliest = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
    due = earliest[2] and math.floor(tonumber(earliest[2]) * 1000 + 0.5) or -1
end
local reply = {refused, due, time[1] * 1000000 + time[2], left, reserved}
if want > 0 and call('EXISTS', stage) == 1 then
    reply[6] = 1
end
return reply
