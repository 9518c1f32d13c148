-- Counts a request against limits, up to the first that refuses it. KEYS: one for each. ARGV, for each: `rate`, requests
-- a second and at once; or `day`, requests in a day, and 0. Answers, for each that was asked: whether it allows the
-- request, how many more it would, and a wait in microseconds.
local DAY = 86400
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- The generic cell rate algorithm: what is kept is when the limit will be as if it had never been used.
local function take_rate(key, rate, burst)
    local interval = 1000000 / rate
    local span = interval * burst
    -- A clock that was set back makes nobody wait for longer than a whole span.
    local unused_at = math.min(tonumber(redis.call('GET', key) or now), now + span)
    local next_at = math.max(unused_at, now) + interval
    local over = next_at - now - span
    -- Half a microsecond is lost where an interval is no whole number of them.
    if over > 0.5 then
        return 0, 0, math.ceil(over)
    end
    redis.call('SET', key, string.format('%.2f', next_at), 'PX', math.ceil((next_at - now) / 1000))
    return 1, math.floor((0.5 - over) / interval), 0
end

local function take_day(key, most)
    local day = math.floor(time[1] / DAY)
    local kept = redis.call('HMGET', key, 'day', 'used')
    local used = 0
    -- A clock that was set back does not give the day's quota again.
    if kept[1] and tonumber(kept[1]) >= day then
        day, used = tonumber(kept[1]), tonumber(kept[2])
    end
    local wait = (day + 1) * DAY * 1000000 - now
    if used >= most then
        return 0, 0, wait
    end
    redis.call('HSET', key, 'day', day, 'used', used + 1)
    redis.call('EXPIRE', key, 2 * DAY)
    return 1, most - used - 1, wait
end

local told = {}
for index, key in ipairs(KEYS) do
    local kind, most, burst = ARGV[3 * index - 2], tonumber(ARGV[3 * index - 1]), tonumber(ARGV[3 * index])
    local allowed, left, wait
    if kind == 'rate' then
        allowed, left, wait = take_rate(key, most, burst)
    else
        allowed, left, wait = take_day(key, most)
    end
    told[#told + 1] = allowed
    told[#told + 1] = left
    told[#told + 1] = wait
    if allowed == 0 then
        break
    end
end
return told
