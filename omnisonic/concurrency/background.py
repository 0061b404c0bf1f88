"""Background tasks for context managers that must not wrap what their block raises.

A plain nursery wraps it in an exception group. Then users of `async with connect(...)` could not catch their own errors
by name.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_background() -> AsyncIterator[trio.Nursery]:
    """A nursery whose tasks are cancelled at the end of the block. What the block raises is not wrapped.

    Raises an exception group when a task raises; the block is cancelled then.
    """
    wrong: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except BaseException as raised:  # noqa: BLE001 - cancellation too: it goes on outside
            wrong = raised
        nursery.cancel_scope.cancel()
    if wrong is not None:
        raise wrong


@trio.lowlevel.enable_ki_protection
async def run_protected(function: Callable[..., Awaitable[object]], *arguments: object) -> None:
    """Run a task of ours without Ctrl-C in the middle of it. The program's own task gets it, and cancels ours.

    Otherwise Python raises `KeyboardInterrupt` in whatever code runs just then, such as between a task's decision to
    wait and the wait, and the program ends with an error of trio's, or never.
    """
    await function(*arguments)
