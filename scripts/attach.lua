-- Registers an owner (fresh) or takes its name up again (resume).
-- KEYS: run, ready, nodes, retired
-- ARGV: 'fresh' or 'resume', owner, lease ms, prefix of the queue's keys
-- Answers LOST, or {token, generation, ids held...}. The token is longer than 64 bytes so that Redis never packs the
-- hash into a listpack, whose removals cost O(n).
local call = redis.call
local run, ready, nodes, retired = unpack(KEYS)
-- A first write that a full Redis allows lets the others through, too; so it is in every script of a consumer.
call('HDEL', run, '')
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local token = call('HGET', run, '_meta')
local generation = token and tonumber(string.sub(token, 1, 20)) or 0
if ARGV[1] == 'resume' then
    if not token then
        return {ok = 'LOST'}
    end
    -- A BLMOVE of the old connection may still be under way: its list stays known and is swept.
    local stage = ARGV[2] .. ':' .. string.format('%d', generation)
    while call('LMOVE', ARGV[4] .. 'stage:' .. stage, ready, 'RIGHT', 'LEFT') do
    end
    call('ZADD', retired, now, stage)
end
generation = generation + 1
token = string.format('%020d', generation) .. string.rep('.', 52)
call('HSET', run, '_meta', token)
call('ZADD', nodes, string.format('%.0f', now + tonumber(ARGV[3])), ARGV[2])
local reply = {token, generation}
for _, id in ipairs(call('HKEYS', run)) do
    if id ~= '_meta' then
        reply[#reply + 1] = id
    end
end
return reply
