"""Cleanup that is not interrupted by cancellation. Asyncio."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

_running: Final[set[asyncio.Task[None]]] = set()
"""References to the running tasks, because asyncio holds only weak ones."""


async def run_shielded(act: Coroutine[Any, Any, None]) -> None:
    """Wait for `act`, which goes on when the caller is cancelled. It must end soon, and must not raise."""
    task = asyncio.create_task(act)
    _running.add(task)
    task.add_done_callback(_running.discard)
    await asyncio.shield(task)
