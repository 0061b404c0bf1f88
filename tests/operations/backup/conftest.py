"""An installation with everything in it, and an empty one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.backup.installations import Installation
from tests.postgres_server import PostgresServer, fresh_database


@pytest.fixture
def source(database_url: str, tmp_path: Path) -> Installation:
    """What is backed up. Nothing is in it yet."""
    return Installation.local(database_url, tmp_path / "uploads")


@pytest.fixture
def target(postgres_process: PostgresServer, tmp_path: Path) -> Iterator[Installation]:
    """Where it is restored, with an empty database that is migrated."""
    with fresh_database(postgres_process) as url:
        yield Installation.local(url, tmp_path / "restored")
