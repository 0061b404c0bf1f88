"""A studio whose mixdowns are real, for browsers: the web on its stores, and a fake gateway that says what it hears."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.http.browsing import Visit, visiting
from tests.http.running import GatewayThread, Web


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
