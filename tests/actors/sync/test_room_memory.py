"""The room memory writer: loads, writes and releases rooms, and delays nobody (SPEC 5.2, 5.4)."""

import itertools
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.batch import RelayPrefixes
from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import Join, Leave
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.rooms.registry import EMPTY_S, Registry
from omnisonic.actors.rooms.shared_state import StateValue
from omnisonic.actors.rooms.state import RoomState
from omnisonic.actors.runtime.scheduler import Dispatcher
from omnisonic.actors.runtime.telemetry import Counters, TurnTracer
from omnisonic.actors.sync import room_writes
from omnisonic.actors.sync.room_memory import (
    BEAT_S,
    COALESCE_S,
    LAST_WRITE_S,
    LOAD_S,
    RETRY_S,
    TOUCH_S,
    RoomMemoryWriter,
)
from omnisonic.actors.sync.room_writes import BATCH_BYTES, BATCH_ROOMS, FORGOTTEN_ROOMS
from omnisonic.errors import Unavailable
from omnisonic.models import RoomId
from omnisonic.stores.room_memory import RECORD_TTL_S, Claimed, Outcome, RoomMemoryStore, RoomRecord, RoomWrite
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from omnisonic.wire.recovery import Position
from omnisonic.wire.transport import Tempo
from tests.actors.handles import FakeConnection, member, sent, text

CALL_S: Final = 0.5
"""How long a call to a store that hangs takes."""
SOON_S: Final = 2 * COALESCE_S
DAY_S: Final = 86_400.0
HASTE: Final = 20_000.0
"""So many times as fast passes the time of a store whose records are to have their time."""


class Shared(InProcessRoomMemory):
    """A store that other gateways share, and that fails as servers do. `writes` are the calls that were answered."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock=clock)
        self.touches: list[list[RoomId]] = []
        self.is_down = False
        self.hangs_s = 0.0
        self.writes: list[list[RoomWrite]] = []
        self.claims: list[list[RoomId]] = []
        self.owners: set[str] = set()

    @property
    def outlives_process(self) -> bool:
        return True

    async def claim(self, room_ids: Sequence[RoomId], owner: str) -> list[Claimed]:
        await self._fail()
        self.claims.append(list(room_ids))
        return await super().claim(room_ids, owner)

    async def write(self, writes: Sequence[RoomWrite]) -> list[Outcome]:
        await self._fail()
        self.writes.append(list(writes))
        return await super().write(writes)

    async def touch(self, fences: Mapping[RoomId, int], keep_s: float = RECORD_TTL_S) -> dict[RoomId, Outcome]:
        await self._fail()
        self.touches.append(list(fences))
        return await super().touch(fences, keep_s)

    async def forget(self, room_ids: Sequence[RoomId]) -> None:
        await self._fail()
        await super().forget(room_ids)

    async def beat(self, owner: str) -> bool:
        await self._fail()
        is_known = owner in self.owners
        self.owners.add(owner)
        return is_known

    async def empty(self) -> None:
        """Lose everything."""
        self.owners.clear()
        await super().forget(list(self._records))

    async def record(self, room: RoomId = "jam") -> RoomRecord | None:
        """What a next owner would get."""
        stored = self._records.get(room)
        if stored is None or not stored.values:
            return None
        return RoomRecord(dict(stored.values), list(stored.blocks.items()), is_clean=stored.is_released)

    async def _fail(self) -> None:
        if self.is_down:
            raise Unavailable("The test has taken the store away.")
        if self.hangs_s:
            await trio.sleep(min(self.hangs_s, CALL_S))
            if self.hangs_s >= CALL_S:
                raise Unavailable("The store did not answer in time.")


@dataclass
class Run:
    """One run of a gateway, without the gateway: rooms, and the writer of their memory."""

    registry: Registry
    dispatcher: Dispatcher
    writer: RoomMemoryWriter
    connections: dict[tuple[RoomId, str], FakeConnection] = field(default_factory=dict)

    def enter(
        self, name: str = "ada", room: RoomId = "jam", since: Position | None = None, tempo: Tempo | None = None
    ) -> FakeConnection:
        """Let somebody enter."""
        connection = self.connections[room, name] = FakeConnection(name)
        self.registry.get_or_make(room).tell(Join(connection, member(name), None, since, tempo))
        return connection

    def say(self, type_: str = "note", *, name: str = "ada", room: RoomId = "jam", size: int = 1) -> None:
        """Let a member say something."""
        self.actor(room).offer(sent(self.connections[room, name], text(type_, "x" * size)))

    def leave(self, name: str = "ada", room: RoomId = "jam") -> None:
        """Let a member leave in order."""
        self.actor(room).tell(Leave(self.connections.pop((room, name)), "left", is_final=True))

    def actor(self, room: RoomId = "jam") -> RoomActor:
        """The room, which must be there."""
        actor = self.registry.get(room)
        assert actor is not None
        return actor

    async def forget(self) -> None:
        """Let empty rooms be forgotten, at once."""
        self.registry.sweep(trio.current_time() + EMPTY_S)

    async def settled(self) -> None:
        """Wait until all is written."""
        await trio.sleep(SOON_S)
        while self.writer.lag_s:  # noqa: ASYNC110 - the writer has no event for it
            await trio.sleep(SOON_S)


runs: Final = itertools.count(1)


@asynccontextmanager
async def running(store: RoomMemoryStore, *, touch_s: float = TOUCH_S) -> AsyncIterator[Run]:
    """A run of a gateway, which ends with the block as if it were killed."""
    async with trio.open_nursery() as nursery:
        dispatcher = Dispatcher()

        def context(room_id: RoomId, epoch: str, relay_prefixes: RelayPrefixes) -> RoomContext:
            memory = RoomMemory(epoch, HistoryLimits())
            return RoomContext(room_id, memory, 60, 0, trio.current_time, lambda: 17, relay_prefixes)

        registry = Registry(context, RoomState, dispatcher, Counters(), TurnTracer(), nursery)
        writer = RoomMemoryWriter(store, owner=f"run {next(runs)}", now_ms=lambda: 17)
        registry.memory_watcher, writer.touch_s = writer, touch_s
        nursery.start_soon(dispatcher.run)
        await nursery.start(writer.run)
        yield Run(registry, dispatcher, writer)
        nursery.cancel_scope.cancel()


@pytest.fixture
def store() -> Shared:
    """An empty store."""
    return Shared()


async def test_a_released_room_goes_on_in_the_next_run(store: Shared, autojump_clock: MockClock) -> None:
    """Same epoch, counted on, and whoever comes back with `since` gets what was said meanwhile, and no gap."""
    async with running(store) as run:
        run.enter()
        run.enter("bob")
        run.say("one")
        run.say("two")
        await run.settled()
        epoch = run.actor().epoch
        await run.writer.release_all()
    async with running(store) as run:
        connection = run.enter(since=Position(epoch, 1))
        bob = run.enter("bob", since=Position(epoch, 1))
        await trio.sleep(SOON_S)
        run.say("three")
        await trio.sleep(SOON_S)
        welcome, *rest = connection.received()
        assert (welcome["payload"]["epoch"], welcome["payload"]["recovered"]) == (epoch, True)
        assert [each["type"] for each in rest] == ["presence.join"]  # one's own are left out
        assert [each["type"] for each in bob.received()] == ["welcome", "two", "three"]
        assert run.actor().offset == 3


async def test_a_killed_run_is_told_honestly(store: Shared, autojump_clock: MockClock) -> None:
    """A new epoch, what was written is there, and who was there is told of a gap."""
    async with running(store) as run:
        run.enter()
        run.enter("bob")
        run.say("one")
        await run.settled()
        epoch = run.actor().epoch
        run.say("two")
        await trio.sleep(COALESCE_S / 10)
        run.say("lost")
        await trio.sleep(COALESCE_S / 10)
    async with running(store) as run:
        bob = run.enter("bob", since=Position(epoch, 0))
        await trio.sleep(SOON_S)
        welcome, gap, one, two = bob.received()
        assert welcome["payload"]["epoch"] != epoch
        assert welcome["payload"]["recovered"] is False
        assert gap["payload"]["epoch"] == epoch
        assert (one["type"], two["type"]) == ("one", "two")
        assert run.actor().memory.parents == (Position(epoch, 2),)
        await run.settled()
        assert (record := await store.record()) is not None
        assert not record.is_clean


async def test_a_room_that_was_empty_is_released_and_goes_on_when_somebody_comes_back(
    store: Shared, autojump_clock: MockClock
) -> None:
    """In the same run; also in a store that does not outlive the process, which is written to only then."""
    for kind in (store, InProcessRoomMemory()):
        async with running(kind) as run:
            run.enter()
            run.say()
            await run.settled()
            epoch = run.actor().epoch
            run.leave()
            await trio.sleep(SOON_S)
            await run.forget()
            await run.settled()
            assert run.registry.get("jam") is None
            run.enter()
            await trio.sleep(SOON_S)
            assert (run.actor().epoch, run.actor().offset) == (epoch, 1)
            run.say()
            await run.settled()
            assert run.actor().offset == 2


@pytest.mark.parametrize("end", ["forgotten", "forgotten, not written", "stopped when empty", "stopped"])
async def test_the_tempo_of_the_session_counts_when_everybody_had_left(
    store: Shared, autojump_clock: MockClock, end: str
) -> None:
    """Who enters next finds it, and what plays goes on. Who comes back after a stop finds what plays as it was."""

    async def find_tempo(run: Run) -> float:
        ada = run.enter(tempo=Tempo(60.0, 4))
        await trio.sleep(SOON_S)
        transport = ada.received()[0]["payload"]["transport"]
        assert transport["playing"]
        tempo: float = transport["tempoBpm"]
        return tempo

    async with running(store) as run:
        run.enter(tempo=Tempo(120.0, 4))
        run.actor().offer(sent(run.connections["jam", "ada"], text("transport.set", {"playing": True})))
        await run.settled()
        if end != "stopped":
            run.leave()
            await trio.sleep(SOON_S)
        if end.startswith("forgotten"):
            await run.forget()
            if end == "forgotten":
                await run.settled()
            assert await find_tempo(run) == 60.0
            return
        await run.writer.release_all()
    async with running(store) as run:
        assert await find_tempo(run) == (120.0 if end == "stopped" else 60.0)


async def test_somebody_who_comes_back_before_the_last_write_finds_the_room_as_it_was(
    store: Shared, autojump_clock: MockClock
) -> None:
    """Also while the store is away; and a room that goes on is not released."""
    async with running(store) as run:
        run.enter()
        run.say()
        await run.settled()
        epoch = run.actor().epoch
        for is_down in (False, True):
            store.is_down = is_down
            run.leave()
            await trio.sleep(COALESCE_S / 10)
            await run.forget()
            run.enter()
            await trio.sleep(COALESCE_S / 10)
            assert (run.actor().epoch, run.actor().offset) == (epoch, 1)
        store.is_down = False
        await trio.sleep(1)
        await run.settled()
        assert (record := await store.record()) is not None
        assert not record.is_clean


async def test_somebody_who_comes_back_during_the_last_write_finds_the_room_as_it_was(
    store: Shared, autojump_clock: MockClock
) -> None:
    """The room waits for the write, and then is claimed again."""
    async with running(store) as run:
        run.enter()
        run.say()
        await run.settled()
        epoch = run.actor().epoch
        store.hangs_s = 0.2
        run.leave()
        await run.settled()
        await run.forget()
        await trio.sleep(0.1)
        run.enter()
        await trio.sleep(0.1)
        store.hangs_s = 0
        await trio.sleep(SOON_S)
        assert (run.actor().epoch, run.actor().offset) == (epoch, 1)
        assert (record := await store.record()) is not None
        assert not record.is_clean


@pytest.mark.timing
async def test_a_room_that_is_loaded_waits_and_nobody_else_does(store: Shared, autojump_clock: MockClock) -> None:
    """Half a second at most; then it starts empty, and its old record is used by nobody."""
    async with running(store) as run:
        run.enter(room="here")
        await run.settled()
        run.say("old", room="here")
        await run.settled()
        store.hangs_s = math.inf
        began_s = trio.current_time()
        newcomer = run.enter("bob", room="new")
        run.enter("bob", room="here")
        await trio.sleep(0.01)
        assert newcomer.pushes == []
        assert run.connections["here", "bob"].types()[0] == "welcome"
        await trio.sleep(LOAD_S)
        assert newcomer.types() == ["welcome"]
        second = run.enter("bob", room="at once")
        await trio.sleep(0.01)
        assert second.types() == ["welcome"]
        assert trio.current_time() - began_s < LOAD_S + 0.1


async def test_a_record_that_comes_too_late_is_overwritten(store: Shared, autojump_clock: MockClock) -> None:
    """Whoever asks for its epoch is told of a gap; what is said now is kept."""
    async with running(store) as run:
        run.enter()
        run.say("old")
        await run.settled()
        epoch = run.actor().epoch
        await run.writer.release_all()
    store.hangs_s = math.inf
    async with running(store) as run:
        ada = run.enter(since=Position(epoch, 0))
        await trio.sleep(LOAD_S + 0.01)
        assert ada.types() == ["welcome", "history.gap"]
        store.hangs_s = 0
        run.say("new")
        await trio.sleep(1)
        assert run.actor().epoch != epoch
        epoch = run.actor().epoch
        await run.settled()
        await run.writer.release_all()
    async with running(store) as run:
        bob = run.enter("bob", since=Position(epoch, 0))
        await trio.sleep(SOON_S)
        assert bob.types() == ["welcome", "new"]


@pytest.mark.parametrize("outage", ["down", "hangs", "emptied"])
async def test_an_outage_delays_nobody_and_is_caught_up(store: Shared, autojump_clock: MockClock, outage: str) -> None:
    """Whatever was said meanwhile is in the record afterwards, whole, and the writer says how far it is behind."""
    async with running(store) as run:
        run.enter()
        bob = run.enter("bob")
        run.say("before")
        await run.settled()
        epoch = run.actor().epoch
        if outage == "emptied":
            await store.empty()
        store.is_down, store.hangs_s = outage == "down", math.inf if outage == "hangs" else 0
        bob.received()
        for _ in range(20):
            run.say("during")
            await trio.sleep(0.1)
            assert bob.types() == ["during"]
        assert (run.writer.lag_s > 1) is (outage != "emptied")
        assert run.writer.is_up is (outage == "emptied")
        store.is_down, store.hangs_s = False, 0
        await trio.sleep(CALL_S + RETRY_S + SOON_S)
        assert run.writer.lag_s == 0
        assert run.writer.is_up
        await run.writer.release_all()
    async with running(store) as run:
        cy = run.enter("cy", since=Position(epoch, 0))
        await trio.sleep(SOON_S)
        assert cy.types() == ["welcome", "before", *["during"] * 20]


async def test_a_store_that_was_emptied_gets_quiet_rooms_again(store: Shared, autojump_clock: MockClock) -> None:
    """Nobody says anything, and still it is written, within a beat."""
    async with running(store) as run:
        run.enter()
        run.say()
        await run.settled()
        await store.empty()
        await trio.sleep(BEAT_S + SOON_S)
        assert await store.record() is not None


async def test_changes_gather(store: Shared, autojump_clock: MockClock) -> None:
    """Twenty messages in a short time are one write, in one block; many rooms are one call."""
    rooms = [f"room {number}" for number in range(50)]
    async with running(store) as run:
        for room in rooms:
            run.enter(room=room)
        await run.settled()
        claimed = [room for call in store.claims for room in call]
        assert sorted(claimed) == sorted(rooms)
        assert len(store.claims) <= 4
        store.writes.clear()
        for room in rooms:
            run.say(room=room)
        await trio.sleep(0.001)
        for _ in range(20):
            run.say(room=rooms[0])
            await trio.sleep(0.001)
        await run.settled()
        assert len(store.writes) == 2
        [again] = store.writes[1]
        assert len(again.blocks) == 1


async def test_a_call_has_a_bounded_size(store: Shared, autojump_clock: MockClock) -> None:
    """Many rooms and many bytes are several calls."""
    rooms = [f"room {number}" for number in range(BATCH_ROOMS + 20)]
    async with running(store) as run:
        for room in rooms:
            run.enter(room=room)
        await run.settled()
        store.writes.clear()
        for room in rooms:
            for _ in range(3):
                run.say(room=room, size=10_000)
        await run.settled()
        assert len(store.writes) >= 4
        for call in store.writes:
            assert len(call) <= BATCH_ROOMS
            assert sum(len(data) for write in call for _, data in write.blocks) < BATCH_BYTES + 50_000
        assert all([await store.record(room) for room in rooms])


async def test_a_room_that_cannot_be_written_costs_no_other_its_record(
    store: Shared, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The operator hears of it once; the room goes on, and is written again when it can be."""
    async with running(store) as run:
        for room in ("jam", "other"):
            run.enter(room=room)
        await run.settled()
        state = run.actor().memory.shared_state
        state.restore({"song": StateValue("not bytes, nor text \ud800", 1, None)}, 1)  # type: ignore[arg-type]
        for _ in range(2):
            run.say()
            run.say(room="other")
            await run.settled()
        record = await store.record("other")
        assert record is not None
        assert [record.getMessage() for record in caplog.records].count("memory.unwritable") == 1
        state.restore({}, 2)
        before = len(store.writes)
        run.say()
        await run.settled()
        assert [write.room_id for call in store.writes[before:] for write in call] == ["jam"]
        await run.writer.release_all()
        assert run.writer.lag_s == 0


async def test_a_room_that_another_gateway_claims_is_written_no_more(
    store: Shared, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes on, the log says so once, and the other one's record stays as it is."""
    async with running(store) as run:
        run.enter()
        run.say()
        await run.settled()
        [claimed] = await store.claim(["jam"], "another")
        theirs = RoomWrite("jam", claimed.fence, 1, {"position": b"theirs"}, is_whole=True)
        await store.write([theirs])
        for _ in range(3):
            run.say()
            await run.settled()
        assert run.actor().offset == 4
        run.leave()
        await trio.sleep(SOON_S)
        await run.forget()
        await run.writer.release_all()
        assert (record := await store.record()) is not None
        assert record.values == {"position": b"theirs"}
        assert [each.message for each in caplog.records] == ["memory.claimed_elsewhere"]


async def test_the_record_of_a_deleted_session_is_removed(store: Shared, autojump_clock: MockClock) -> None:
    """Also of a room that is not here, or that somebody is still in; and it stays away."""
    async with running(store) as run:
        for room in ("here", "there"):
            run.enter(room=room)
            run.say(room=room)
        await run.settled()
        run.leave(room="there")
        await trio.sleep(SOON_S)
        await run.forget()
        await run.settled()
        store.is_down = True
        for room in ("here", "there"):
            run.writer.on_room_deleted(room)
        run.say(room="here")
        await trio.sleep(1)
        store.is_down = False
        await trio.sleep(1)
        run.say(room="here")
        await run.settled()
        await run.writer.release_all()
        assert [await store.record(room) for room in ("here", "there")] == [None, None]


@pytest.mark.parametrize("is_down", [False, True])
async def test_who_enters_at_once_after_a_session_was_deleted_gets_nothing_of_it(
    store: Shared, autojump_clock: MockClock, *, is_down: bool
) -> None:
    """Though the record is still there: it is removed before it would be read."""
    async with running(store) as run:
        run.enter()
        run.say()
        run.leave()
        await run.settled()
        await run.forget()
        await run.settled()
        assert await store.record() is not None
        run.enter(room="other")
        await run.settled()
        run.say(room="other")
        await trio.sleep(COALESCE_S / 2)  # it is written, and the next write is not due yet
        store.is_down = is_down
        run.writer.on_room_deleted("jam")
        late = run.enter("late")
        await trio.sleep(LOAD_S)
        store.is_down = False
        run.say(name="late")
        await run.settled()
        welcome = late.received()[0]["payload"]
        assert (welcome["offset"], run.actor().offset) == (0, 1)
        assert (await store.record()) is not None


async def test_rooms_that_were_forgotten_while_the_store_is_away_are_bounded(
    store: Shared, autojump_clock: MockClock
) -> None:
    """A store that stays away for hours costs no more; the first forgotten are given up."""
    async with running(store) as run:
        run.enter(room="notices")
        await run.settled()
        store.is_down = True
        run.say(room="notices")
        await trio.sleep(SOON_S)
        rooms = [f"room {number}" for number in range(FORGOTTEN_ROOMS + 10)]
        for room in rooms:
            run.enter(room=room)
        await trio.sleep(SOON_S)
        for room in rooms:
            run.leave(room=room)
        await trio.sleep(SOON_S)
        await run.forget()
        store.is_down = False
        await trio.sleep(1)
        await run.settled()
        found = [await store.record(room) for room in rooms]
        assert [record is not None for record in found] == [False] * 10 + [True] * FORGOTTEN_ROOMS
        assert all(record.is_clean for record in found if record is not None)


@pytest.mark.parametrize(("bound", "value"), [("FORGOTTEN_ROOMS", 10), ("FORGOTTEN_BYTES", 10_000)])
@pytest.mark.parametrize("outlives", [True, False])
async def test_rooms_that_are_forgotten_at_once_are_all_written(
    store: Shared, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, outlives: bool
) -> None:
    """A store that is there takes them, a part at a time. The others stay meanwhile, so no more wait than may."""
    monkeypatch.setattr(room_writes, bound, value)
    kind = store if outlives else InProcessRoomMemory()
    rooms = [f"room {number}" for number in range(25)]
    async with running(kind) as run:
        for room in rooms:
            run.enter(room=room)
            run.say(room=room, size=1_000)
        await run.settled()
        epochs = [run.actor(room).epoch for room in rooms]
        for room in rooms:
            run.leave(room=room)
        await trio.sleep(SOON_S)
        for stay in (15, 5, 0):
            await run.forget()
            assert len(run.registry) == stay
            await run.settled()
        for room in rooms:
            run.enter(room=room)
        await run.settled()
        assert [(run.actor(room).epoch, run.actor(room).offset) for room in rooms] == [(each, 1) for each in epochs]


@pytest.mark.timing
async def test_a_run_that_begins_without_a_store_lets_rooms_begin_at_once(
    store: Shared, autojump_clock: MockClock
) -> None:
    """It has noticed before anybody comes; also when the store hangs, after as long as a room would wait."""
    for is_down, hangs_s in ((True, 0.0), (False, math.inf)):
        store.is_down, store.hangs_s = is_down, hangs_s
        began_s = trio.current_time()
        async with running(store) as run:
            assert trio.current_time() - began_s <= LOAD_S + 0.01
            await trio.sleep(0.01)
            ada = run.enter()
            await trio.sleep(0.01)
            assert ada.types() == ["welcome"]


async def test_a_room_that_is_being_loaded_at_the_end_is_released_as_it_was(
    store: Shared, autojump_clock: MockClock
) -> None:
    """Nothing is written over a record that was not read yet."""
    async with running(store) as run:
        run.enter()
        run.say()
        await run.settled()
        epoch = run.actor().epoch
        await run.writer.release_all()
    async with running(store) as run:
        store.hangs_s = 0.2
        run.enter()
        await trio.sleep(0.1)
        await run.writer.release_all()
        await trio.sleep(1)
    assert (record := await store.record()) is not None
    assert record.is_clean
    store.hangs_s = 0
    async with running(store) as run:
        run.enter()
        await trio.sleep(SOON_S)
        assert (run.actor().epoch, run.actor().offset) == (epoch, 1)


@pytest.mark.timing
async def test_a_stop_without_a_store_ends_in_time(
    store: Shared, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The rooms are not released, and the log says how many."""
    async with running(store) as run:
        run.enter()
        run.say()
        await run.settled()
        store.hangs_s = math.inf
        began_s = trio.current_time()
        await run.writer.release_all()
        assert trio.current_time() - began_s <= LAST_WRITE_S + 0.01
        [record] = [each for each in caplog.records if each.message == "memory.not_released"]
        assert vars(record)["rooms"] == 1
    store.hangs_s = 0
    assert (left := await store.record()) is not None
    assert not left.is_clean


def hastened_s() -> float:
    """The time of a store in which days pass while the writer has seconds."""
    return HASTE * trio.current_time()


async def test_the_record_of_a_silent_room_outlives_the_time_that_records_are_kept(autojump_clock: MockClock) -> None:
    """Members are there and say nothing for eight days; then the gateway is killed, and the next one has the room."""
    store = Shared(clock=hastened_s)
    async with running(store, touch_s=TOUCH_S / HASTE) as run:
        run.enter()
        run.say()
        await run.settled()
        epoch = run.actor().epoch
        store.writes.clear()
        await trio.sleep(8 * DAY_S / HASTE)
        assert store.writes == []
        assert 0 < store.touches.count(["jam"]) == len(store.touches) <= 8 * 24
    async with running(store) as run:
        run.enter("bob")
        await run.settled()
        assert [parent.epoch for parent in run.actor().memory.parents] == [epoch]


async def test_records_are_touched_some_at_a_time_and_only_where_it_is_needed(
    store: Shared, autojump_clock: MockClock
) -> None:
    """Not those of rooms that are written; what fails is tried again; what the store has lost is written again."""
    async with running(store, touch_s=5.0) as run:
        rooms = [f"room {number}" for number in range(2 * BATCH_ROOMS)]
        for room in rooms:
            run.enter(room=room)
            run.say(room=room)
        await run.settled()
        await trio.sleep(4.0)
        run.say(room=rooms[0])
        await run.settled()
        await store.forget([rooms[1]])
        store.is_down = True
        await trio.sleep(2.0)
        assert store.touches == []
        store.is_down = False
        await trio.sleep(2 * BEAT_S + RETRY_S + SOON_S)
        assert sorted(itertools.chain(*store.touches)) == sorted(rooms[1:])
        assert max(map(len, store.touches)) == BATCH_ROOMS
        assert await store.record(rooms[1]) is not None


async def test_a_store_of_this_process_is_not_touched(autojump_clock: MockClock) -> None:
    """Nobody else reads it: what a room has there is written when it is forgotten."""

    class Counting(InProcessRoomMemory):
        touches = 0

        async def touch(self, fences: Mapping[RoomId, int], keep_s: float = RECORD_TTL_S) -> dict[RoomId, Outcome]:
            self.touches += 1
            return await super().touch(fences, keep_s)

    store = Counting(clock=hastened_s)
    async with running(store, touch_s=TOUCH_S / HASTE) as run:
        run.enter()
        run.say()
        await trio.sleep(SOON_S)
        epoch = run.actor().epoch
        await trio.sleep(8 * DAY_S / HASTE)
        run.leave()
        await trio.sleep(SOON_S)
        await run.forget()
        await trio.sleep(SOON_S)
        run.enter()
        await trio.sleep(SOON_S)
        assert run.actor().epoch == epoch
    assert store.touches == 0
