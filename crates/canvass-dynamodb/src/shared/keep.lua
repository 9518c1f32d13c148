-- Keeps a poll's result. KEYS: its key. ARGV: its life, its sequence, Redis's time before it was read, milliseconds that
-- it may be old, the result, the channel, and the word for it. Answers with 1 if it was kept.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left = ARGV[4] - (now - ARGV[3])
if now < tonumber(ARGV[3]) or left <= 0 then
    return 0
end
local kept = redis.call('HMGET', KEYS[1], 'life', 'sequence', 'at')
local is_new = true
if kept[1] then
    local life, sequence = ARGV[1] - kept[1], ARGV[2] - kept[2]
    if life < 0 or (life == 0 and sequence < 0) then
        return 0
    end
    is_new = life > 0 or sequence > 0
    if not is_new and kept[3] - ARGV[3] >= 0 then
        return 0
    end
end
redis.call('HSET', KEYS[1], 'life', ARGV[1], 'sequence', ARGV[2], 'at', ARGV[3], 'value', ARGV[5])
redis.call('PEXPIRE', KEYS[1], left)
if is_new then
    redis.call('PUBLISH', ARGV[6], ARGV[7])
end
return 1
