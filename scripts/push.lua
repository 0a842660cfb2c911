-- Adds one push, once for a given producer and sequence.
-- KEYS: seq, ready, delayed, stats
-- ARGV: sequence (20 digits), ttl of seq, wake channel, number of ready envelopes, number of all,
--       ready envelopes..., then delay and envelope of each delayed one
local call = redis.call
local seen = call('GET', KEYS[1])
if seen and seen >= ARGV[1] then
    call('EXPIRE', KEYS[1], ARGV[2])
    return {ok = 'DUP'}
end
local ready, all = tonumber(ARGV[4]), tonumber(ARGV[5])
if ready > 0 then
    call('RPUSH', KEYS[2], unpack(ARGV, 6, 5 + ready))
end
if ready < all then
    local time = call('TIME')
    local now = time[1] * 1000 + math.ceil(time[2] / 1000) -- never early
    local members, first = {}, math.huge
    for i = 6 + ready, #ARGV, 2 do
        local due = now + tonumber(ARGV[i])
        first = math.min(first, due)
        members[#members + 1] = string.format('%.0f', due)
        members[#members + 1] = ARGV[i + 1]
    end
    first = string.format('%.0f', first)
    local earliest = call('ZCOUNT', KEYS[3], '-inf', first) == 0
    call('ZADD', KEYS[3], unpack(members))
    if earliest then
        redis.pcall('PUBLISH', ARGV[3], first)
    end
end
-- After the jobs: should a write fail half way, a repetition must not be taken for done.
call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
call('HINCRBY', KEYS[4], 'pushed', all)
return {ok = 'OK'}
