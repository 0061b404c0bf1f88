"""Tidying up that goes on when whoever waits for it is cancelled. Asyncio."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

_running: Final[set[asyncio.Task[None]]] = set()
"""asyncio itself forgets tasks that nobody holds."""


async def run_shielded(act: Coroutine[Any, Any, None]) -> None:
    """Wait for `act`, which is bounded in time and never raises; it goes on when this is cancelled."""
    task = asyncio.create_task(act)
    _running.add(task)
    task.add_done_callback(_running.discard)
    await asyncio.shield(task)
