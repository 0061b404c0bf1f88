"""Who uses a function of one async library in a program of the other is told what to use."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import pytest

import omnisonic
from omnisonic import aio
from omnisonic.concurrency.async_library import require_async_library
from omnisonic.embedding.web import StudioWeb
from omnisonic.settings.settings import Settings

NOWHERE: Final = "ws://127.0.0.1:9"


async def enter(block: AbstractAsyncContextManager[object]) -> None:
    """Enter the block, which fails."""
    async with block:
        pass


@pytest.mark.parametrize(
    ("open_it", "sentence"),
    [
        (lambda: omnisonic.connect(NOWHERE), "This is an asyncio program: use omnisonic.aio.connect."),
        (
            omnisonic.open_gateway,
            "This is an asyncio program: run the gateway in a trio program, and join its rooms with "
            "omnisonic.aio.connect.",
        ),
    ],
)
def test_what_is_trios_says_so_in_an_asyncio_program(open_it: Callable[[], Any], sentence: str) -> None:
    """In one sentence, with a code."""
    with pytest.raises(omnisonic.WrongAsyncLibrary) as wrong:
        asyncio.run(enter(open_it()))
    assert (wrong.value.message, wrong.value.code) == (sentence, "wrong_async_library")


@pytest.mark.parametrize(
    ("open_it", "sentence"),
    [
        (lambda: aio.connect(NOWHERE), "This is a trio program: use omnisonic.connect."),
        (
            StudioWeb(Settings(), "redis://127.0.0.1:9", "postgresql://127.0.0.1:9/none").running,
            "This is a trio program: serve the studio's web with an asyncio server, such as hypercorn.asyncio.",
        ),
    ],
)
async def test_what_is_asyncios_says_so_in_a_trio_program(open_it: Callable[[], Any], sentence: str) -> None:
    """In one sentence, with a code."""
    with pytest.raises(omnisonic.WrongAsyncLibrary) as wrong:
        await enter(open_it())
    assert (wrong.value.message, wrong.value.code) == (sentence, "wrong_async_library")


def test_where_nothing_runs_nothing_is_wrong() -> None:
    """Nobody can tell then."""
    require_async_library("trio", "use something else")
