"""A studio whose stems are real, for browsers: the web on its stores, and a fake gateway that says what it is told."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.http.browsing import Visit, visiting
from tests.http.running import GatewayThread, Web

PENDING = "409"
"""Whoever asks for a waveform too early is told so, and the browser writes that down."""


@pytest.fixture
def site(shared_site: Web) -> Web:
    shared_site.bus.published.clear()
    shared_site.bus.trouble.kind = ""
    return shared_site


@pytest.fixture
def visit(browser: Browser, site: Web, gateway: GatewayThread) -> Iterator[Visit]:
    visit = visiting(browser, site, gateway.fake.port)
    visit.expects(PENDING)
    yield visit
    visit.check()
