"""What the tests of the web share: a running web, and a deadline on each test."""

import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

import pytest
from playwright.sync_api import Browser

from tests.http.browsing import running_browser
from tests.http.running import GatewayThread, Web, running_gateway, running_web
from tests.patience import Patience
from tests.postgres_server import PostgresServer, fresh_database

DEADLINE_S: Final = 240
"""What is over by then does not hang. How quick something has to be is for its own test to say."""


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """No test of the web takes longer, but on a machine that has more to do."""

    patience = Patience(DEADLINE_S)

    def over(_signal: int, _frame: FrameType | None) -> None:
        if patience.goes_on():
            signal.alarm(DEADLINE_S)
            return
        raise TimeoutError(f"the test took longer than {DEADLINE_S} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(DEADLINE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def shared_web(postgres_process: PostgresServer) -> Iterator[Web]:
    with fresh_database(postgres_process) as url, running_web(database_url=url) as web:
        yield web


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium."""
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayThread]:
    """A fake one, which says what it is told."""
    with running_gateway() as running:
        yield running


@pytest.fixture(scope="module")
def shared_site(gateway: GatewayThread, postgres_process: PostgresServer) -> Iterator[Web]:
    """A running web for browsers, whose pages find that gateway."""
    with (
        fresh_database(postgres_process) as url,
        running_web(database_url=url, gateway_port=gateway.fake.port) as running,
    ):
        running.clock.runs = True  # what pages ask for again and again is limited by the time that passes
        yield running


@pytest.fixture
def web(shared_web: Web) -> Web:
    """A running web with nobody in it: stores and bus are empty and well. Rooms are open."""
    return emptied(shared_web)


@pytest.fixture(scope="module")
def shared_ticket_web(postgres_process: PostgresServer) -> Iterator[Web]:
    with (
        fresh_database(postgres_process) as url,
        running_web({"ROOM_ACCESS": "ticket"}, database_url=url) as web,
    ):
        yield web


@pytest.fixture
def ticket_web(shared_ticket_web: Web) -> Web:
    """As `web`, but rooms are entered with tickets."""
    return emptied(shared_ticket_web)


def emptied(web: Web) -> Web:
    """The same web, as it was at first."""
    web.presence.trouble.kind = web.bus.trouble.kind = ""
    web.presence.rooms.clear()
    web.presence.once_put = None
    web.bus.published.clear()
    web.bus.gateway = None
    web.forget_everybody()
    return web
