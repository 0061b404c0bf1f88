"""What every guard promises (`omnisonic.stores.guard`), held on each of them, as a trio program uses it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import cast
from uuid import uuid4

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import InvalidInput, Unavailable
from omnisonic.stores.guard import UNDER_WAY, Allowance, Guard
from omnisonic.stores.guard.memory import MOST_ALLOWANCES, SWEEP_EVERY_S, MemoryGuard
from omnisonic.stores.guard.threaded import ThreadedGuard
from omnisonic.stores.guard.valkey import TIMEOUT_S, ValkeyGuard
from tests.stores.conftest import PATIENT_S, SLACK_S, Clock, InThread, url_of
from tests.valkey_server import ValkeyServer

SHORT_S = 0.15
LONG_S = 60.0
LIMIT = 5


async def fail(guard: Guard, kind: str, name: str, *, limit: int, window_s: float) -> float:
    slot = str(uuid4())
    wait_s = await guard.reserve(kind, name, slot, limit=limit, window_s=window_s, longest_s=LONG_S)
    if wait_s == 0:
        await guard.resolve(kind, name, slot, counts=True)
    return wait_s


@dataclass
class Watch:
    """A guard and its time."""

    guard: Guard
    clock: Clock | None = None

    async def fail(
        self, name: str = "ada", *, kind: str = "password", limit: int = LIMIT, window_s: float = LONG_S
    ) -> float:
        """Make one try that counts, if it is allowed. Returns how long to wait otherwise."""
        return await fail(self.guard, kind, name, limit=limit, window_s=window_s)

    async def reserve(
        self, slot: str, *, limit: int = LIMIT, window_s: float = LONG_S, longest_s: float = LONG_S
    ) -> float:
        times = {"window_s": window_s, "longest_s": longest_s}
        return await self.guard.reserve("password", "ada", slot, limit=limit, **times)

    async def once_passed(self, wait_s: float, holds: Callable[[], Awaitable[bool]]) -> None:
        """Let `wait_s` pass, then see that `holds`: at once on an injected clock, in the end on a server."""
        if self.clock is not None:
            self.clock.now_s += wait_s
            assert await holds()
            return
        while not await holds():
            await trio.lowlevel.checkpoint()


def patient_guard(url: str, thread: AsyncioThread) -> Guard:
    """The guard at `url` as a trio test can call it, with a deadline that no test tries."""
    return cast("Guard", InThread(thread, ValkeyGuard(url, timeout_s=PATIENT_S)))


@pytest.fixture
async def watch(place: str, thread: AsyncioThread, request: pytest.FixtureRequest) -> AsyncIterator[Watch]:
    """The guard at this `place`, which has seen nothing yet."""
    if place == "memory":
        clock = Clock()
        yield Watch(MemoryGuard(clock), clock)
        return
    guard = patient_guard(url_of(place, request), thread)
    yield Watch(guard)
    await guard.aclose()


async def test_a_name_is_used_for_the_first_time_once(watch: Watch) -> None:
    """Of its kind; the same name of another kind is another."""
    assert [await watch.guard.first_use("ticket", "x", ttl_s=LONG_S) for _ in range(3)] == [True, False, False]
    assert await watch.guard.first_use("state", "x", ttl_s=LONG_S)
    assert await watch.guard.first_use("ticket", "y", ttl_s=LONG_S)


async def test_of_fifty_uses_at_once_one_is_the_first(watch: Watch) -> None:
    """The others are told that it was used."""
    firsts: list[bool] = []

    async def use() -> None:
        firsts.append(await watch.guard.first_use("ticket", "x", ttl_s=LONG_S))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(use)
    assert sorted(firsts) == [False] * 49 + [True]


async def test_a_use_is_forgotten_after_its_time(watch: Watch) -> None:
    """Asking in between does not make it longer."""
    assert await watch.guard.first_use("ticket", "x", ttl_s=SHORT_S)

    async def is_new() -> bool:
        return await watch.guard.first_use("ticket", "x", ttl_s=SHORT_S)

    await watch.once_passed(SHORT_S, is_new)


async def test_the_sixth_try_in_a_minute_is_refused(watch: Watch) -> None:
    """Five count; more are told to wait for the rest of the minute, and do not make it longer. Others may try."""
    assert [await watch.fail() for _ in range(LIMIT)] == [0.0] * LIMIT
    for _ in range(10):
        assert LONG_S - 10 < await watch.fail() <= LONG_S
    assert await watch.fail("bo") == 0
    assert await watch.fail(kind="another kind") == 0


async def test_a_try_is_free_again_when_the_oldest_is_over(watch: Watch) -> None:
    """Exactly one for each that is over: the window slides, it does not start anew."""
    if watch.clock is None:
        waits = [await watch.fail(limit=2, window_s=SHORT_S) for _ in range(3)]
        assert waits[:2] == [0.0, 0.0]
        assert 0 < waits[2] <= SHORT_S

        async def is_free() -> bool:
            return await watch.fail(limit=2, window_s=SHORT_S) == 0

        await watch.once_passed(waits[2], is_free)
        return
    for _ in range(LIMIT):
        assert await watch.fail() == 0
        watch.clock.now_s += 10
    assert await watch.fail() == pytest.approx(10)
    watch.clock.now_s += 9.99
    assert await watch.fail() == pytest.approx(0.01)
    watch.clock.now_s += 0.02
    assert [await watch.fail(), await watch.fail()] == [0.0, pytest.approx(9.99)]


async def test_a_slot_is_free_again_when_its_try_did_not_count(watch: Watch) -> None:
    """Those that counted stay for the window; while some are under way, nobody is told to wait for a minute."""
    assert [await watch.reserve(str(number)) for number in range(LIMIT)] == [0.0] * LIMIT
    assert await watch.reserve("x") == UNDER_WAY
    for number in range(LIMIT - 1):
        await watch.guard.resolve("password", "ada", str(number), counts=True)
    assert await watch.reserve("x") == UNDER_WAY
    await watch.guard.resolve("password", "ada", "4", counts=False)
    assert await watch.reserve("x") == 0
    await watch.guard.resolve("password", "ada", "x", counts=True)
    assert LONG_S - 10 < await watch.reserve("y") <= LONG_S
    await watch.guard.resolve("password", "ada", "never reserved", counts=False)
    await watch.guard.resolve("password", "nobody", "x", counts=True)
    assert await watch.reserve("y") > 0
    assert await watch.guard.reserve("password", "bo", "x", limit=LIMIT, window_s=LONG_S, longest_s=LONG_S) == 0


async def test_of_fifty_slots_asked_for_at_once_five_are_given(watch: Watch) -> None:
    """However many processes ask."""
    waits: list[float] = []

    async def attempt(number: int) -> None:
        waits.append(await watch.reserve(str(number)))

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(attempt, number)
    assert sorted(waits) == [UNDER_WAY] * 45 + [0.0] * 5


async def test_a_try_that_nobody_settles_has_failed(watch: Watch) -> None:
    """A process that crashes gives no slot back: after its time the try counts as any other."""
    assert await watch.reserve("x", limit=1, longest_s=SHORT_S) == 0

    async def has_failed() -> bool:
        return await watch.reserve("y", limit=1) > 0

    await watch.once_passed(SHORT_S, has_failed)


async def test_a_slot_is_free_again_when_its_window_is_over(watch: Watch) -> None:
    """Also when it counted."""
    for slot in ("x", "y"):
        assert await watch.reserve(slot, limit=2, window_s=SHORT_S) == 0
        await watch.guard.resolve("password", "ada", slot, counts=True)

    async def is_free() -> bool:
        return await watch.reserve("z", limit=2, window_s=SHORT_S) == 0

    assert 0 < await watch.reserve("z", limit=2, window_s=SHORT_S) <= SHORT_S
    await watch.once_passed(SHORT_S, is_free)


async def test_an_allowance_is_spent_and_grows_again(watch: Watch) -> None:
    """So many at once, then one each time that one has grown; each name has its own, and so has each kind."""
    allowance = Allowance("requests", "ada", rate_per_s=1 / LONG_S, burst=3)
    waits = [await watch.guard.spend([allowance]) for _ in range(5)]
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert all(LONG_S - 10 < wait_s <= LONG_S for wait_s in waits[3:])
    assert await watch.guard.spend([replace(allowance, name="bo")]) == 0
    assert await watch.guard.spend([replace(allowance, kind="others")]) == 0
    quick = Allowance("requests", "cy", rate_per_s=1 / SHORT_S, burst=1)
    assert await watch.guard.spend([quick]) == 0
    wait_s = await watch.guard.spend([quick])
    assert 0 <= wait_s <= SHORT_S

    async def has_grown() -> bool:
        return await watch.guard.spend([quick]) == 0

    await watch.once_passed(SHORT_S, has_grown)


async def test_two_allowances_are_spent_together_or_not_at_all(watch: Watch) -> None:
    """What one of them refuses takes nothing from the other; the wait is the longer one."""
    short = Allowance("requests", "ada", rate_per_s=2 / LONG_S, burst=2)
    long = Allowance("address", "::1", rate_per_s=1 / LONG_S, burst=1)
    assert await watch.guard.spend([short, long]) == 0
    for _ in range(3):
        assert LONG_S - 10 < await watch.guard.spend([short, long]) <= LONG_S
    assert await watch.guard.spend([short]) == 0
    assert LONG_S / 2 - 10 < await watch.guard.spend([short]) <= LONG_S / 2


async def test_of_fifty_who_spend_at_once_five_get_through(watch: Watch) -> None:
    """However many processes ask."""
    waits: list[float] = []

    async def spend() -> None:
        waits.append(await watch.guard.spend([Allowance("requests", "ada", rate_per_s=0.001, burst=LIMIT)]))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(spend)
    assert waits.count(0.0) == LIMIT


async def test_allowances_in_memory_are_bounded() -> None:
    """From so many names on, all newcomers share one allowance; known names keep theirs, and a rest makes room."""
    clock = Clock()
    guard = MemoryGuard(clock)

    async def spend(name: str) -> float:
        return await guard.spend([Allowance("requests", name, rate_per_s=1, burst=2)])

    assert [await spend(str(number)) for number in range(MOST_ALLOWANCES)] == [0.0] * MOST_ALLOWANCES
    assert [await spend(name) > 0 for name in ("a", "b", "c", "0", "0")] == [False, False, True, False, True]
    assert len(guard._full_at_s) == MOST_ALLOWANCES + 1
    clock.now_s += SWEEP_EVERY_S
    assert await spend("d") == 0
    assert len(guard._full_at_s) == 1


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_of_nothing_lets_nobody_try(watch: Watch, limit: int) -> None:
    """Whoever asks waits for the whole window."""
    assert await watch.fail(limit=limit) == pytest.approx(LONG_S)


@pytest.mark.parametrize(
    ("one", "other"), [(("a", "b:c"), ("a:b", "c")), (("a", "\ud800"), ("a", "\udfff")), (("a", "é"), ("a", "e"))]
)
async def test_names_with_any_characters_never_meet(watch: Watch, one: tuple[str, str], other: tuple[str, str]) -> None:
    """Colons, other alphabets and halves of characters stay apart."""
    assert await watch.guard.first_use(*one, ttl_s=LONG_S)
    assert await watch.guard.first_use(*other, ttl_s=LONG_S)
    assert await fail(watch.guard, *one, limit=1, window_s=LONG_S) == 0
    assert await fail(watch.guard, *other, limit=1, window_s=LONG_S) == 0


async def test_what_is_over_takes_up_no_memory() -> None:
    """A minute later, a single call sweeps out all that is over and nothing else."""
    clock = Clock()
    guard = MemoryGuard(clock)
    for number in range(1000):
        await guard.first_use("ticket", str(number), ttl_s=1)
        await guard.reserve("password", str(number), "x", limit=LIMIT, window_s=1, longest_s=1)
    await guard.first_use("ticket", "long", ttl_s=2 * SWEEP_EVERY_S)
    await fail(guard, "password", "long", limit=1, window_s=2 * SWEEP_EVERY_S)
    clock.now_s += SWEEP_EVERY_S
    assert not await guard.first_use("ticket", "long", ttl_s=1)
    assert await fail(guard, "password", "long", limit=1, window_s=2 * SWEEP_EVERY_S) > 0
    assert len(guard._used_until_s) == len(guard._slots) == 1


async def test_no_key_is_ever_without_a_time_to_live(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Uses and tries are gone from the server when they are over."""
    guard = patient_guard(valkey.url, thread)
    await guard.first_use("ticket", "x", ttl_s=30)
    lives_ms = valkey.lives_ms()
    assert lives_ms.keys() == {"omnisonic:guard:used:{ticket:x}"}
    assert 25_000 < lives_ms["omnisonic:guard:used:{ticket:x}"] <= 30_000
    await guard.reserve("password", "ada", "x", limit=LIMIT, window_s=60, longest_s=20)
    lives_ms = valkey.lives_ms()
    assert 55_000 < lives_ms["omnisonic:guard:slots:{password:ada}"] <= 60_000
    assert 15_000 < lives_ms["omnisonic:guard:underway:{password:ada}"] <= 20_000
    await guard.resolve("password", "ada", "x", counts=False)
    assert valkey.lives_ms().keys() == {"omnisonic:guard:used:{ticket:x}"}
    await guard.spend([Allowance("requests", "ada", rate_per_s=0.1, burst=9)])
    assert 5_000 < valkey.lives_ms()["omnisonic:guard:whole:{requests:ada}"] <= 10_000
    await guard.aclose()


async def test_the_servers_window_slides(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Of five tries, two are over a minute old: two are free again, and the next is when the third is over."""
    guard = patient_guard(valkey.url, thread)
    with valkey.client as client:
        seconds, _ = client.time()
        begun_us = {str(age_s): (seconds - age_s) * 1_000_000 for age_s in (90, 61, 50, 20, 10)}
        client.zadd("omnisonic:guard:slots:{password:ada}", begun_us)
    waits = [await fail(guard, "password", "ada", limit=LIMIT, window_s=60) for _ in range(3)]
    assert waits[:2] == [0.0, 0.0]
    assert 5 < waits[2] <= 11
    await guard.aclose()


async def test_a_clock_that_is_set_back_keeps_nobody_out(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Tries from what is now the future are forgotten."""
    guard = patient_guard(valkey.url, thread)
    with valkey.client as client:
        seconds, _ = client.time()
        begun_us = {str(number): (seconds + 86_400) * 1_000_000 for number in range(LIMIT)}
        client.zadd("omnisonic:guard:slots:{password:ada}", begun_us)
    waits = [await fail(guard, "password", "ada", limit=LIMIT, window_s=60) for _ in range(LIMIT + 1)]
    assert [wait == 0 for wait in waits] == [True] * LIMIT + [False]
    await guard.aclose()


@pytest.mark.timing
async def test_a_guard_that_does_not_answer_lets_nobody_pass(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Hung, then dead: every question is `Unavailable` in time; back again, it answers at once."""
    guard = ThreadedGuard(thread, ValkeyGuard(valkey.url))
    questions: list[Callable[[], Awaitable[object]]] = [
        lambda: guard.first_use("ticket", "x", ttl_s=1),
        lambda: guard.reserve("password", "ada", "x", limit=1, window_s=1, longest_s=1),
        lambda: guard.resolve("password", "ada", "x", counts=True),
        lambda: guard.spend([Allowance("requests", "ada", rate_per_s=1, burst=1)]),
    ]
    for fault in (valkey.pause, valkey.kill):
        fault()
        for question in questions:
            began_s = trio.current_time()
            with pytest.raises(Unavailable):
                await question()
            assert trio.current_time() - began_s < TIMEOUT_S + SLACK_S
    valkey.start()
    assert await guard.first_use("ticket", "y", ttl_s=1)
    for _ in range(2):
        await guard.aclose()


def test_an_address_that_is_none_is_refused() -> None:
    """At once, with a sentence."""
    with pytest.raises(InvalidInput):
        ValkeyGuard("http://127.0.0.1")
