"""`omnisonic clean-uploads`, on a real database and a real folder."""

import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from omnisonic.cli.clean_uploads import BATCH
from omnisonic.stores.storage.local import LocalStorage
from tests.cli.running import completed
from tests.postgres_server import blocking

BIN = BATCH + 10
UNFINISHED = 2 * BATCH + 20


async def _fill(url: str, folder: Path, ages_days: list[int], session: str | None) -> list[str]:
    """Make an upload of each age; their keys."""
    connection = await asyncpg.connect(url)
    storage = LocalStorage(folder)
    keys = []
    try:
        user = await connection.fetchval("INSERT INTO users (name) VALUES ('Ada') RETURNING id")
        if session is not None:
            await connection.execute("INSERT INTO sessions (id, owner_id, name) VALUES ($1, $2, 'Jam')", session, user)
        for age in ages_days:
            keys.append(f"uploads/{uuid4()}")
            await storage.put(keys[-1], _bytes())
            await connection.execute(
                "WITH track AS (INSERT INTO tracks (id, name, position, chosen_id) VALUES ($1, 'a', 1, $1)) "
                "INSERT INTO uploads (id, user_id, session_id, object_key, file_name, file_size, mime_type, sha256, "
                "track_id, created_at) "
                "VALUES ($1, $2, $3, $4, 'a.wav', 5, 'audio/wav', '', $1, now() - make_interval(days => $5))",
                uuid4(), user, session, keys[-1], age,
            )  # fmt: skip
    finally:
        await connection.close()
        await storage.aclose()
    return keys


async def _bytes() -> AsyncIterator[bytes]:
    yield b"sound"


def filled(url: str, folder: Path, *ages_days: int, session: str | None = None) -> list[str]:
    return blocking(_fill(url, folder, list(ages_days), session))


def stored(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(name="folder")
def uploads_folder(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


def test_it_deletes_what_is_old_and_has_no_session(database_url: str, folder: Path) -> None:
    """Thirty days by default, row and object; what is younger or in a session stays."""
    _, young = filled(database_url, folder, 31, 29)
    (in_session,) = filled(database_url, folder, 400, session=str(uuid4()))
    shown = completed("clean-uploads", DATABASE_URL=database_url, STORAGE_LOCAL_DIR=str(folder))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == (
        "1 stale upload deleted, 5 bytes; also 0 unfinished, and 0 from the bin; 1 object taken from the storage.\n"
    )
    assert stored(folder) == {young, in_session}


def test_it_deletes_all_that_has_expired(database_url: str, folder: Path) -> None:
    """Unfinished uploads and what was long in the bin, however many, and says how many. One is young, and stays."""
    filled(database_url, folder, *[31] * BIN, session=str(uuid4()))
    blocking(_expire(database_url))
    settings = {"DATABASE_URL": database_url, "STORAGE_LOCAL_DIR": str(folder)}
    shown = completed("clean-uploads", "--json", **settings)
    expected = {"uploads": 0, "bytes": 0, "unfinished": UNFINISHED, "removed": BIN, "objects": BIN, "dryRun": False}
    assert json.loads(shown.stdout) == expected
    assert stored(folder) == set()
    again = completed("clean-uploads", **settings)
    assert again.stdout == (
        "0 stale uploads deleted, 0 bytes; also 0 unfinished, and 0 from the bin; 0 objects taken from the storage.\n"
    )


async def _expire(url: str) -> None:
    """Let what is there have been removed long ago, and unfinished uploads of its uploader expire, but for one."""
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE uploads SET removed_at = now() - interval '31 days'")
    await connection.execute(
        "INSERT INTO resumable_uploads (user_id, file_name, size, expires_at) "
        "SELECT users.id, 'a.wav', 5, now() + CASE WHEN number = 0 THEN interval '1 hour' ELSE interval '0' END "
        "FROM users, generate_series(0, $1::int) AS number",
        UNFINISHED,
    )
    await connection.close()


def test_a_dry_run_only_says_what_it_would_do(database_url: str, folder: Path) -> None:
    """With another age, in words and in JSON."""
    keys = filled(database_url, folder, 3, 2, 1)
    settings = {"DATABASE_URL": database_url, "STORAGE_LOCAL_DIR": str(folder)}
    shown = completed("clean-uploads", "--dry-run", "--older-than", "36h", **settings)
    assert shown.stdout == "2 stale uploads would be deleted, 10 bytes.\n"
    reported = completed("clean-uploads", "--dry-run", "--older-than", "1d", "--json", **settings)
    assert json.loads(reported.stdout) == {"uploads": 3, "bytes": 15, "dryRun": True}
    assert stored(folder) == set(keys)


@pytest.mark.parametrize("age", ["30", "0d", "x", "-1d", "30 days"])
def test_an_age_that_is_none_is_refused(age: str, database_url: str) -> None:
    """A sentence, and nothing is deleted."""
    shown = completed("clean-uploads", f"--older-than={age}", DATABASE_URL=database_url)
    assert shown.returncode == 2
    assert shown.stderr == "omnisonic: --older-than must be a number of days or hours, such as 30d or 12h.\n"


def test_two_at_once_delete_everything_once(database_url: str, folder: Path) -> None:
    """Each upload is counted by one of them."""
    filled(database_url, folder, *[40] * 120)
    settings = {"DATABASE_URL": database_url, "STORAGE_LOCAL_DIR": str(folder)}
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: completed("clean-uploads", "--json", **settings), range(2)))
    assert [shown.returncode for shown in both] == [0, 0]
    assert sum(json.loads(shown.stdout)["uploads"] for shown in both) == 120
    assert stored(folder) == set()


def test_a_store_that_is_away_is_told_and_nothing_is_forgotten(database_url: str, folder: Path) -> None:
    """Exit code 1; the next one deletes what is left."""
    filled(database_url, folder, 40)
    away = {
        "STORAGE_TYPE": "minio", "MINIO_ENDPOINT": "http://127.0.0.1:1", "MINIO_BUCKET_NAME": "uploads",
        "MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "canary",
    }  # fmt: skip
    shown = completed("clean-uploads", DATABASE_URL=database_url, **away)
    assert shown.returncode == 1
    assert "The storage did not delete everything now" in shown.stderr
    assert "canary" not in shown.stderr
    blocking(_make_due(database_url))
    again = completed("clean-uploads", DATABASE_URL=database_url, STORAGE_LOCAL_DIR=str(folder))
    assert (again.returncode, stored(folder)) == (0, set())


async def _make_due(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE loose_objects SET due_at = now()")
    await connection.close()
