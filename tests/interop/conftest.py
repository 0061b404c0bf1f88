"""What the tests with other people's clients share: a whole running studio, whose people they are."""

from collections.abc import Iterator

import pytest

from tests.system.conftest import without_coverage as without_coverage
from tests.system.studio import Studio, running_studio


@pytest.fixture(scope="package")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """`omnisonic serve`, as on anybody's machine. Each test is somebody else in it."""
    with running_studio("serve", tmp_path_factory.mktemp("interop")) as running:
        yield running
