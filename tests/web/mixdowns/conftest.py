"""A studio whose mixdowns are real, for browsers: the web on its stores, and a fake gateway that says what it hears."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.postgres_server import PostgresServer, fresh_database
from tests.web.browsing import Visit, running_browser, visiting
from tests.web.running import GatewayThread, Web, running_gateway, running_web


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayThread]:
    with running_gateway() as running:
        yield running


@pytest.fixture(scope="module")
def shared_site(gateway: GatewayThread, postgres_process: PostgresServer) -> Iterator[Web]:
    with (
        fresh_database(postgres_process) as url,
        running_web(database_url=url, gateway_port=gateway.fake.port) as running,
    ):
        yield running


@pytest.fixture
def site(shared_site: Web) -> Web:
    """What other tests have asked for is not made in this one."""
    shared_site.bus.published.clear()
    shared_site.bus.trouble.kind = ""
    shared_site.forget_everybody()
    return shared_site


@pytest.fixture
def visit(browser: Browser, site: Web, gateway: GatewayThread) -> Iterator[Visit]:
    visit = visiting(browser, site, gateway.fake.port)
    yield visit
    visit.check()
