-- Looks for a poll's result. KEYS: its key. ARGV: the life and sequence that are held, milliseconds that it may be old.
-- Answers with Redis's time, whether there is nothing better (0), the same (1) or something newer (2), and that.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'life', 'sequence', 'at', 'value')
if not kept[4] then
    return {now, 0, false}
end
local age = now - kept[3]
if age < 0 or age >= tonumber(ARGV[3]) then
    return {now, 0, false}
end
local life, sequence = kept[1] - ARGV[1], kept[2] - ARGV[2]
if life == 0 and sequence == 0 then
    return {now, 1, false}
end
if life > 0 or (life == 0 and sequence > 0) then
    return {now, 2, kept[4]}
end
return {now, 0, false}
