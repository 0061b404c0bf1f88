"""Background tasks for context managers that must not wrap what their block raises.

A plain nursery wraps it in an exception group. Then users of `async with connect(...)` could not catch their own errors
by name.
"""

from collections.abc import AsyncIterator
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
