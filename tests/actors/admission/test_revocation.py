"""Access revocation: rights are checked in chunks, each once, and again while the database is down (SPEC 5.1)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import trio
from trio.testing import MockClock

from omnisonic.actors.admission.pending import PendingAdmissions
from omnisonic.actors.admission.revocation import CHUNK, RECHECK_S, RETRY_S, AccessRevocation
from omnisonic.actors.connections.connection import Connection
from omnisonic.errors import Unavailable
from omnisonic.studio.access import Pass, Rechecked, Standing
from omnisonic.wire.closing import CloseCode, Closing


@dataclass(eq=False)
class Guest:
    """A connection as access revocation sees it."""

    login: str | None
    person: str | None = None
    room_id: str = "jam"
    closing: Closing | None = None
    is_listener: bool = False

    def change_role(self, *, is_listener: bool) -> None:
        self.is_listener = is_listener

    def close(self, closing: Closing) -> None:
        self.closing = closing


@dataclass
class Answers:
    """An access store: says that `ended` sign-ins open nothing and who listens, and raises while it is down."""

    ended: set[str] = field(default_factory=set)
    listeners: set[str] = field(default_factory=set)
    is_down: bool = False
    asked: list[Sequence[Pass]] = field(default_factory=list)

    async def standing(self, room: str, *, login: str | None = None, member_id: str | None = None) -> Standing:
        return Standing(is_sessions=False, person=None, role=None, is_reserved=False)

    async def ping(self) -> None:
        pass

    async def recheck(self, passes: Sequence[Pass]) -> Rechecked:
        await trio.lowlevel.checkpoint()
        self.asked.append(passes)
        if self.is_down:
            raise Unavailable("down")
        return Rechecked(
            [each for each in passes if each.login in self.ended],
            [each for each in passes if each.room and each.is_listener != (each.login in self.listeners)],
        )

    async def aclose(self) -> None:
        pass


class House:
    """Access revocation, with guests in rooms."""

    def __init__(self, nursery: trio.Nursery, access: Answers | None, *guests: Guest) -> None:
        self.revocation = AccessRevocation(
            PendingAdmissions(nursery, lambda *_: None), access, recheck_s=RECHECK_S / 10
        )
        for guest in guests:
            self.revocation.watch(cast("Connection", guest))
        nursery.start_soon(self.revocation.run)


async def test_many_rights_are_asked_about_in_chunks(autojump_clock: MockClock) -> None:
    """Each once, however many connections there are by it; those that lapsed go, and no others."""
    guests = [Guest(f"login {number}") for number in range(2 * CHUNK + 1)]
    guests += [Guest("login 0"), Guest("login 0", room_id="duo")]
    answers = Answers({"login 0", f"login {2 * CHUNK}"})
    async with trio.open_nursery() as nursery:
        house = House(nursery, answers, *guests)
        await trio.testing.wait_all_tasks_blocked()
        house.revocation.recheck_soon()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [len(passes) for passes in answers.asked] == [CHUNK, CHUNK, 2]
    gone = [guest.login for guest in guests if guest.closing == Closing(CloseCode.KICKED)]
    assert gone == ["login 0", f"login {2 * CHUNK}", "login 0", "login 0"]


async def test_a_database_that_is_down_is_asked_until_it_answers(autojump_clock: MockClock) -> None:
    """Nobody goes meanwhile; a second later it is asked again."""
    ada, bo = Guest("ended"), Guest("holds")
    answers = Answers({"ended"}, is_down=True)
    async with trio.open_nursery() as nursery:
        house = House(nursery, answers, ada, bo)
        await trio.testing.wait_all_tasks_blocked()
        house.revocation.recheck_soon()
        await trio.sleep(3.5 * RETRY_S)
        assert (len(answers.asked), ada.closing) == (4, None)
        answers.is_down = False
        await trio.sleep(RETRY_S)
        assert ada.closing is not None
        assert bo.closing is None
        nursery.cancel_scope.cancel()


async def test_a_role_that_has_changed_unheard_is_changed_in_place(autojump_clock: MockClock) -> None:
    """An editor is a listener now, a listener is none any more; both stay, and so does what is no session's."""
    ada, bo, other = Guest("ada"), Guest("bo", is_listener=True), Guest("ada")
    async with trio.open_nursery() as nursery:
        house = House(nursery, Answers(listeners={"ada"}), ada, bo)
        house.revocation.watch(cast("Connection", other), by_role=False)
        await trio.testing.wait_all_tasks_blocked()
        house.revocation.recheck_soon()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [(guest.is_listener, guest.closing) for guest in (ada, bo, other)] == [
        (True, None),
        (False, None),
        (False, None),
    ]


async def test_rights_are_asked_about_from_time_to_time(autojump_clock: MockClock) -> None:
    """Also when nothing is heard at all."""
    answers = Answers()
    async with trio.open_nursery() as nursery:
        House(nursery, answers, Guest("ada"))
        await trio.sleep(3.5 * RECHECK_S / 10)
        nursery.cancel_scope.cancel()
    assert answers.asked == [[Pass("ada", "jam")]] * 3


async def test_who_needs_no_role_is_asked_about_by_the_sign_in_alone(autojump_clock: MockClock) -> None:
    """Somebody by ticket in an open room: they go with their sign-in, and with nothing else."""
    open_room, sessions, ended = Guest("ada"), Guest("ada", room_id="session"), Guest("ended")
    answers = Answers({"ended"})
    async with trio.open_nursery() as nursery:
        house = House(nursery, answers, sessions)
        for guest in (open_room, ended):
            house.revocation.watch(cast("Connection", guest), by_role=False)
        await trio.testing.wait_all_tasks_blocked()
        house.revocation.recheck_soon()
        await trio.testing.wait_all_tasks_blocked()
        house.revocation.discard(cast("Connection", open_room))
        nursery.cancel_scope.cancel()
    assert [sorted(passes, key=str) for passes in answers.asked] == [
        [Pass("ada", "session"), Pass("ada", None), Pass("ended", None)]
    ]
    assert [guest.closing is not None for guest in (open_room, sessions, ended)] == [False, False, True]


async def test_who_has_gone_is_not_in_the_index() -> None:
    """Nothing is kept of them, and people without a sign-in were never in it."""
    async with trio.open_nursery() as nursery:
        guests = [Guest("one", "ada"), Guest("one", "ada"), Guest("two", "ada"), Guest(None)]
        house = House(nursery, None, *guests)
        assert len(house.revocation) == 3
        for guest in guests:
            house.revocation.discard(cast("Connection", guest))
        assert len(house.revocation) == 0
        house.revocation.revoke_login("one")
        assert [guest.closing for guest in guests] == [None] * 4
        nursery.cancel_scope.cancel()
