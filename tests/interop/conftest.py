"""What the tests with other people's clients share: a whole running studio, whose people they are."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.http.browsing import running_browser
from tests.system.conftest import without_coverage as without_coverage
from tests.system.studio import Studio, running_studio


@pytest.fixture(scope="package")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """`omnisonic serve`, as on anybody's machine. Each test is somebody else in it."""
    with running_studio("serve", tmp_path_factory.mktemp("interop")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium."""
    with running_browser() as browser:
        yield browser
