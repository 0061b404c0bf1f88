"""The Lua scripts of the room memory store on Valkey, for leases.

Leases are fields of the history of the first bucket: who has lost the leases has lost that history, and nobody takes a
lease for ended that was lost. A lease is the time of its last renewal, for how many milliseconds it lasts from then on,
and what its run tells of itself. One that has ended is removed when it is seen, so that it has ended for good.
"""

from typing import Final

from omnisonic.stores.room_memory.valkey_scripts import HISTORY

_LEASES: Final = (
    HISTORY
    + """
local function put(key, owner, now_ms, ttl_ms, info)
    redis.call('HSET', key, 'lease:' .. owner, string.format('%.0f %.0f ', now_ms, ttl_ms) .. info)
end

-- What the run of this lease tells of itself; false when the lease has ended.
local function see(key, owner, lease)
    if not lease then
        return false
    end
    local renewed, ttl, info = string.match(lease, '^(%d+) (%d+) (.*)$')
    local now_ms, renewed_ms, ttl_ms = math.floor(now_us() / 1000), tonumber(renewed), tonumber(ttl)
    if renewed_ms > now_ms then  -- the clock was set back
        put(key, owner, now_ms, ttl_ms, info)
    elseif now_ms >= renewed_ms + ttl_ms then
        redis.call('HDEL', key, 'lease:' .. owner)
        return false
    end
    return info
end

-- The runs that live, and what each tells of itself, in turn.
local function see_all(key)
    local all, live = redis.call('HGETALL', key), {}
    for i = 1, #all, 2 do
        local owner = string.match(all[i], '^lease:(.*)$')
        local info = owner and see(key, owner, all[i + 1])
        if info then
            live[#live + 1] = owner
            live[#live + 1] = info
        end
    end
    return live
end
"""
)

SETTLED: Final = (
    HISTORY
    + """
-- KEYS: the history. ARGV: milliseconds to live, and in which it settles. Returns the history, and for how many
-- milliseconds it is unsettled.
return {current_history(KEYS[1], ARGV[1], ARGV[2])}
"""
)

RENEW: Final = (
    _LEASES
    + """
-- KEYS: the history with the leases. ARGV: milliseconds to live, and in which it settles; the run, whether it begins,
-- otherwise the history in which it did; milliseconds for which the lease lasts, what the run tells of itself.
-- Returns whether it lives, the history, and for how many milliseconds this is unsettled.
local key, owner, begins = KEYS[1], ARGV[3], ARGV[4] == '1'
local history, unsettled_ms = current_history(key, ARGV[1], ARGV[2])
if begins then
    see_all(key)  -- removes those that have ended
end
local lives = see(key, owner, redis.call('HGET', key, 'lease:' .. owner)) and true or false
local may_live = lives ~= begins and history ~= '' and (begins or history == ARGV[5])
if may_live then
    put(key, owner, math.floor(now_us() / 1000), tonumber(ARGV[6]), ARGV[7])
elseif lives and not begins then
    redis.call('HDEL', key, 'lease:' .. owner)
end
return {may_live and 1 or 0, history, unsettled_ms}
"""
)

END: Final = """
-- KEYS: the history with the leases. ARGV: the run.
return redis.call('HDEL', KEYS[1], 'lease:' .. ARGV[1])
"""

LIVE: Final = (
    _LEASES
    + """
-- KEYS: the history with the leases. ARGV: milliseconds to live, and in which it settles; then the runs. Returns the
-- history, for how many milliseconds it is unsettled, and for each run whether its lease lives.
local history, unsettled_ms = current_history(KEYS[1], ARGV[1], ARGV[2])
local answer = {history, unsettled_ms}
for i = 3, #ARGV do
    answer[#answer + 1] = see(KEYS[1], ARGV[i], redis.call('HGET', KEYS[1], 'lease:' .. ARGV[i])) and 1 or 0
end
return answer
"""
)

GATEWAYS: Final = (
    _LEASES
    + """
-- KEYS: the history with the leases. Returns the runs that live, and what each tells of itself, in turn.
return see_all(KEYS[1])
"""
)
