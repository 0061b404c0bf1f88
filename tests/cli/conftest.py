"""One studio for all tests that only look at it, or that leave it as they found it."""

import os
from collections.abc import Iterator

import pytest

from tests.cli.running import Command, running
from tests.cli.webhook_receiver import Receiver, receiving


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A running `omnisonic serve` with all of its parts, free ports and an empty data directory."""
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    data = str(tmp_path_factory.mktemp("data"))
    with running("serve", OMNISONIC_DATA_DIR=data, PARITY_ENABLED="true", **measured) as command:
        command.printed("is running")
        yield command


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with receiving() as receiver:
        yield receiver
