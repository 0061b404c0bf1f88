"""The guard on Valkey, or Redis 7 and later: shared by every gateway and web process. Asyncio.

Keys, all beginning `omnisonic:guard:`, both parts of a name percent-encoded so that no two names collide, and in
braces, so that a cluster keeps what belongs to a name on one server:
- `used:{KIND:NAME}`: exists for as long as the name must not be used again;
- `slots:{KIND:NAME}` and `underway:{KIND:NAME}`: sorted sets of reserved tries, by when they began, and of those under
  way, by when they are over at the latest;
- `whole:{KIND:NAME}`: when an allowance would be full again (GCRA, ITU-T I.371).

Times are in microseconds of the server's clock.

No key is ever without a time to live, and each step is one command or one script, so that two processes are never both
first. Only several allowances in a cluster are taken each by itself, and given back when one of them has none left: for
that moment another caller may be refused. When the server's clock is set back, tries that are in the future then are
forgotten, so that they do not lock a user out for that time.

Overload and crash of the server: `Unavailable` (`omnisonic.stores.valkey`). The call may have been done all the same:
then a ticket is used up, or a try counted, never the other way round. A server that comes back empty has forgotten what
was used; a ticket works again then until it expires, seconds later. Shutdown: `aclose`.
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from omnisonic.stores.guard import UNDER_WAY, Allowance, Guard
from omnisonic.stores.valkey import ValkeyClient

TIMEOUT_S: Final = 0.75
"""A person waits for the answer: longer than for the presence mirror, for which no one waits, and hardly noticeable."""
CONNECTIONS: Final = 8
"""Its commands are short, so a few connections serve many callers sooner than one new connection each."""

_PREFIX: Final = "omnisonic:guard:"

_RESERVE: Final = """
-- KEYS: the tries, those under way. ARGV: limit, window and longest time in microseconds, slot. Returns microseconds
-- to wait, or -1 while some are under way.
local clock = redis.call('TIME')
local now, limit = clock[1] * 1000000 + clock[2], tonumber(ARGV[1])
local window, longest = tonumber(ARGV[2]), tonumber(ARGV[3])
local newest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if newest and tonumber(newest) > now then
    redis.call('DEL', KEYS[1], KEYS[2])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local count = redis.call('ZCARD', KEYS[1])
if count < limit then
    redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[4])
    redis.call('ZADD', KEYS[2], string.format('%.0f', now + longest), ARGV[4])
    redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
    redis.call('PEXPIRE', KEYS[2], math.ceil(longest / 1000))
    return 0
end
if redis.call('ZCARD', KEYS[2]) > 0 then
    return -1
end
if limit <= 0 then
    return window
end
return math.max(1, tonumber(redis.call('ZRANGE', KEYS[1], -limit, -limit, 'WITHSCORES')[2]) + window - now)
"""

_RESOLVE: Final = """
-- KEYS: the sets to remove the slot from. ARGV: the slot.
for _, key in ipairs(KEYS) do
    redis.call('ZREM', key, ARGV[1])
end
"""


_SPEND: Final = """
-- KEYS: when each allowance is full. ARGV: for each the microseconds that one takes, and those that all take. Returns
-- microseconds to wait.
local clock = redis.call('TIME')
local now, wait, after = clock[1] * 1000000 + clock[2], 0, {}
for i, key in ipairs(KEYS) do
    local one, all = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local whole = tonumber(redis.call('GET', key) or now)
    -- Later than that it is only when the clock was set back.
    after[i] = math.min(math.max(whole, now), now + all) + one
    wait = math.max(wait, after[i] - all - now)
end
if wait > 0 then
    return math.ceil(wait)
end
for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', after[i]), 'PX', math.ceil((after[i] - now) / 1000))
end
return 0
"""

_GIVE_BACK: Final = """
-- KEYS: when the allowance is full. ARGV: the microseconds that one takes.
local clock = redis.call('TIME')
local now, whole = clock[1] * 1000000 + clock[2], redis.call('GET', KEYS[1])
local after = whole and tonumber(whole) - tonumber(ARGV[1]) or 0
if after > now then
    redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
elseif whole then
    redis.call('DEL', KEYS[1])
end
"""


class ValkeyGuard:
    """A `Guard` at `url`. Each call is one round trip with a deadline of `timeout_s`.

    In a cluster `spend` makes a second one when it refuses.

    Errors: `Unavailable` from every method; `InvalidInput` when `url` is not a Redis URL.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._valkey = ValkeyClient(url, timeout_s=timeout_s, connections=CONNECTIONS)

    async def first_use(self, kind: str, name: str, *, ttl_s: float) -> bool:
        life_ms = max(1, round(ttl_s * 1000))
        return await self._valkey.command("SET", _key("used", kind, name), "1", "PX", life_ms, "NX") is not None

    async def reserve(self, kind: str, name: str, slot: str, *, limit: int, window_s: float, longest_s: float) -> float:
        keys = _key("slots", kind, name), _key("underway", kind, name)
        words = limit, round(window_s * 1e6), round(longest_s * 1e6), slot
        wait_us: Any = await self._valkey.command("EVAL", _RESERVE, 2, *keys, *words)
        return UNDER_WAY if wait_us < 0 else int(wait_us) / 1e6

    async def resolve(self, kind: str, name: str, slot: str, *, counts: bool) -> None:
        keys = [_key("underway", kind, name), *([] if counts else [_key("slots", kind, name)])]
        await self._valkey.command("EVAL", _RESOLVE, len(keys), *keys, slot)

    async def spend(self, allowances: Sequence[Allowance]) -> float:
        keys = [_key("whole", each.kind, each.name) for each in allowances]
        prices = [[round(many * 1e6 / each.rate_per_s) or 1 for many in (1, each.burst)] for each in allowances]
        if len(keys) > 1 and await self._valkey.is_cluster():
            return await self._spend_apart(keys, prices)
        words = [word for price in prices for word in price]
        return int(await self._valkey.command("EVAL", _SPEND, len(keys), *keys, *words)) / 1e6

    async def _spend_apart(self, keys: Sequence[str], prices: Sequence[Sequence[int]]) -> float:
        """Take from allowances that are on several servers. Failing to give back counts one too many."""
        spent = zip(keys, prices, strict=True)
        waits = await self._valkey.commands([("EVAL", _SPEND, 1, key, *price) for key, price in spent])
        if any(waits):
            taken = [(key, price[0]) for key, price, wait in zip(keys, prices, waits, strict=True) if not wait]
            await self._valkey.commands_each([("EVAL", _GIVE_BACK, 1, key, one) for key, one in taken])
        return float(max(waits)) / 1e6

    async def aclose(self) -> None:
        await self._valkey.aclose()


def _key(what: str, *names: str) -> str:
    """A key of these names, percent-encoded; any text can be a name."""
    quoted = (quote(name.encode(errors="surrogatepass"), safe="") for name in names)
    return f"{_PREFIX}{what}:{{{':'.join(quoted)}}}"


_fits: type[Guard] = ValkeyGuard
