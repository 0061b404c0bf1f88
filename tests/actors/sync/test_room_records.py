"""How a room's memory becomes a record and comes back (`omnisonic.actors.sync.room_records`)."""

import random
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.rooms.acknowledged import ACKNOWLEDGED
from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.sync.room_records import BLANK_S, PARENTS, RoomCopy, restore
from omnisonic.models import MemberId
from omnisonic.stores.room_memory import RECORD_TTL_S, Claimed, Outcome, RoomRecord
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from omnisonic.wire.messages import Envelope
from omnisonic.wire.recovery import Position
from omnisonic.wire.shared_state import StateSet
from omnisonic.wire.transport import Transport
from tests.stores.conftest import Clock

LIMITS: Final = HistoryLimits(messages=20, total_bytes=10_000)
T = TypeVar("T")
NOW_MS: Final = 1_700_000_000_000


class Saved:
    """A memory and its record in a store. `is_answered` says whether the store's answers arrive."""

    def __init__(self, memory: RoomMemory, store: InProcessRoomMemory, *, owner: str = "one") -> None:
        self.memory = memory
        self.store = store
        self.owner = owner
        self.number = 0
        [claimed] = done(store.claim, ["jam"], owner)
        self.copy = restore(memory, claimed, NOW_MS)

    def write(self, *, limit_bytes: int = 1_000_000, is_release: bool = False, is_answered: bool = True) -> bool:
        """Write what has changed. False when there was nothing."""
        self.number += 1
        write = self.copy.make_write("jam", self.memory, self.number, limit_bytes=limit_bytes, is_release=is_release)
        if write is None:
            return False
        [outcome] = done(self.store.write, [write])
        assert outcome is Outcome.WRITTEN
        if is_answered:
            self.copy.confirm()
        return True

    def next_run(self, owner: str = "two", limits: HistoryLimits = LIMITS) -> "Saved":
        """The room in the next run of the gateway."""
        return Saved(RoomMemory(f"epoch of {owner}", limits), self.store, owner=owner)


def done(call: Callable[..., Coroutine[None, None, T]], *args: Any) -> T:
    """The result of a call that never suspends."""
    try:
        call(*args).send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    raise AssertionError("it waits")


def new() -> Saved:
    """A room that nobody has written."""
    return Saved(RoomMemory("epoch", LIMITS), InProcessRoomMemory())


def said(memory: RoomMemory, *, count: int = 1, size: int = 10) -> None:
    """Relay some messages."""
    first = memory.history.last + 1
    memory.history.add([b"%0*d" % (size, offset) for offset in range(first, first + count)])


def accept(memory: RoomMemory, name: str, version: int | None = None, *, sender: MemberId = "ada") -> None:
    """Accept a message with an `id`, and with the version that it has made."""
    memory.acknowledged.add(sender, Envelope("note", msgspec.Raw(b"1"), None, name), memory.history.last, version)


def set_state(memory: RoomMemory, key: str, value: bytes, *, ephemeral: bool = False) -> None:
    """Change a key of the shared state."""
    memory.shared_state.set(StateSet(key, msgspec.Raw(value), None, ephemeral), "ada")


def content(memory: RoomMemory) -> object:
    """Everything that comes back."""
    lasting = {key: each for key, each in memory.shared_state.items() if not each.ephemeral}
    accepted = memory.acknowledged.added_since(0)
    return (
        memory.history.last,
        memory.history.after(0),
        lasting,
        memory.shared_state.version,
        memory.transport,
        accepted,
    )


def test_a_released_room_goes_on_in_its_epoch() -> None:
    """With its history, shared state, transport and accepted messages, and without what went with its members."""
    saved = new()
    saved.memory.parents = (Position("before", 3),)
    said(saved.memory, count=5)
    set_state(saved.memory, "song", b'"blues"')
    set_state(saved.memory, "cursor", b"1", ephemeral=True)
    saved.memory.transport = Transport(tempo_bpm=90.0, version=4, by="ada")
    accept(saved.memory, "a")
    saved.write(is_release=True)
    after = saved.next_run().memory
    assert (after.epoch, after.parents) == ("epoch", (Position("before", 3),))
    assert content(after) == content(saved.memory)
    assert after.shared_state.get("cursor") is None
    assert after.plan_recovery(Position("epoch", 2), after.history.last).is_complete


def test_an_unclean_end_begins_an_epoch_that_names_its_parent() -> None:
    """What is known is there, and nobody is told that nothing is missing."""
    saved = new()
    said(saved.memory, count=5)
    saved.write()
    said(saved.memory)  # and killed
    after = saved.next_run().memory
    assert (after.epoch, after.parents) == ("epoch of two", (Position("epoch", 5),))
    assert after.history.last == 5
    recovery = after.plan_recovery(Position("epoch", 6), after.history.last)
    assert not recovery.is_complete
    assert recovery.gap is not None
    again = saved.next_run("three").memory
    assert again.parents == (Position("epoch", 5),)


def test_a_record_that_was_written_in_part_only_knows_no_more_of_its_parents() -> None:
    """Killed twice, the second time while its record was being written whole: offsets after it are used again."""
    saved = new()
    said(saved.memory, count=3)
    saved.write(is_release=True)
    killed = saved.next_run("two").next_run("three")
    assert killed.memory.parents == (Position("epoch", 3),)
    killed.write(limit_bytes=1)
    after = killed.next_run("four").memory
    assert after.history.last == 1
    assert after.parents == (Position("epoch of three", 1), Position("epoch", 1))


def test_only_so_many_parents_are_known() -> None:
    """A room that is killed again and again does not grow."""
    saved = new()
    saved.write()
    for number in range(2 * PARENTS):
        saved = saved.next_run(str(number))
        saved.write()
    assert len(saved.memory.parents) == PARENTS
    assert saved.memory.parents[0].epoch == f"epoch of {2 * PARENTS - 2}"


def test_only_what_has_changed_is_written() -> None:
    """And nothing when nothing has; a release is a change, once."""
    saved = new()
    set_state(saved.memory, "song", b'"blues"')
    assert saved.write()
    assert not saved.write()
    said(saved.memory)
    write = saved.copy.make_write("jam", saved.memory, 9, limit_bytes=100, is_release=False)
    assert write is not None
    assert set(write.values) == {"position"}
    assert not write.is_whole
    saved.copy.confirm()
    saved.number = 9
    set_state(saved.memory, "cursor", b"1", ephemeral=True)
    assert not saved.write()  # it goes with its member
    assert saved.write(is_release=True)
    assert not saved.write(is_release=True)
    assert saved.write()


def test_a_room_in_which_nothing_happened_is_kept_for_minutes_only() -> None:
    """Whoever enters room after room does not fill the store."""
    saved = new()
    write = saved.copy.make_write("jam", saved.memory, 1, limit_bytes=100, is_release=True)
    assert write is not None
    assert write.keep_s == BLANK_S
    said(saved.memory)
    write = saved.copy.make_write("jam", saved.memory, 2, limit_bytes=100, is_release=True)
    assert write is not None
    assert write.keep_s == RECORD_TTL_S


def test_much_is_written_in_parts_and_released_with_the_last() -> None:
    """Each part alone is a record that is true."""
    saved = new()
    said(saved.memory, count=20, size=100)
    parts = 0
    while saved.write(limit_bytes=250, is_release=True):
        parts += 1
        [claimed] = done(saved.store.claim, ["jam"], "one")
        assert claimed.record is not None
        known = RoomMemory("other", LIMITS)
        restore(known, claimed, NOW_MS)
        assert known.history.after(0) == saved.memory.history.after(0)[: known.history.last]
        assert claimed.record.is_clean is saved.copy.is_complete
        if claimed.record.is_clean:
            break
    assert parts == 10


def test_blocks_that_overlap_or_leave_a_hole_make_no_false_history() -> None:
    """A write that was given up may have been done; and what a store has lost is not papered over."""
    encode = msgspec.msgpack.encode
    saved = new()
    said(saved.memory, count=6, size=1)
    saved.write()
    [claimed] = done(saved.store.claim, ["jam"], "two")
    assert claimed.record is not None
    for blocks, known in (
        ([(3, encode([b"1", b"2", b"3"])), (6, encode([b"2", b"3", b"4", b"5", b"6"]))], b"123456"),
        ([(3, encode([b"1", b"2", b"3"])), (6, encode([b"5", b"6"]))], b"56"),
        ([(3, encode([b"1", b"2", b"3"]))], b""),
        ([], b""),
    ):
        memory = RoomMemory("two", LIMITS)
        restore(memory, Claimed(1, RoomRecord(claimed.record.values, blocks, is_clean=True)), NOW_MS)
        assert memory.history.last == 6
        assert b"".join(memory.history.after(0)) == known


@pytest.mark.parametrize(
    "values",
    [{}, {"position": b""}, {"position": b"\xff"}, {"position": msgspec.msgpack.encode([99, "e", 1, 1, [], 0])}],
)
def test_a_record_that_cannot_be_read_counts_as_absent(values: dict[str, bytes]) -> None:
    """Of another version, or of another program; the first write replaces it."""
    memory = RoomMemory("epoch", LIMITS)
    copy = restore(memory, Claimed(1, RoomRecord(values, [(1, b"x")], is_clean=True)), NOW_MS)
    assert (memory.epoch, memory.history.last, memory.parents) == ("epoch", 0, ())
    write = copy.make_write("jam", memory, 1, limit_bytes=100, is_release=False)
    assert write is not None
    assert write.is_whole


def test_a_room_may_remember_less_than_before() -> None:
    """The limits are those of today; without a history it counts on all the same."""
    saved = new()
    said(saved.memory, count=20)
    saved.write(is_release=True)
    few = saved.next_run("two", HistoryLimits(messages=3))
    assert few.memory.history.after(0) == saved.memory.history.after(17)
    few.write(is_release=True)
    none = few.next_run("three", HistoryLimits(messages=0))
    said(none.memory)
    none.write(is_release=True)
    assert none.next_run("four").memory.history.last == 21


def test_a_message_whose_place_is_not_in_the_record_was_not_accepted() -> None:
    """Its sender sends it again, and it is said: an ack for a message that nobody can get would be a lie."""
    saved = Saved(RoomMemory("first", LIMITS), InProcessRoomMemory())
    for name in ("a", "b"):
        said(saved.memory)
        accept(saved.memory, name)
    saved.write(limit_bytes=1)
    after = saved.next_run().memory
    assert after.history.last == 1
    assert [after.acknowledged.find("ada", Envelope("note", msgspec.Raw(b"1"), None, name)) for name in "ab"] == [
        1,
        None,
    ]


def test_all_accepted_messages_come_back_however_they_were_written() -> None:
    """In the order in which they were accepted, with their versions, and no more of them than a room knows."""
    saved = new()
    for number in range(3 * ACKNOWLEDGED):
        accept(saved.memory, str(number), number if number % 2 else None)
        if random.random() < 0.1:
            saved.write()
    saved.write(is_release=True)
    after = saved.next_run().memory
    assert after.acknowledged.added_since(0) == saved.memory.acknowledged.added_since(0)
    assert len(after.acknowledged) == ACKNOWLEDGED


@pytest.mark.parametrize("id_", ["", "1", 0, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**127, -(10**127)])
def test_every_id_that_a_client_may_choose_comes_back(id_: str | int) -> None:
    """A number may be longer than any that MessagePack has."""
    saved = new()
    said(saved.memory)
    message = Envelope("note", msgspec.Raw(b"1"), None, id_)
    saved.memory.acknowledged.add("ada", message, 1)
    assert saved.write(is_release=True)
    assert saved.next_run().memory.acknowledged.find("ada", message) == 1


def test_the_last_messages_of_who_was_silent_for_long_move_with_the_room() -> None:
    """What others have said since has overwritten them in the record. When nothing more is said, it is not written."""
    saved = new()
    said(saved.memory)
    accept(saved.memory, "song", sender="bo")
    for number in range(3 * ACKNOWLEDGED):
        accept(saved.memory, str(number))
        if number % 100 == 0:
            saved.write()
    saved.write(is_release=True)
    assert saved.copy.make_write("jam", saved.memory, 10**6, limit_bytes=10**6, is_release=True) is None
    after = saved.next_run().memory
    assert after.acknowledged.find("bo", Envelope("note", msgspec.Raw(b"1"), None, "song")) == 1


ACTIONS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 8)),
        st.tuples(st.just("state"), st.integers(0, 3)),
        st.tuples(st.just("drop"), st.integers(0, 3)),
        st.tuples(st.just("accept"), st.integers(0, 90)),
        st.tuples(st.just("play"), st.integers(1, 9)),
        st.tuples(st.just("forget"), st.integers(0, 9)),
        st.tuples(st.just("write"), st.sampled_from([0, 25, 1000])),
        st.tuples(st.just("unanswered"), st.sampled_from([0, 25, 1000])),
        st.tuples(st.just("lose"), st.just(0)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(actions=ACTIONS)
def test_whatever_happens_a_released_room_comes_back_as_it_was(actions: list[tuple[str, int]]) -> None:
    """Writes in parts, answers that do not arrive, a store that is emptied, restarts."""
    saved = new()
    runs = 0
    for action, number in actions:
        memory = saved.memory
        match action:
            case "say":
                said(memory, count=number)
            case "state":
                set_state(memory, str(number), b"[%d]" % memory.history.last)
            case "drop":
                set_state(memory, str(number), b"null")
            case "accept":
                accept(memory, str(number))
            case "play":
                memory.transport = Transport(version=memory.transport.version + 1, anchor_beat=float(number))
            case "forget":
                memory.history.forget_to(memory.history.last - number)
            case "write" | "unanswered":
                saved.write(limit_bytes=number, is_answered=action == "write")
            case "lose":
                done(saved.store.forget, ["jam"])
                saved.copy.invalidate()
            case "restart":
                release(saved)
                runs += 1
                after = saved.next_run(f"run {runs}")
                assert after.memory.epoch == "epoch"
                assert content(after.memory) == content(memory)
                saved = after
    release(saved)
    assert content(saved.next_run("last").memory) == content(saved.memory)


def release(saved: Saved) -> None:
    """Write until all is written."""
    while saved.write(is_release=True) and not saved.copy.is_complete:
        pass


def test_a_new_copy_is_not_lost() -> None:
    """It has everything to write."""
    copy = RoomCopy(7)
    assert not copy.is_lost
    assert copy.fence == 7


@pytest.mark.parametrize("ahead_ms", [-60_000, 60_000])
@pytest.mark.parametrize("is_release", [False, True])
def test_the_transport_goes_on_at_a_gateway_with_another_clock(ahead_ms: int, *, is_release: bool) -> None:
    """It is where it would be, and it is written again, on the clock of the one who writes."""
    clock = Clock()
    store = InProcessRoomMemory(clock=clock)
    first = RoomMemory("first", LIMITS)
    first.transport = Transport(playing=True, anchor_beat=4.0, anchor_time=NOW_MS - 1_000, version=3)
    [claimed] = done(store.claim, ["jam"], "one")
    copy = restore(first, claimed, NOW_MS)
    write = copy.make_write("jam", first, 1, limit_bytes=100, is_release=is_release, now_ms=NOW_MS)
    assert write is not None
    assert done(store.write, [write]) == [Outcome.WRITTEN]
    clock.now_s += 6.0
    now_ms = NOW_MS + 6_000 + ahead_ms
    second = RoomMemory("second", LIMITS)
    [claimed] = done(store.claim, ["jam"], "two")
    copy = restore(second, claimed, now_ms)
    assert second.transport.beat_at(now_ms) == first.transport.beat_at(NOW_MS + 6_000) == 18.0
    write = copy.make_write("jam", second, 1, limit_bytes=100, is_release=False, now_ms=now_ms)
    assert write is not None
    assert "transport" in write.values
