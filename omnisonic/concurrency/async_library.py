"""Which async library a program runs on."""

from typing import Final, Literal, TypeAlias

import sniffio

from omnisonic.errors import WrongAsyncLibrary

AsyncLibrary: TypeAlias = Literal["trio", "asyncio"]

_ARTICLES: Final = {"trio": "a", "asyncio": "an"}


def require_async_library(wanted: AsyncLibrary, instead: str) -> None:
    """Raise `WrongAsyncLibrary` when the program runs on the other one. `instead` says what to do there."""
    try:
        running = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return
    if running in _ARTICLES and running != wanted:
        raise WrongAsyncLibrary(f"This is {_ARTICLES[running]} {running} program: {instead}.")
