-- Registers an owner (fresh) or takes its name up again (resume).
-- KEYS: run, ready, nodes, retired
-- ARGV: 'fresh' or 'resume', owner, lease ms, prefix of the queue's keys, ids of jobs that were given out...
-- Answers LOST, or {token, generation, number of the next chunk, numbers of the chunks held...}. The token is longer
-- than 64 bytes so that Redis never packs the hash into a listpack, whose removals cost O(n).
local call = redis.call
local run, ready, nodes, retired = unpack(KEYS)
-- A first write that a full Redis allows lets the others through, too; so it is in every script of a consumer.
call('HDEL', run, '')
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local token = call('HGET', run, '_meta')
local generation = token and tonumber(string.sub(token, 1, 20)) or 0
local chunks, next_chunk = {}, tonumber(call('HGET', run, '_next') or '1')
for _, chunk in ipairs(call('HKEYS', run)) do
    if tonumber(chunk) then
        chunks[#chunks + 1] = tonumber(chunk)
        next_chunk = math.max(next_chunk, tonumber(chunk) + 1)
    end
end
if ARGV[1] == 'resume' then
    if not token then
        return {ok = 'LOST'}
    end
    -- What was delivered and given out, but not claimed before the connection broke, is held now; the rest goes back.
    local given = {}
    for i = 5, #ARGV do
        given[ARGV[i]] = true
    end
    local stage = ARGV[2] .. ':' .. string.format('%d', generation)
    local staged = call('LRANGE', ARGV[4] .. 'stage:' .. stage, 0, -1)
    for i = #staged, 1, -1 do
        local id = string.sub(staged[i], 9, 24)
        if given[id] then
            local chunk = string.format('%.0f', next_chunk)
            call('RPUSH', ARGV[4] .. 'held:' .. ARGV[2] .. ':' .. chunk, staged[i])
            call('HSET', run, chunk, 1)
            chunks[#chunks + 1] = next_chunk
            next_chunk = next_chunk + 1
        else
            call('LPUSH', ready, staged[i])
        end
    end
    call('DEL', ARGV[4] .. 'stage:' .. stage)
    -- A BLMOVE of the old connection may still be under way: its list stays known and is swept.
    call('ZADD', retired, now, stage)
end
generation = generation + 1
token = string.format('%020d', generation) .. string.rep('.', 52)
call('HSET', run, '_meta', token, '_next', string.format('%.0f', next_chunk))
call('ZADD', nodes, string.format('%.0f', now + tonumber(ARGV[3])), ARGV[2])
table.sort(chunks)
local reply = {token, generation, next_chunk}
for i = 1, #chunks do
    reply[i + 3] = chunks[i]
end
return reply
