"""Ctrl-C in a program with rooms or a client: it goes to the program's own code, and never into a task of ours."""

import trio

import omnisonic
from omnisonic.actors.runtime.supervisor import ChildSpec, supervise
from omnisonic.concurrency.background import run_protected
from tests.embedding.staging import band, hear


class Asked(omnisonic.Room[None]):
    """Says whether its hook is safe from Ctrl-C."""

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> None:
        self.say("safe", trio.lowlevel.currently_ki_protected())


async def test_a_hook_that_does_not_end_can_be_ended() -> None:
    """It is the program's own code, though a task of the gateway runs it."""
    async with band("ada", room_class=Asked) as (_, [ada]):
        await ada.say("note")
        assert (await hear(ada, "safe")).payload is False


async def test_the_tasks_of_gateway_and_client_are_not_ended_half_way() -> None:
    """In the middle of one, `KeyboardInterrupt` would leave it half done: the program would end with another error."""
    safe: list[bool] = []

    async def run(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        safe.append(trio.lowlevel.currently_ki_protected())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_protected, run)
        await nursery.start(supervise, ChildSpec("mirror", run), print)
        nursery.start_soon(run)
    assert safe == [True, True, False]
