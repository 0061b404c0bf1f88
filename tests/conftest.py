"""What holds for every test here: one that runs under trio has a deadline."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
import trio

TEST_S: Final = 60.0
"""A test that takes longer hangs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every asynchronous test its deadline."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _within(TEST_S, item.obj)


def _within(deadline_s: float, test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def timed(*args: Any, **kwargs: Any) -> None:
        with trio.fail_after(deadline_s):
            await test(*args, **kwargs)

    return timed
