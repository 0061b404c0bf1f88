"""The Lua scripts of the room memory store on Valkey, for records. Their keys: `omnisonic.stores.room_memory.valkey`.

This module needs no client, so that `omnisonic serve` can use it without loading one.
"""

from typing import Final

PREFIX: Final = "omnisonic:memory:"

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

HISTORY: Final = (
    _RUN
    + """
local function now_us()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end

-- Which history of the data this is, and for how many milliseconds it is unsettled. A server that starts again, or
-- takes over from another one, may have gone back to an older state, so it begins another history, unless somebody who
-- knows better says so (`CONTINUE`). So does one that was emptied. Empty when the server does not tell its run.
local function current_history(key, live_ms, settle_ms)
    local run = current_run()
    if not run then
        return '', 0
    end
    local now_ms = math.floor(now_us() / 1000)
    local known = redis.call('HMGET', key, 'run', 'history', 'began')
    local history, began = known[2], tonumber(known[3])
    if known[1] ~= run or not history or not began then
        history, began = string.format('%s:%.0f', run, now_us()), now_ms
        redis.call('HSET', key, 'run', run, 'history', history, 'began', string.format('%.0f', began))
    elseif began > now_ms then  -- the clock was set back
        began = now_ms
        redis.call('HSET', key, 'began', string.format('%.0f', began))
    end
    redis.call('PEXPIRE', key, live_ms)
    return history, math.max(0, began + tonumber(settle_ms) - now_ms)
end
"""
)

CLAIM: Final = (
    HISTORY
    + """
-- KEYS: the history, then for each room its record and its blocks. ARGV: the owner, milliseconds to live of the
-- history and of a record that is new, milliseconds in which the history settles; the history in which the owner began,
-- and rooms are left to those who hold them, or nothing, and they are not; the number of this call among those of the
-- owner; how many owners are known to be dead, and these; then for each room the fencing number that is shown or 0.
-- Returns nothing when the history is another one. Otherwise for each room 1, the fencing number, whether it was
-- released in this history, how many blocks there should be, the fencing number before, how many milliseconds ago it
-- was written or -1, the fields of the record, and offsets and contents of the blocks in turn. Or 0 and who holds it.
-- Or -1 and for how many milliseconds nobody knows.
local owner, leaves, dead = ARGV[1], ARGV[5] ~= '', {}
local history, unsettled_ms = current_history(KEYS[1], ARGV[2], ARGV[4])
if leaves and history ~= ARGV[5] then
    return {}
end
local call, first_shown = tonumber(ARGV[6]), 7 + ARGV[7]
for i = 8, first_shown do
    dead[ARGV[i]] = true
end
local function claim(record, blocks, shown)
    local before = redis.call('HMGET', record, 'fence', 'released', 'blocks', 'owner', 'call', 'written')
    local fence, known, written = before[1], tonumber(before[1]) or 0, tonumber(before[6])
    if leaves and before[4] == owner and call <= (tonumber(before[5]) or 0) then
        return {0, owner}  -- it was given up, and done after a later one
    end
    if leaves and before[4] ~= owner then
        if before[4] and not before[2] and not dead[before[4]] then
            return {0, before[4]}
        elseif unsettled_ms > 0 and (shown == 0 or shown < known) then
            return {-1, unsettled_ms}
        end
    end
    if leaves or not fence or before[4] ~= owner then
        -- The clock keeps fencing numbers rising when the server has come back empty.
        fence = string.format('%.0f', math.max(math.max(known, shown) + 1, now_us()))
    end
    local is_clean = history ~= '' and before[2] == history
    local entries = {}
    for _, entry in ipairs(redis.call('XRANGE', blocks, '-', '+')) do
        entries[#entries + 1] = string.match(entry[1], '^%d+')
        entries[#entries + 1] = entry[2][2]
    end
    local fields = redis.call('HGETALL', record)
    if fence ~= before[1] then
        redis.call('HSET', record, 'fence', fence, 'number', 0, 'owner', owner, 'call', call)
    end
    redis.call('HDEL', record, 'released')
    if leaves then
        redis.call('PEXPIRE', record, ARGV[3])
    else
        redis.call('PEXPIRE', record, ARGV[3], 'NX')
    end
    local age_ms = written and math.max(0, math.floor(now_us() / 1000) - written) or -1
    return {1, fence, is_clean and 1 or 0, tonumber(before[3]) or 0, before[1] or '0', age_ms, fields, entries}
end
local claims = {}
for i = 2, #KEYS, 2 do
    claims[#claims + 1] = claim(KEYS[i], KEYS[i + 1], tonumber(ARGV[first_shown + i / 2]))
end
return claims
"""
)

WRITE: Final = (
    HISTORY
    + """
-- KEYS: the history, then for each write the record and the blocks. ARGV: milliseconds to live of the history and of
-- blocks; then for each write a word with the fence, the number, the number before, whether it is whole, whether it is
-- a release, the lowest offset to keep, milliseconds to live of the record, how many values and how many blocks follow;
-- and these: name and content, offset and content. Returns 1 for each write that is done, 0 where the claim is lost, -1
-- where the record is not what was written.
local history_ms, blocks_ms, at, history = ARGV[1], ARGV[2], 3, nil
local outcomes, now_ms = {}, string.format('%.0f', math.floor(now_us() / 1000))
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
        if not is_release then
            record_ms = math.max(tonumber(record_ms), redis.call('PTTL', record))
        end
        if is_whole then
            local of_claim = redis.call('HMGET', record, 'owner', 'call')
            redis.call('DEL', record, blocks)
            if known_fence == fence and of_claim[1] then
                redis.call('HSET', record, 'owner', of_claim[1], 'call', of_claim[2])
            end
        end
        redis.call('HSET', record, 'fence', fence_text, 'number', number_text, 'written', now_ms)
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
            history = history or current_history(KEYS[1], history_ms, 0)
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

TOUCH: Final = """
-- KEYS: the history, then the records. ARGV: milliseconds to live of the history, and of the records from now on; then
-- for each record the fencing number of its owner. Returns for each what a write would return.
redis.call('PEXPIRE', KEYS[1], ARGV[1])
local keep_ms, outcomes = tonumber(ARGV[2]), {}
for i = 2, #KEYS do
    local record = redis.call('HMGET', KEYS[i], 'fence', 'released')
    local known, fence, outcome = tonumber(record[1]) or 0, tonumber(ARGV[i + 1]), 1
    if known > fence then
        outcome = 0
    elseif known < fence then
        outcome = -1
    elseif not record[2] and redis.call('PTTL', KEYS[i]) < keep_ms then
        redis.call('PEXPIRE', KEYS[i], keep_ms)
    end
    outcomes[#outcomes + 1] = outcome
end
return outcomes
"""

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


def history_key(bucket: int = 0) -> str:
    """The history of the records in one bucket. That of the first one has the leases, too."""
    return f"{PREFIX}{{{bucket}}}:history"


def continue_history() -> tuple[str, ...]:
    """The command to send to a server, not one of a cluster, that has started with all that it held when it stopped.

    Send it before anybody is served.
    """
    return "EVAL", CONTINUE, "1", history_key()
