"""Calls between two loops in two threads: answers, errors and deadlines."""

import threading
from functools import partial

import pytest
import trio
import trio.testing

from omnisonic.actors.inspection.thread_call import NotAnswered, ThreadCalls
from tests.clients import DEADLINE_S


async def test_a_question_is_answered_in_the_other_loop() -> None:
    """In its thread, and the answer comes back into the asker's."""
    thread_calls = ThreadCalls()

    async def ask() -> list[int]:
        return [await thread_calls.ask(threading.get_ident), threading.get_ident()]

    there, here = await trio.to_thread.run_sync(trio.run, ask)
    assert there == threading.get_ident() != here


async def test_what_a_question_raises_is_the_askers() -> None:
    """The loop that was asked goes on."""
    thread_calls = ThreadCalls()

    def fail() -> None:
        raise ValueError("there")

    async def ask() -> int:
        with pytest.raises(ValueError, match="there"):
            await thread_calls.ask(fail)
        return await thread_calls.ask(lambda: 7)

    assert await trio.to_thread.run_sync(trio.run, ask) == 7


async def test_a_loop_that_is_held_up_is_not_waited_for_and_what_was_asked_is_not_done_later() -> None:
    """At the deadline it is `NotAnswered`, and then it must not happen any more."""
    thread_calls, done = ThreadCalls(answer_s=0.05), []
    held_up, given_up = threading.Event(), threading.Event()

    async def ask() -> None:
        held_up.wait(DEADLINE_S)
        with pytest.raises(NotAnswered):
            await thread_calls.ask(lambda: done.append("late"))
        given_up.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, partial(trio.run, ask))
        await trio.testing.wait_all_tasks_blocked()
        held_up.set()
        given_up.wait(DEADLINE_S)  # this loop does nothing else
    assert given_up.is_set()
    await trio.testing.wait_all_tasks_blocked()
    assert done == []


async def test_a_loop_that_has_ended_does_not_answer() -> None:
    """At once; and what is told to it is for nobody."""

    async def make() -> ThreadCalls:
        return ThreadCalls()

    thread_calls = await trio.to_thread.run_sync(trio.run, make)
    with pytest.raises(NotAnswered):
        await thread_calls.ask(lambda: 1)
    thread_calls.tell(lambda: None)
