"""The dispatcher: every actor that has mail gets its turn, and none keeps the others waiting."""

from collections.abc import Callable

import trio
from trio.testing import wait_all_tasks_blocked

from omnisonic.actors.runtime.scheduler import PAUSE_S, Dispatcher


class Player:
    """An actor with this many turns of mail, who writes down each of them."""

    def __init__(self, name: str, turns: int, log: list[str], then: Callable[[], None] = lambda: None) -> None:
        self.is_ready = False
        self._name = name
        self._turns = turns
        self._log = log
        self._then = then

    def run_turn(self) -> bool:
        self._log.append(self._name)
        self._turns -= 1
        self._then()
        return self._turns > 0


def test_a_busy_actor_queues_again_behind_the_others() -> None:
    """Each has one turn a round, however much mail one of them has."""
    log: list[str] = []
    dispatcher = Dispatcher()
    for player in (Player("busy", 100, log), Player("a", 2, log), Player("b", 1, log)):
        dispatcher.schedule(player)
    dispatcher.run_turns()
    dispatcher.run_turns()
    assert log == ["busy", "a", "b", "busy", "a"]
    assert dispatcher.has_work


def test_an_actor_is_queued_once() -> None:
    """However much mail it gets before its turn; afterwards it may queue again."""
    log: list[str] = []
    dispatcher, player = Dispatcher(), Player("a", 1, log)
    dispatcher.schedule(player)
    dispatcher.schedule(player)
    dispatcher.run_turns()
    assert log == ["a"]
    assert not player.is_ready
    dispatcher.schedule(player)
    assert dispatcher.has_work


def test_mail_that_a_turn_makes_waits_for_the_next_round() -> None:
    """Two actors that write to each other do not keep the poller from its sockets."""
    log: list[str] = []
    dispatcher = Dispatcher()
    echo = Player("echo", 1, log)
    dispatcher.schedule(Player("voice", 1, log, then=lambda: dispatcher.schedule(echo)))
    dispatcher.run_turns()
    assert log == ["voice"]
    dispatcher.run_turns()
    assert log == ["voice", "echo"]


async def test_mail_from_anywhere_wakes_the_dispatcher() -> None:
    """Nobody has to read a socket for it; when the mail is done it sleeps again."""
    log: list[str] = []
    dispatcher = Dispatcher()
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.run)
        await wait_all_tasks_blocked()
        dispatcher.schedule(Player("a", 3, log))
        await wait_all_tasks_blocked()
        assert log == ["a", "a", "a"]
        dispatcher.schedule(Player("b", 1, log))
        await wait_all_tasks_blocked()
        assert log[-1] == "b"
        nursery.cancel_scope.cancel()


async def test_a_busy_actor_lets_other_tasks_run() -> None:
    """Between any two rounds."""
    log: list[str] = []
    dispatcher = Dispatcher()
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.run)
        dispatcher.schedule(Player("busy", 1_000_000, log))
        while len(log) < 10:
            await trio.lowlevel.checkpoint()
        assert dispatcher.has_work
        nursery.cancel_scope.cancel()


async def test_who_drives_is_not_woken_for() -> None:
    """The poller takes the turn itself, in the tick the mail came in; what is left over is the dispatcher's."""
    log: list[str] = []
    dispatcher = Dispatcher()
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.run)
        dispatcher.defer_wake_up()
        dispatcher.schedule(Player("a", 2, log))
        await wait_all_tasks_blocked()
        assert log == []
        dispatcher.run_turns()
        assert log == ["a"]
        await wait_all_tasks_blocked()
        assert log == ["a", "a"]
        nursery.cancel_scope.cancel()


def test_what_has_to_look_first_is_called_after_a_pause() -> None:
    """Before a room runs: after idling, and when a room of the same round has taken long; not while it is busy."""
    log: list[str] = []
    now_s = 100.0

    def blocks() -> None:
        nonlocal now_s
        now_s += PAUSE_S + 1.0

    dispatcher = Dispatcher(clock=lambda: now_s)
    dispatcher.schedule(Player("unwatched", 1, log, then=blocks))
    dispatcher.run_turns()
    dispatcher.after_pause = lambda at_s: log.append(f"look {at_s - 100:g}")
    for player in (Player("a", 2, log), Player("slow", 1, log, then=blocks), Player("b", 1, log)):
        dispatcher.schedule(player)
    dispatcher.run_turns()
    now_s += PAUSE_S
    dispatcher.run_turns()
    assert log == ["unwatched", "look 1.5", "a", "slow", "look 3", "b", "a"]
