"""`omnisonic migrate`, on a real database."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnisonic.stores.database.migrations import known_migrations
from tests.cli.running import completed
from tests.postgres_server import PostgresServer

APPLIED = [f"{each.number:04} {each.name}" for each in known_migrations()]


@pytest.fixture
def empty_database(postgres_process: PostgresServer) -> Iterator[str]:
    """A database that nothing was applied to."""
    postgres_process.execute("CREATE DATABASE unmigrated")
    yield postgres_process.url_of("unmigrated")
    postgres_process.execute("DROP DATABASE unmigrated WITH (FORCE)")


def test_it_applies_what_is_waiting_and_says_so(empty_database: str) -> None:
    """Once: the second time there is nothing to do."""
    first = completed("migrate", DATABASE_URL=empty_database)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines() == [f"Applied {step}." for step in APPLIED]
    second = completed("migrate", DATABASE_URL=empty_database)
    assert (second.returncode, second.stdout) == (0, "The database is up to date.\n")


def test_it_shows_what_is_applied_and_what_waits(empty_database: str) -> None:
    """`--status` changes nothing."""
    before = completed("migrate", "--status", DATABASE_URL=empty_database)
    assert before.returncode == 0
    *rows, verdict = before.stdout.splitlines()
    assert [row.split()[-1] for row in rows] == ["waiting"] * len(APPLIED)
    assert verdict == f"{len(APPLIED)} waiting: run `omnisonic migrate`."
    assert json.loads(completed("migrate", "--json", DATABASE_URL=empty_database).stdout) == {
        "applied": [{"number": each.number, "name": each.name} for each in known_migrations()]
    }
    after = json.loads(completed("migrate", "--status", "--json", DATABASE_URL=empty_database).stdout)
    assert [step["name"] for step in after["migrations"]] == [each.name for each in known_migrations()]
    assert all(step["appliedAt"].endswith("Z") for step in after["migrations"])


def test_without_a_database_it_says_where_it_looked(tmp_path: Path) -> None:
    """Neither named, nor run by `serve` in the data directory."""
    shown = completed("migrate", OMNISONIC_DATA_DIR=str(tmp_path))
    assert shown.returncode == 2
    assert shown.stderr == (
        f"omnisonic: DATABASE_URL is not set, and no `omnisonic serve` runs a database in {tmp_path}: "
        "set it, or OMNISONIC_DATA_DIR.\n"
    )


def test_a_database_that_is_not_there_is_a_sentence_without_the_password(
    postgres_process: PostgresServer,
) -> None:
    """On standard error, with exit code 1."""
    url = postgres_process.url_of("nowhere").replace("@", ":canary@")
    shown = completed("migrate", DATABASE_URL=url)
    assert shown.returncode == 1
    assert shown.stderr.startswith("omnisonic: There is no database of that name at 127.0.0.1:")
    assert "canary" not in shown.stdout + shown.stderr
