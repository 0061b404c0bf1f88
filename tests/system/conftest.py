"""What the system tests share: a running studio, started in either way, and a Valkey from outside."""

from collections.abc import Iterator

import pytest

from tests.system.studio import Studio, running_studio


@pytest.fixture(scope="module", params=["serve", "apart"])
def studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A running studio that all tests of a module share: each has rooms of its own."""
    with running_studio(request.param, tmp_path_factory.mktemp(request.param)) as studio:
        yield studio
