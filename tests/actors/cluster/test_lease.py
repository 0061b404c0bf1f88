"""The lease of a gateway: valid only while nobody else can have its rooms. The time is the test's."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from omnisonic.actors.cluster.lease import RENEW_S, Lease
from omnisonic.stores.room_memory import LEASE_S, VALID_S
from tests.actors.cluster.lease_store import LeaseStore


class Told:
    """What a lease has told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def on_stale(self) -> None:
        self.words.append("stale")

    def on_renewed(self) -> None:
        self.words.append("renewed")

    def on_dead(self) -> None:
        self.words.append("dead")


class Stage:
    """A lease on a store of the test."""

    def __init__(self, now_s: Callable[[], float] = trio.current_time) -> None:
        self.store = LeaseStore()
        self.told = Told()
        names = map("run {}".format, count(1))
        self.lease = Lease(self.store, self.told, lambda: next(names), lambda: b"info", now_s)


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[None]:
    """Run the renewals of this lease until the block ends."""
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.lease.run_renewals)
        yield
        nursery.cancel_scope.cancel()


async def test_a_lease_begins_and_stays_valid(autojump_clock: MockClock) -> None:
    """For a minute, with one renewal a second; the store has the gateway's description."""
    stage = Stage()
    assert not stage.lease.is_valid
    async with running(stage):
        for _ in range(600):
            assert stage.lease.is_valid
            await trio.sleep(0.1)
    assert stage.told.words == ["renewed"]
    assert stage.store.begun == ["run 1"]
    assert stage.store.infos == {"run 1": b"info"}
    assert 59 <= stage.store.calls <= 62


async def test_one_failed_renewal_is_not_noticed(autojump_clock: MockClock) -> None:
    """It is tried again before the lease is stale."""
    stage = Stage()
    async with running(stage):
        await trio.sleep(RENEW_S - 0.1)
        stage.store.is_away = True
        await trio.sleep(0.8)
        stage.store.is_away = False
        await trio.sleep(10)
        assert stage.lease.is_valid
    assert stage.told.words == ["renewed"]


async def test_a_store_that_is_away_makes_the_lease_stale_in_time(autojump_clock: MockClock) -> None:
    """After 2 s at most, while the store would keep the lease for a second more; back in time, it is the same run."""
    stage = Stage()
    async with running(stage):
        stage.store.is_away = True
        await trio.sleep(VALID_S - 0.01)
        assert stage.told.words == ["renewed"]
        await trio.sleep(0.02)
        assert stage.told.words == ["renewed", "stale"]
        assert not stage.lease.is_valid
        assert stage.store.lives("run 1")
        stage.store.is_away = False
        await trio.sleep(0.5)
        assert stage.lease.is_valid
    assert stage.told.words == ["renewed", "stale", "renewed"]
    assert stage.lease.run == "run 1"


async def test_a_run_that_was_declared_dead_takes_another_name(autojump_clock: MockClock) -> None:
    """The store was away for longer than it keeps a lease: what the run held is not its own any more."""
    stage = Stage()
    async with running(stage):
        stage.store.is_away = True
        await trio.sleep(LEASE_S + 1)
        stage.store.is_away = False
        await trio.sleep(1)
        assert stage.lease.is_valid
    assert stage.told.words == ["renewed", "stale", "dead"]
    assert stage.lease.run == "run 2"
    assert stage.store.lives("run 2")


async def test_a_store_that_was_emptied_makes_the_lease_stale_at_once(autojump_clock: MockClock) -> None:
    """With the next renewal, though the time was not up."""
    stage = Stage()
    async with running(stage):
        stage.store.until_s.clear()
        await trio.sleep(RENEW_S + 0.1)
        assert stage.lease.is_valid
    assert stage.told.words == ["renewed", "stale", "dead"]


async def test_a_run_that_is_dead_to_the_store_leaves_no_lease_behind(autojump_clock: MockClock) -> None:
    """The store has lost claims, and still has the lease: others would wait for its end."""
    stage = Stage()
    async with running(stage):
        stage.store.has_lost_claims = True
        await trio.sleep(RENEW_S + 0.1)
        assert stage.lease.is_valid
        assert not stage.store.lives("run 1")
    assert stage.told.words == ["renewed", "stale", "dead"]


async def test_a_name_whose_beginning_is_uncertain_is_not_used_again(autojump_clock: MockClock) -> None:
    """The store may have begun it without being heard, and it may have ended since: it would live a second time."""
    stage = Stage()
    stage.store.answers_are_lost = True
    async with running(stage):
        assert not stage.lease.is_valid
        await trio.sleep(1)
        stage.store.answers_are_lost = False
        await trio.sleep(1)
        assert stage.lease.is_valid
    assert len(stage.store.begun) == len(set(stage.store.begun)) > 2
    assert stage.told.words == ["dead"]


async def test_a_slow_store_does_not_extend_the_validity(autojump_clock: MockClock) -> None:
    """The validity counts from the sending: an answer that comes late is of less use."""
    stage = Stage()
    stage.store.takes_s = 0.2
    async with running(stage):
        began_s = trio.current_time() - 0.4
        stage.store.is_away = True
        await trio.sleep(began_s + VALID_S - trio.current_time() - 0.01)
        assert stage.lease.is_valid
        await trio.sleep(0.02)
        assert not stage.lease.is_valid


async def test_a_process_that_slept_finds_out_before_it_acts(autojump_clock: MockClock) -> None:
    """The machine was suspended: no timer has run, and the clock of the lease has gone on."""
    slept_s = 0.0
    stage = Stage(lambda: trio.current_time() + slept_s)
    async with running(stage):
        stage.lease.check()
        assert stage.told.words == ["renewed"]
        slept_s = 60.0
        assert not stage.lease.is_valid
        stage.lease.check(trio.current_time() + slept_s)
        stage.lease.check()
        assert stage.told.words == ["renewed", "stale"]


async def test_an_answer_from_before_a_sleep_does_not_make_the_lease_valid(autojump_clock: MockClock) -> None:
    """It is too old when it is read."""
    slept_s = 0.0
    stage = Stage(lambda: trio.current_time() + slept_s)
    async with running(stage):
        stage.store.takes_s = 0.2
        await trio.sleep(RENEW_S + 0.3)  # a renewal is on its way
        slept_s = 60.0
        stage.lease.check()
        await trio.sleep(0.15)
        assert not stage.lease.is_valid
        assert stage.told.words == ["renewed", "stale"]
        await trio.sleep(1)
        assert stage.lease.is_valid


async def test_a_lease_that_ends_is_given_up_at_once(autojump_clock: MockClock) -> None:
    """Others need not wait for its time, nothing is told any more, and no renewal brings it back."""
    stage = Stage()
    async with running(stage):
        stage.store.takes_s = 0.2
        await trio.sleep(RENEW_S + 0.1)
        await stage.lease.end()
        assert not stage.lease.is_valid
        assert not stage.store.lives("run 1")
        await trio.sleep(10)
        stage.lease.check()
    assert stage.told.words == ["renewed"]
    assert not any(map(stage.store.lives, stage.store.until_s))


async def test_a_store_that_hangs_does_not_hold_the_end(autojump_clock: MockClock) -> None:
    """The lease ends by itself then."""
    stage = Stage()
    async with running(stage):
        stage.store.is_away = True
        began_s = trio.current_time()
        await stage.lease.end()
        assert trio.current_time() - began_s <= 1.0


async def test_the_time_until_new_rooms_may_be_claimed_passes(autojump_clock: MockClock) -> None:
    """As the store says with each renewal."""
    stage = Stage()
    stage.store.settled_in_s = 2.0
    async with running(stage):
        assert stage.lease.settled_in_s == 2.0
        stage.store.settled_in_s = 0.0
        await trio.sleep(0.5)
        assert 1.4 < stage.lease.settled_in_s < 1.6
        await trio.sleep(1)
        assert stage.lease.settled_in_s == 0.0


FAULTS = st.lists(
    st.tuples(
        st.sampled_from(["well", "away", "lost answers", "slow", "hanging", "emptied", "sleeps"]),
        st.floats(0.01, 4.0),
    ),
    max_size=12,
)


@given(faults=FAULTS)
def test_a_lease_is_never_valid_when_the_store_has_let_it_end(faults: list[tuple[str, float]]) -> None:
    """Whatever the store and the process do, other than losing data. At the end, it is valid again."""

    async def main() -> None:
        slept_s = 0.0
        stage = Stage(lambda: trio.current_time() + slept_s)
        store, lease = stage.store, stage.lease
        is_emptied = False

        async def observe() -> None:
            while True:
                if lease.is_valid and not is_emptied:
                    assert store.until_s[lease.run] - trio.current_time() >= LEASE_S - VALID_S - 1e-6
                await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            await nursery.start(lease.run_renewals)
            nursery.start_soon(observe)
            for fault, lasts_s in faults:
                store.is_away = fault == "away"
                store.answers_are_lost = fault == "lost answers"
                store.takes_s = {"slow": 0.2, "hanging": 9.0}.get(fault, 0.0)
                is_emptied = fault == "emptied"
                if is_emptied:
                    store.until_s.clear()
                    lasts_s = max(lasts_s, RENEW_S + 0.6)  # until a renewal has told
                if fault == "sleeps":
                    slept_s += lasts_s
                    store.until_s = {run: until_s - lasts_s for run, until_s in store.until_s.items()}
                    continue
                await trio.sleep(lasts_s)
            store.is_away = store.answers_are_lost = is_emptied = False
            store.takes_s = 0.0
            await trio.sleep(4)
            assert lease.is_valid
            assert store.lives(lease.run)
            nursery.cancel_scope.cancel()
        told = stage.told.words
        assert all(told[at] == "stale" if at % 2 else told[at] in {"renewed", "dead"} for at in range(len(told)))
        assert len(set(store.begun)) == len(store.begun)

    trio.run(main, clock=MockClock(autojump_threshold=0))
