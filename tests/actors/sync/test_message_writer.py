"""The message writer with a store in memory that hangs, fails and refuses as the test wants; time is made up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, cast

import pytest
import trio
import trio.testing

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import Control, KeepResult, KeepResults
from omnisonic.actors.sync.message_writer import (
    BATCH_BYTES,
    BATCH_MESSAGES,
    LONGEST_RETRY_S,
    NO_SESSION,
    QUEUE_BYTES,
    QUEUE_MESSAGES,
    ROOM_MESSAGES,
    UNWRITABLE,
    MessageWriter,
)
from omnisonic.errors import Unavailable
from omnisonic.studio.messages import Kept, KeptMessages, MessageToKeep, Outcome

AT: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)


def message(number: int, *, room: str = "jam", payload: str = "null") -> MessageToKeep:
    """Ada's message of this number."""
    return MessageToKeep(room, "e", number, "ada", str(number), None, "Ada", "chat", payload, AT)


class MemoryMessages:
    """Messages in a list. `hold` makes calls wait; `failures` are raised one after the other.

    A failure that is `lost` is raised after the batch was written, as when the answer to a commit is lost.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Kept] = {}
        self.batches: list[int] = []
        self.failures: list[Exception] = []
        self.lost: list[Exception] = []
        self.poison: set[str] = set()
        self.no_session: set[str] = set()
        self.hold: trio.Event | None = None

    async def keep(self, messages: Sequence[MessageToKeep]) -> list[Outcome]:
        await trio.lowlevel.checkpoint()
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        if self.poison & {each.client_id for each in messages}:
            raise ValueError("poison")
        self.batches.append(len(messages))
        outcomes = [self._write(each) for each in messages]
        if self.lost:
            raise self.lost.pop(0)
        return outcomes

    async def aclose(self) -> None:
        """Nothing to close."""

    def _write(self, each: MessageToKeep) -> Outcome:
        if each.room in self.no_session:
            return None
        return self.rows.setdefault((each.room, each.client_id), Kept(each.epoch, each.offset))


_fits: type[KeptMessages] = MemoryMessages


@dataclass
class Told:
    """A room that notes what it is told."""

    results: list[KeepResult] = field(default_factory=list)
    mails: int = 0

    def tell(self, mail: Control) -> None:
        assert isinstance(mail, KeepResults)
        self.mails += 1
        self.results += mail.results

    def acknowledged(self) -> list[int]:
        """The offsets of what was kept, in the order in which that was told."""
        return [each.outcome.offset for each in self.results if isinstance(each.outcome, Kept)]


class Writing:
    """A writer with two rooms; others are forgotten."""

    def __init__(self) -> None:
        self.store = MemoryMessages()
        self.rooms = {"jam": Told(), "other": Told()}
        self.writer = MessageWriter(self.store, lambda room: cast("RoomActor | None", self.rooms.get(room)))

    @property
    def jam(self) -> Told:
        return self.rooms["jam"]


@pytest.fixture
async def writing(autojump_clock: trio.testing.MockClock) -> Writing:
    """Made in the trio program, whose clock it has."""
    del autojump_clock
    return Writing()


async def test_one_message_is_written_at_once_and_many_in_few_commits(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """What comes while a batch is under way is the next batch; no time passes, and the order stays."""
    await nursery.start(writing.writer.run)
    assert writing.writer.offer(message(1))
    await trio.testing.wait_all_tasks_blocked()
    writing.store.hold = trio.Event()
    for number in range(2, 502):
        assert writing.writer.offer(message(number))
        await trio.lowlevel.checkpoint()
    writing.store.hold.set()
    await trio.testing.wait_all_tasks_blocked()
    assert len(writing.store.batches) <= 3
    assert writing.jam.acknowledged() == list(range(1, 502))
    assert writing.jam.mails <= 3
    assert (writing.writer.written, len(writing.writer), trio.current_time()) == (501, 0, 0.0)


async def test_nothing_is_acknowledged_before_it_is_committed(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """While the store does not answer, messages wait, and how long is known."""
    writing.store.hold = trio.Event()
    await nursery.start(writing.writer.run)
    writing.writer.offer(message(1))
    await trio.sleep(30)
    assert writing.jam.results == []
    assert (len(writing.writer), writing.writer.lag_s) == (1, 30.0)
    writing.store.hold.set()
    await trio.testing.wait_all_tasks_blocked()
    assert writing.jam.results == [KeepResult("ada", "1", Kept("e", 1))]
    assert writing.writer.lag_s == 0.0


async def test_an_outage_costs_acknowledgements_their_time_and_nothing_else(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again until the store is back; then all are there, in order; the log says so once each way."""
    caplog.set_level("INFO")
    writing.store.failures = [Unavailable("away")] * 30
    await nursery.start(writing.writer.run)
    for number in range(1, 301):
        writing.writer.offer(message(number))
        await trio.sleep(0.02)
    assert writing.jam.results == []
    await trio.sleep(30 * LONGEST_RETRY_S)
    assert writing.jam.acknowledged() == list(range(1, 301))
    assert list(writing.store.rows.values()) == [Kept("e", number) for number in range(1, 301)]
    assert [record.message for record in caplog.records] == ["messages.down", "messages.up"]


async def test_a_commit_whose_answer_was_lost_is_found_and_not_repeated(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The same messages are given again, and each is acknowledged once."""
    writing.store.lost = [Unavailable("cut off")]
    await nursery.start(writing.writer.run)
    for number in (1, 2, 3):
        writing.writer.offer(message(number))
    await trio.sleep(10)
    assert writing.jam.acknowledged() == [1, 2, 3]
    assert len(writing.store.rows) == 3


async def test_after_an_outage_batches_are_as_large_as_before(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A store that answered too late may have had too much at once: batches shrink, and grow again."""
    writing.store.failures = [Unavailable("slow")] * 5
    await nursery.start(writing.writer.run)
    for number in range(1, ROOM_MESSAGES + 1):
        writing.writer.offer(message(number))
    await trio.sleep(20)
    assert writing.store.batches[0] == BATCH_MESSAGES // 32
    assert max(writing.store.batches) == BATCH_MESSAGES
    assert writing.jam.acknowledged() == list(range(1, ROOM_MESSAGES + 1))


async def test_the_queue_is_bounded_for_each_room_and_in_all(writing: Writing) -> None:
    """A room that sends without end does not take the others' places; nothing that was taken is dropped."""
    writer = writing.writer
    assert all(writer.offer(message(number)) for number in range(ROOM_MESSAGES))
    assert not writer.offer(message(ROOM_MESSAGES))
    assert writer.offer(message(1, room="other"))
    rooms = (f"room {number}" for number in range(QUEUE_MESSAGES // ROOM_MESSAGES + 1))
    taken = [writer.offer(message(number, room=room)) for room in rooms for number in range(ROOM_MESSAGES)]
    assert len(writer) == QUEUE_MESSAGES == ROOM_MESSAGES + 1 + sum(taken)


async def test_the_queue_is_bounded_in_bytes(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A batch is, too; when it is written, there is place again."""
    payload = f'"{"x" * 65_000}"'
    number = 0
    while writing.writer.offer(message(number, payload=payload)):
        number += 1
    assert QUEUE_BYTES // 66_000 < number < QUEUE_BYTES // 65_000
    await nursery.start(writing.writer.run)
    await trio.testing.wait_all_tasks_blocked()
    assert max(writing.store.batches) <= BATCH_BYTES // 65_000
    assert sum(writing.store.batches) == number
    assert writing.writer.offer(message(number, payload=payload))


async def test_a_message_that_cannot_be_written_is_refused_alone(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """It is found among the others, which are kept in their order; the writer lives on."""
    writing.store.poison = {"77"}
    await nursery.start(writing.writer.run)
    for number in range(1, 101):
        writing.writer.offer(message(number))
    await trio.sleep(1)
    assert writing.jam.acknowledged() == [number for number in range(1, 101) if number != 77]
    assert KeepResult("ada", "77", UNWRITABLE) in writing.jam.results
    writing.writer.offer(message(101))
    await trio.sleep(1)
    assert writing.jam.acknowledged()[-1] == 101


async def test_a_room_of_no_session_learns_that_nothing_is_kept_there(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The other room's messages in the same batch are kept."""
    writing.store.no_session = {"other"}
    writing.writer.offer(message(1, room="other"))
    writing.writer.offer(message(2))
    await nursery.start(writing.writer.run)
    await trio.testing.wait_all_tasks_blocked()
    assert writing.rooms["other"].results == [KeepResult("ada", "1", NO_SESSION)]
    assert writing.jam.acknowledged() == [2]


async def test_what_a_forgotten_room_said_is_written_all_the_same(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """There is nobody to tell."""
    writing.writer.offer(message(1, room="gone"))
    await nursery.start(writing.writer.run)
    await trio.testing.wait_all_tasks_blocked()
    assert writing.store.rows == {("gone", "1"): Kept("e", 1)}


async def test_a_crash_of_the_writer_loses_nothing(writing: Writing, autojump_clock: trio.testing.MockClock) -> None:
    """Cancelled in the middle of a batch and started again: the batch is given again."""
    writing.store.hold = trio.Event()
    for number in (1, 2):
        writing.writer.offer(message(number))
    with trio.move_on_after(1):
        await writing.writer.run()
    writing.store.hold = None
    with trio.move_on_after(1):
        await writing.writer.run()
    assert writing.jam.acknowledged() == [1, 2]


async def test_at_the_end_what_waits_is_written_within_a_deadline(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """As soon as it is done, it goes on; a store that is away does not hold it up for longer."""
    await nursery.start(writing.writer.run)
    await writing.writer.drain(5)
    writing.store.failures = [Unavailable("away")] * 2
    writing.writer.offer(message(1))
    await writing.writer.drain(5)
    assert writing.jam.acknowledged() == [1]
    assert trio.current_time() < 5
    writing.store.failures = [Unavailable("away")] * 1000
    writing.writer.offer(message(2))
    began_s = trio.current_time()
    await writing.writer.drain(5)
    assert trio.current_time() == began_s + 5
    assert len(writing.writer) == 1
