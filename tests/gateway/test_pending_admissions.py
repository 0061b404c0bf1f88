"""Pending admissions: bounded in number and time, and true when they are let in (SPEC 5.1, DESIGN 3)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
import trio

from omnisonic.actors.admission.admission import Admitted
from omnisonic.actors.admission.pending import CHECK_TIMEOUT_S, MAX_PENDING
from omnisonic.errors import Unavailable
from omnisonic.models import LoginId, RoomId
from omnisonic.stores.bus import ROOM_EVENTS
from omnisonic.stores.bus.events import LoginEnded, RoleLost, RoomClosed, RoomEvent, encode
from omnisonic.wire.handshake import HEAD_BYTES, Request, read_entrance, read_fields
from tests.clients import TEXT, Bare, envelope, masked_frame, upgrade_request
from tests.gateway.http_answers import answered, asked
from tests.rooms import Stage, eventually, listening, open_stage

pytestmark = pytest.mark.timing


@dataclass
class FakeClaim:
    """A claim that is settled when the test says so. Each asking takes one answer."""

    admitted: Admitted
    login: LoginId
    room_id: RoomId
    answers: trio.MemoryReceiveChannel[Exception | None]
    count: int = 0

    async def resolve(self) -> Admitted:
        self.count += 1
        problem = await self.answers.receive()
        if problem is not None:
            raise problem
        return self.admitted


@dataclass
class Questions:
    """An admission that has to ask about everybody. `answer` settles one asking."""

    claims: list[FakeClaim] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answer, self.answers = trio.open_memory_channel[Exception | None](1000)

    def admit(self, request: Request) -> FakeClaim:
        fields = read_fields(request.query)
        entrance = read_entrance(fields)
        login = fields.get("login", "login")
        claim = FakeClaim(Admitted(entrance, "person", login), login, entrance.room_id, self.answers)
        self.claims.append(claim)
        return claim

    def settle(self, problem: Exception | None = None) -> None:
        """Answer one asking: yes, or with this problem."""
        self.answer.send_nowait(problem)


async def waiting(stage: Stage, member: str = "ada", **query: str) -> Bare:
    """Somebody whose admission is pending."""
    before = len(stage.gateway.pending)
    bare = await stage.bare()
    await bare.stream.send_all(upgrade_request(stage.target(member, **query), stage.port))
    await eventually(lambda: len(stage.gateway.pending) == before + 1)
    return bare


async def test_who_waits_is_let_in_once_the_answer_is_there() -> None:
    """Nobody sees them before, and the others go in and out meanwhile."""
    questions = Questions()
    async with open_stage(admission=questions) as stage, await waiting(stage) as ada:
        assert len(stage.gateway.registry) == 0
        questions.settle()
        assert (await ada.head()).startswith(b"HTTP/1.1 101 ")
        assert (await ada.hear())["type"] == "welcome"
        assert len(stage.gateway.pending) == 0


@pytest.mark.parametrize("pieces", [1, 3, 50])
async def test_what_is_said_while_waiting_is_said_once_inside(pieces: int) -> None:
    """A client may send frames behind its handshake at once; they keep their order."""
    questions = Questions()
    async with open_stage(admission=questions) as stage, await waiting(stage) as ada:
        early = b"".join(masked_frame(TEXT, envelope("note", n, id=n).encode()) for n in range(5))
        size = len(early) // pieces + 1
        for start in range(0, len(early), size):
            await ada.stream.send_all(early[start : start + size])
            await trio.testing.wait_all_tasks_blocked(0.001)
        questions.settle()
        await ada.head()
        assert [(await ada.next("ack"))["payload"] for _ in range(5)] == [{"id": n, "offset": n + 1} for n in range(5)]


async def test_what_is_said_while_waiting_is_bounded() -> None:
    """As a request's head is: 431, and nothing is left of it."""
    questions = Questions()
    async with open_stage(admission=questions) as stage, await waiting(stage) as ada:
        await ada.stream.send_all(b"x" * (HEAD_BYTES + 1))
        status, _, body = await answered(ada)
        assert (status, body["code"]) == (431, "head_too_large")
        await eventually(lambda: len(stage.gateway.pending) == 0)


async def test_a_second_request_head_behind_the_first_is_not_a_second_request() -> None:
    """It is kept like anything else, and is no WebSocket frame."""
    questions = Questions()
    async with open_stage(admission=questions) as stage, await waiting(stage) as ada:
        await ada.stream.send_all(upgrade_request(stage.target("eve"), stage.port))
        questions.settle()
        await ada.head()
        assert (await ada.closed())[0] == 1002
        assert len(questions.claims) == 1


async def test_too_many_who_wait_are_told_to_come_back() -> None:
    """503 with Retry-After, at once; as soon as one is through, the next may wait."""
    questions = Questions()
    async with open_stage(admission=questions) as stage, trio.open_nursery() as nursery:
        bares: list[Bare] = []
        for number in range(MAX_PENDING):
            bare = await stage.bare()
            await bare.stream.send_all(upgrade_request(stage.target(f"m{number}"), stage.port))
            bares.append(bare)
        await eventually(lambda: len(stage.gateway.pending) == MAX_PENDING)
        status, headers, body = await asked(stage, upgrade_request(stage.target("late"), stage.port))
        assert (status, body["code"]) == (503, "unavailable")
        assert int(headers["retry-after"]) > 0
        questions.settle()
        await eventually(lambda: len(stage.gateway.pending) == MAX_PENDING - 1)
        async with await waiting(stage, "late"):
            for bare in bares:
                nursery.start_soon(bare.aclose)
            await eventually(lambda: len(stage.gateway.pending) == 1)


async def test_an_answer_that_does_not_come_is_503_in_time() -> None:
    """The timeout of a check, and not much more."""
    async with open_stage(admission=Questions()) as stage:
        started_s = trio.current_time()
        status, headers, body = await asked(stage, upgrade_request(stage.target(), stage.port))
        assert (status, body["code"], headers["retry-after"]) == (503, "unavailable", "1")
        assert CHECK_TIMEOUT_S <= trio.current_time() - started_s < CHECK_TIMEOUT_S + 1


async def test_a_store_that_says_when_to_come_back_is_believed() -> None:
    """`Retry-After` in whole seconds, rounded up; its own words stay inside."""
    questions = Questions()
    async with open_stage(admission=questions) as stage, await waiting(stage) as ada:
        questions.settle(Unavailable("password=hunter2 at 10.0.0.1", retry_after_s=2.5))
        status, headers, body = await answered(ada)
        assert (status, headers["retry-after"]) == (503, "3")
        assert "hunter2" not in str(body)


async def test_a_fault_while_asking_costs_that_newcomer_only() -> None:
    """500, and the next one is let in."""
    questions = Questions()
    async with open_stage(admission=questions) as stage:
        async with await waiting(stage) as ada:
            questions.settle(ValueError("a fault of the embedding program"))
            status, _, body = await answered(ada)
            assert (status, body["code"]) == (500, "internal")
        async with await waiting(stage, "bo") as bo:
            questions.settle()
            await bo.head()
            assert stage.gateway.counters.connection_crashes == 1


async def test_who_leaves_while_waiting_is_forgotten() -> None:
    """At once, not when the answer comes."""
    questions = Questions()
    async with open_stage(admission=questions) as stage:
        await (await waiting(stage)).aclose()
        await eventually(lambda: len(stage.gateway.pending) == 0, deadline_s=CHECK_TIMEOUT_S / 2)
        assert not stage.gateway.connections
        async with await waiting(stage, "bo") as bo:
            questions.settle()
            await bo.head()
            await bo.next("welcome")
            assert stage.roster() == ["bo"]


async def test_a_gateway_that_stops_does_not_wait_for_answers() -> None:
    """Who waits is told that it is going away, and is not let in by an answer that comes after that."""
    questions = Questions()
    async with open_stage(admission=questions) as stage, await waiting(stage) as ada:
        with trio.move_on_after(0):
            await stage.gateway.shutdown()
        assert len(stage.gateway.pending) == 0
        questions.settle()
        status, _, body = await answered(ada)
        assert (status, body["code"]) == (503, "going_away")
        assert len(stage.gateway.registry) == 0


async def publish(stage: Stage, event: RoomEvent) -> None:
    """Say it as the web does."""
    await stage.bus.publish(ROOM_EVENTS, encode(event))


def gap(stage: Stage) -> None:
    """Events may have been missed."""
    stage.gateway.revocation.recheck_soon()


@pytest.mark.parametrize(
    "change",
    [
        partial(publish, event=RoleLost("jam", "anybody")),
        partial(publish, event=RoomClosed("jam")),
        gap,
    ],
    ids=["role lost", "room closed", "gap"],
)
async def test_rights_that_change_while_it_is_asked_are_asked_about_again(change: Callable[[Stage], object]) -> None:
    """The first answer may be older than the change; who waits for another room is asked about once."""
    questions = Questions()
    async with open_stage(admission=questions) as stage:
        await listening(stage)
        async with await waiting(stage) as ada:
            await eventually(lambda: questions.claims[0].count == 1)
            if change is gap:
                change(stage)
            else:
                await change(stage)  # type: ignore[misc]
                await publish(stage, RoleLost("jam", "nobody"))
            await trio.testing.wait_all_tasks_blocked(0.01)
            questions.settle()
            await eventually(lambda: questions.claims[0].count == 2)
            assert len(stage.gateway.registry) == 0
            questions.settle()
            await ada.head()
            assert (await ada.hear())["type"] == "welcome"


async def test_changes_elsewhere_are_not_asked_about_again() -> None:
    """Another room's."""
    questions = Questions()
    async with open_stage(admission=questions) as stage:
        await listening(stage)
        async with await waiting(stage) as ada:
            await publish(stage, RoleLost("duo", "anybody"))
            await publish(stage, RoomClosed("duo"))
            await publish(stage, LoginEnded("another"))
            await trio.testing.wait_all_tasks_blocked(0.01)
            questions.settle()
            await ada.head()
            assert questions.claims[0].count == 1


async def test_a_sign_out_while_it_is_asked_lets_nobody_in() -> None:
    """Whatever the answer says: it may be older."""
    questions = Questions()
    async with open_stage(admission=questions) as stage:
        await listening(stage)
        async with await waiting(stage, login="mine") as ada:
            await publish(stage, LoginEnded("mine"))
            await trio.testing.wait_all_tasks_blocked(0.01)
            questions.settle()
            status, _, body = await answered(ada)
            assert (status, body["code"]) == (403, "no_access")
