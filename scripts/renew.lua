-- Extends the leases of owners that still have theirs.
-- KEYS: nodes, run of each owner
-- ARGV: lease ms, owners...
local call = redis.call
call('ZREM', KEYS[1], '') -- allowed in a full Redis, see attach
local time = call('TIME')
local deadline = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1]))
local renewed = 0
for i = 2, #ARGV do
    -- Without _meta its lease was taken.
    if call('ZSCORE', KEYS[1], ARGV[i]) and call('HEXISTS', KEYS[i], '_meta') == 1 then
        call('ZADD', KEYS[1], 'XX', deadline, ARGV[i])
        renewed = renewed + 1
    end
end
return renewed
