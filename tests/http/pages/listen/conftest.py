"""A studio whose mixdowns are shared, for browsers."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.http.browsing import Visit, visiting
from tests.http.running import Web


@pytest.fixture
def visit(browser: Browser, shared_web: Web) -> Iterator[Visit]:
    visit = visiting(browser, shared_web)
    yield visit
    visit.check()
