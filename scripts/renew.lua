-- Extends the leases of owners that still have theirs.
-- KEYS: nodes
-- ARGV: lease ms, owners...
redis.call('ZREM', KEYS[1], '') -- allowed in a full Redis, see attach
local time = redis.call('TIME')
local deadline = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1]))
local renewed = 0
for i = 2, #ARGV do
    -- 0 marks one whose lease was taken and whose jobs are being moved.
    local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
    if score and tonumber(score) > 0 then
        redis.call('ZADD', KEYS[1], 'XX', deadline, ARGV[i])
        renewed = renewed + 1
    end
end
return renewed
