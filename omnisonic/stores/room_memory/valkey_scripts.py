"""The Lua scripts of the room memory store on Valkey. Their keys: `omnisonic.stores.room_memory.valkey`.

This module needs no client, so that `omnisonic serve` can use it without loading one.
"""

from typing import Final

PREFIX: Final = "omnisonic:memory:"
HISTORY_KEY: Final = f"{PREFIX}history"

_RUN: Final = """
-- Names the run of the server; false when it does not tell.
local function current_run()
    local told = redis.pcall('INFO', 'server')
    return type(told) == 'string' and string.match(told, 'run_id:(%w+)')
end
"""

KNOWS_RUN: Final = (
    _RUN
    + """
return current_run() and 1 or 0
"""
)

_HISTORY: Final = (
    _RUN
    + """
-- Which history of the server's data this is: the run of the server in which it began. A server that starts again may
-- have gone back to an older state, so it begins another history, unless somebody who knows better says so
-- (`CONTINUE`). Empty when the server does not tell its run.
local function current_history(key)
    local run = current_run()
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
)

CLAIM: Final = (
    _HISTORY
    + """
-- KEYS: the history, then for each room its record and its blocks. ARGV: the owner, milliseconds to live of the
-- history, and of a record that is new.
-- Returns for each room the fencing number, whether it was released in this history, how many blocks there should be,
-- the fields of the record, and offsets and contents of the blocks in turn.
local history = current_history(KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local claims = {}
for i = 2, #KEYS, 2 do
    local record, blocks = KEYS[i], KEYS[i + 1]
    local before = redis.call('HMGET', record, 'fence', 'released', 'blocks', 'owner')
    local fence = before[1]
    if not fence or before[4] ~= ARGV[1] then
        -- The clock keeps fencing numbers rising when the server has come back empty.
        fence = string.format('%.0f', math.max((tonumber(fence) or 0) + 1, now_us))
    end
    local is_clean = history ~= '' and before[2] == history
    local entries = {}
    for _, entry in ipairs(redis.call('XRANGE', blocks, '-', '+')) do
        entries[#entries + 1] = string.match(entry[1], '^%d+')
        entries[#entries + 1] = entry[2][2]
    end
    claims[#claims + 1] = {
        fence, is_clean and 1 or 0, tonumber(before[3]) or 0, redis.call('HGETALL', record), entries
    }
    if fence ~= before[1] then
        redis.call('HSET', record, 'fence', fence, 'number', 0, 'owner', ARGV[1])
    end
    redis.call('HDEL', record, 'released')
    redis.call('PEXPIRE', record, ARGV[3], 'NX')
end
return claims
"""
)

WRITE: Final = (
    _HISTORY
    + """
-- KEYS: the history, then for each write the record and the blocks. ARGV: milliseconds to live of the history and of
-- blocks; then for each write a word with the fence, the number, the number before, whether it is whole, whether it is
-- a release, the lowest offset to keep, milliseconds to live of the record, how many values and how many blocks follow;
-- and these: name and content, offset and content. Returns 1 for each write that is done, 0 where the claim is lost, -1
-- where the record is not what was written.
local history_ms, blocks_ms, at, history = ARGV[1], ARGV[2], 3, nil
local outcomes = {}
for i = 2, #KEYS, 2 do
    local record, blocks = KEYS[i], KEYS[i + 1]
    local fence_text, number_text, after, whole, release, forget_before, record_ms, values, appended =
        string.match(ARGV[at], '^(%d+) (%d+) (%d+) (%d) (%d) (%d+) (%d+) (%d+) (%d+)$')
    local fence, number = tonumber(fence_text), tonumber(number_text)
    local is_whole, is_release = whole == '1', release == '1'
    after, values, appended = tonumber(after), tonumber(values), tonumber(appended)
    at = at + 1
    local known = redis.call('HMGET', record, 'fence', 'number', 'blocks')
    local known_fence, known_number, outcome = tonumber(known[1]) or 0, tonumber(known[2]) or 0, 1
    local is_older = known_fence < fence or known_number < after
    if known_fence > fence then
        outcome = 0
    elseif not is_whole and (is_older or (tonumber(known[3]) or 0) ~= redis.call('XLEN', blocks)) then
        outcome = -1
    elseif known_fence < fence or known_number < number then
        if is_whole then
            local owner = redis.call('HGET', record, 'owner')
            redis.call('DEL', record, blocks)
            if owner then
                redis.call('HSET', record, 'owner', owner)
            end
        end
        redis.call('HSET', record, 'fence', fence_text, 'number', number_text)
        for j = at, at + 2 * values - 1, 2 do
            redis.call('HSET', record, ARGV[j], ARGV[j + 1])
        end
        for j = at + 2 * values, at + 2 * (values + appended) - 1, 2 do
            local added = redis.pcall('XADD', blocks, ARGV[j] .. '-0', '', ARGV[j + 1])
            -- A block is there already when the write that brought it was given up, and this one replaces it.
            if type(added) == 'table' and added.err and not string.find(added.err, 'equal or smaller', 1, true) then
                return added
            end
        end
        if forget_before ~= '0' then
            redis.call('XTRIM', blocks, 'MINID', forget_before)
        end
        redis.call('HSET', record, 'blocks', redis.call('XLEN', blocks))
        if is_release then
            history = history or current_history(KEYS[1])
            redis.call('HSET', record, 'released', history)
        else
            redis.call('HDEL', record, 'released')
        end
        redis.call('PEXPIRE', KEYS[1], history_ms)
        redis.call('PEXPIRE', record, record_ms)
        redis.call('PEXPIRE', blocks, blocks_ms)
    end
    at = at + 2 * (values + appended)
    outcomes[#outcomes + 1] = outcome
end
return outcomes
"""
)

CONTINUE: Final = (
    _RUN
    + """
-- KEYS: the history. The server has loaded all that it held when it was stopped: its history goes on in this run.
local run = current_run()
if run and redis.call('HEXISTS', KEYS[1], 'history') == 1 then
    redis.call('HSET', KEYS[1], 'run', run)
end
"""
)


def continue_history() -> tuple[str, ...]:
    """The command to send to a server that has started again with all that it held when it was stopped.

    Send it before anybody is served.
    """
    return "EVAL", CONTINUE, "1", HISTORY_KEY
