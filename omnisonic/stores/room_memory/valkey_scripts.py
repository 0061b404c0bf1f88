"""The Lua scripts of the room memory store on Valkey. Their keys: `omnisonic.stores.room_memory.valkey`."""

from typing import Final

_HISTORY: Final = """
-- Which history of the server's data this is: the run of the server in which it began. A server that starts again may
-- have gone back to an older state, so it begins another history, unless somebody who knows better says so
-- (`CONTINUE`). Empty when the server does not tell its run.
local function current_history(key)
    local told = redis.pcall('INFO', 'server')
    local run = type(told) == 'string' and string.match(told, 'run_id:(%w+)')
    if not run then
        return ''
    end
    local known = redis.call('HMGET', key, 'run', 'history')
    if known[1] == run and known[2] then
        return known[2]
    end
    redis.call('HSET', key, 'run', run, 'history', run)
    return run
end
"""

CLAIM: Final = (
    _HISTORY
    + """
-- KEYS: the history, then for each room its record and its messages. ARGV: the owner, milliseconds to live of records.
-- Returns for each room the fencing number, whether it was released in this history, how many messages there should be,
-- the fields of the record, and offsets and contents of the messages in turn.
local history = current_history(KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local claims = {}
for i = 2, #KEYS, 2 do
    local record, messages = KEYS[i], KEYS[i + 1]
    local before = redis.call('HMGET', record, 'fence', 'released', 'messages')
    -- The clock keeps fencing numbers rising when the server has come back empty.
    local fence = string.format('%.0f', math.max((tonumber(before[1]) or 0) + 1, now_us))
    local is_clean = history ~= '' and before[2] == history
    local entries = {}
    for _, entry in ipairs(redis.call('XRANGE', messages, '-', '+')) do
        entries[#entries + 1] = string.match(entry[1], '^%d+')
        entries[#entries + 1] = entry[2][2]
    end
    claims[#claims + 1] = {
        fence, is_clean and 1 or 0, tonumber(before[3]) or 0, redis.call('HGETALL', record), entries
    }
    redis.call('HSET', record, 'fence', fence, 'number', 0, 'owner', ARGV[1])
    redis.call('HDEL', record, 'released')
    redis.call('PEXPIRE', record, ARGV[2])
end
return claims
"""
)

WRITE: Final = (
    _HISTORY
    + """
-- KEYS: the history, then for each write the record and the messages. ARGV: milliseconds to live of records and of
-- messages; then for each write: fence, number, `whole` or empty, `release` or empty, the lowest offset to keep, how
-- many values and how many messages follow, and these: name and content, offset and content. Returns 1 for each write
-- that is done, 0 where the claim is lost, -1 where the record is not what was written.
local record_ms, messages_ms, at, history = ARGV[1], ARGV[2], 3, nil
local outcomes = {}
for i = 2, #KEYS, 2 do
    local record, messages = KEYS[i], KEYS[i + 1]
    local fence, number, is_whole, is_release = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
    local forget_before, values, appended = ARGV[at + 4], tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
    at = at + 7
    local known = redis.call('HMGET', record, 'fence', 'number', 'messages')
    local known_fence, outcome = tonumber(known[1]) or 0, 1
    if known_fence > fence then
        outcome = 0
    elseif is_whole == '' and
        (known_fence < fence or (tonumber(known[3]) or 0) ~= redis.call('XLEN', messages)) then
        outcome = -1
    elseif known_fence < fence or (tonumber(known[2]) or 0) < number then
        if is_whole ~= '' then
            local owner = redis.call('HGET', record, 'owner')
            redis.call('DEL', record, messages)
            if owner then
                redis.call('HSET', record, 'owner', owner)
            end
        end
        redis.call('HSET', record, 'fence', ARGV[at - 7], 'number', ARGV[at - 6])
        for j = at, at + 2 * values - 1, 2 do
            redis.call('HSET', record, ARGV[j], ARGV[j + 1])
        end
        for j = at + 2 * values, at + 2 * (values + appended) - 1, 2 do
            redis.call('XADD', messages, ARGV[j] .. '-0', '', ARGV[j + 1])
        end
        if forget_before ~= '0' then
            redis.call('XTRIM', messages, 'MINID', forget_before)
        end
        redis.call('HSET', record, 'messages', redis.call('XLEN', messages))
        if is_release ~= '' then
            history = history or current_history(KEYS[1])
            redis.call('HSET', record, 'released', history)
        else
            redis.call('HDEL', record, 'released')
        end
        redis.call('PEXPIRE', KEYS[1], record_ms)
        redis.call('PEXPIRE', record, record_ms)
        redis.call('PEXPIRE', messages, messages_ms)
    end
    at = at + 2 * (values + appended)
    outcomes[#outcomes + 1] = outcome
end
return outcomes
"""
)

CONTINUE: Final = """
-- KEYS: the history. The server has loaded all that it held when it was stopped: its history goes on in this run.
local told = redis.pcall('INFO', 'server')
local run = type(told) == 'string' and string.match(told, 'run_id:(%w+)')
if run and redis.call('HEXISTS', KEYS[1], 'history') == 1 then
    redis.call('HSET', KEYS[1], 'run', run)
end
"""
