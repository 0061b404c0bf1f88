"""What the tests of the web share: a running web, and a deadline on each test."""

import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

import pytest

from tests.web.running import Web, running_web

DEADLINE_S: Final = 30


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """No test of the web takes longer."""

    def over(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"the test took longer than {DEADLINE_S} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(DEADLINE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def shared_web() -> Iterator[Web]:
    with running_web() as web:
        yield web


@pytest.fixture
def web(shared_web: Web) -> Web:
    """A running web whose store and bus are empty and well."""
    shared_web.presence.trouble.kind = shared_web.bus.trouble.kind = ""
    shared_web.presence.rooms.clear()
    shared_web.bus.published.clear()
    return shared_web
