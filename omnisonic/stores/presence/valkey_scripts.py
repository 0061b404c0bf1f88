"""The Lua scripts of the presence store on Valkey. Their keys: `omnisonic.stores.presence.valkey`."""

from typing import Final

_OUTLIVE: Final = """
local function outlive(set, ttl_ms)
    redis.call('PEXPIRE', set, ttl_ms, 'NX')
    redis.call('PEXPIRE', set, ttl_ms, 'GT')
end
"""

WRITE_ROSTERS: Final = (
    _OUTLIVE
    + """
-- KEYS: the owner's set, then for each room its index and the roster. ARGV: ttl, then for each its name and the JSON.
local owner, ttl_ms = KEYS[1], ARGV[1]
for i = 2, #KEYS, 2 do
    local index, roster, room, json = KEYS[i], KEYS[i + 1], ARGV[i], ARGV[i + 1]
    if json == '' then
        redis.call('DEL', roster)
        redis.call('SREM', index, roster)
        redis.call('SREM', owner, room)
    else
        redis.call('SET', roster, json, 'PX', ttl_ms)
        redis.call('SADD', index, roster)
        redis.call('SADD', owner, room)
        outlive(index, ttl_ms)
    end
end
outlive(owner, ttl_ms)
"""
)

FORGET_OWNER: Final = """
-- KEYS: the owner's set, the owner's beat. ARGV: prefix, owner.
for _, room in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local roster = ARGV[1] .. 'roster:' .. room .. ':' .. ARGV[2]
    redis.call('DEL', roster)
    redis.call('SREM', ARGV[1] .. 'room:' .. room, roster)
end
redis.call('DEL', KEYS[1], KEYS[2])
"""

_OWNED: Final = """
local function belongs_to_other(line, person)
    return type(line) == 'table' and type(line.person) == 'string' and line.person ~= person
end
local function is_anothers(key, person)
    local read, lease = pcall(cjson.decode, redis.pcall('GET', key))
    return read and belongs_to_other(lease, person)
end
"""

PUT_LEASE: Final = (
    _OUTLIVE
    + _OWNED
    + """
-- KEYS: the room's index, the lease. ARGV: ttl, JSON, whose it is, how the rosters' keys and the member's line begin,
-- who puts it (empty: there is no bound), how many may be theirs, how many may be in all. Returns 1; 0 when it is
-- another's; -1 when there are as many as may be.
if is_anothers(KEYS[2], ARGV[3]) then
    return 0
end
local bound, in_all, of_holder = ARGV[6] ~= '', 0, 0
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local is_roster = string.sub(key, 1, #ARGV[4]) == ARGV[4]
    local json = (is_roster or bound) and redis.pcall('GET', key)
    if bound and not json then
        redis.call('SREM', KEYS[1], key)
    elseif not is_roster then
        if type(json) == 'string' and key ~= KEYS[2] then
            local read, lease = pcall(cjson.decode, json)
            in_all = in_all + 1
            if read and type(lease) == 'table' and lease.holder == ARGV[6] then
                of_holder = of_holder + 1
            end
        end
    -- Rosters are long: only one with this member in it is decoded.
    elseif type(json) == 'string' and string.find(json, ARGV[5], 1, true) then
        local read, roster = pcall(cjson.decode, json)
        local member = cjson.decode(ARGV[5] .. '}').memberId
        for _, line in ipairs(read and type(roster) == 'table' and roster or {}) do
            if type(line) == 'table' and line.memberId == member and belongs_to_other(line, ARGV[3]) then
                return 0
            end
        end
    end
end
if bound and (in_all >= tonumber(ARGV[8]) or of_holder >= tonumber(ARGV[7])) then
    return -1
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[1])
redis.call('SADD', KEYS[1], KEYS[2])
outlive(KEYS[1], ARGV[1])
-- An index that nobody reads must not grow without end: each lease put in looks at three others.
for _, key in ipairs(redis.call('SRANDMEMBER', KEYS[1], 3)) do
    if redis.call('EXISTS', key) == 0 then
        redis.call('SREM', KEYS[1], key)
    end
end
return 1
"""
)

DROP_LEASE: Final = (
    _OWNED
    + """
-- KEYS: the room's index, the lease. ARGV: who drops it.
if is_anothers(KEYS[2], ARGV[1]) then
    return 0
end
redis.call('SREM', KEYS[1], KEYS[2])
return redis.call('DEL', KEYS[2])
"""
)

END_LEASES: Final = """
-- KEYS: the room's index. ARGV: how the leases' keys begin, whose are ended; empty: everybody's.
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if string.sub(key, 1, #ARGV[1]) == ARGV[1] then
        local read, lease = pcall(cjson.decode, redis.pcall('GET', key))
        if ARGV[2] == '' or read and type(lease) == 'table' and lease.person == ARGV[2] then
            redis.call('DEL', key)
            redis.call('SREM', KEYS[1], key)
        end
    end
end
"""

HEAD_COUNTS: Final = """
-- KEYS: indexes of rooms. Returns how many members each has; what cannot be read has none.
local counts = {}
for i, index in ipairs(KEYS) do
    local seen, count = {}, 0
    local function see(line)
        local id = type(line) == 'table' and line.memberId
        if type(id) == 'string' and not seen[id] then
            seen[id], count = true, count + 1
        end
    end
    for _, key in ipairs(redis.call('SMEMBERS', index)) do
        local read, entry = pcall(cjson.decode, redis.pcall('GET', key))
        if read and type(entry) == 'table' then
            see(entry)
            for _, line in ipairs(entry) do
                see(line)
            end
        end
    end
    counts[i] = count
end
return counts
"""

READ_ROOM: Final = """
-- KEYS: the room's index. Returns name, JSON and milliseconds left of each entry.
local entries = {}
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local json = redis.pcall('GET', key)
    if type(json) == 'string' then
        entries[#entries + 1] = {key, json, redis.call('PTTL', key)}
    else
        redis.call('SREM', KEYS[1], key)
    end
end
return entries
"""
