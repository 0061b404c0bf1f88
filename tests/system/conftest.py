"""What the system tests share: a running studio, started in either way, and a Valkey from outside."""

import os
from collections.abc import Iterator

import pytest

from tests.system.studio import Studio, running_studio


@pytest.fixture(scope="package", autouse=True)
def without_coverage() -> Iterator[None]:
    """Parts that are started here are not measured: it would slow them by half, and tests/cli measures each of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module", params=["serve", "apart"])
def studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A running studio that all tests of a module share: each has rooms of its own."""
    with running_studio(request.param, tmp_path_factory.mktemp(request.param)) as studio:
        yield studio
