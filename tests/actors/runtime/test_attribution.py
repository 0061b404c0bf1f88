"""Attribution: the dispatcher says whose awaited hook runs, and the hook notices nothing."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from omnisonic.actors.runtime.attribution import attribute_steps
from omnisonic.actors.runtime.scheduler import Dispatcher


class FakeActor:
    """An actor without mail."""

    is_ready = False

    def run_turn(self) -> bool:
        return False


async def test_what_is_awaited_for_an_actor_is_its_own_while_it_runs() -> None:
    """Not while it waits; and each time it goes on counts as another turn, so that many short ones are no stall."""
    dispatcher, actor, go_on, seen = Dispatcher(), FakeActor(), trio.Event(), []

    async def hook() -> int:
        seen.append((dispatcher.running, dispatcher.turns))
        await go_on.wait()
        seen.append((dispatcher.running, dispatcher.turns))
        return 17

    async def run() -> None:
        assert await attribute_steps(dispatcher, actor, hook()) == 17

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await wait_all_tasks_blocked()
            assert dispatcher.running is None
            go_on.set()
    assert seen == [(actor, 1), (actor, 2)]
    assert dispatcher.running is None


async def test_errors_and_cancellation_pass_through() -> None:
    """What the hook raises comes out, and it can clean up when it is cancelled."""
    dispatcher, actor, cleaned = Dispatcher(), FakeActor(), []

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError("nothing there")

    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append(dispatcher.running)

    with pytest.raises(LookupError, match="nothing there"):
        await attribute_steps(dispatcher, actor, fail())
    with trio.move_on_after(0) as scope:
        await attribute_steps(dispatcher, actor, wait())
    assert scope.cancelled_caught
    assert cleaned == [actor]
    assert dispatcher.running is None
