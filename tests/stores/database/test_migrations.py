"""The migrations: applied once, whole, in order, by one at a time; and told in a sentence when they cannot be."""

import asyncio
import itertools
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from omnisonic.stores.database import migrations
from omnisonic.stores.database.migrations import (
    DatabaseAhead,
    DatabaseBehind,
    DatabaseUnreachable,
    Migration,
    MigrationChanged,
    MigrationFailed,
    check_migrated,
    connect,
    known_migrations,
    migrate,
    status,
)
from omnisonic.studio.uploads import default_track_name
from tests.postgres_server import PostgresServer, blocking, running_postgres

ONE: Final = Migration(1, "one", "CREATE TABLE one (value integer); INSERT INTO one VALUES (1)")
TWO: Final = Migration(2, "two", "INSERT INTO one VALUES (2)")
BROKEN: Final = Migration(2, "broken", "INSERT INTO one VALUES (2); INSERT INTO nowhere VALUES (2)")
FORGOTTEN: Final = Migration(2, "forgotten", "INSERT INTO one VALUES (2); DROP TABLE schema_migrations")
SLOW: Final = Migration(2, "slow", "SELECT pg_sleep(0.3); INSERT INTO one VALUES (2)")

_names = itertools.count(1)


@pytest.fixture
def empty_url(postgres_process: PostgresServer) -> Iterator[str]:
    """A database in which nothing was ever applied."""
    name = f"unmigrated_{next(_names)}"
    postgres_process.execute(f"CREATE DATABASE {name}")
    yield postgres_process.url_of(name)
    postgres_process.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def values_at(url: str) -> list[int]:
    """What the migrations above have written, in order."""
    connection = await connect(url)
    try:
        return [row["value"] for row in await connection.fetch("SELECT value FROM one")]
    finally:
        await connection.close()


def test_what_is_missing_is_applied_in_order_and_once(empty_url: str) -> None:
    """A later version applies what it adds."""
    assert blocking(migrate(empty_url, [ONE])) == [ONE]
    assert blocking(migrate(empty_url, [ONE, TWO])) == [TWO]
    assert blocking(migrate(empty_url, [ONE, TWO])) == []
    assert blocking(values_at(empty_url)) == [1, 2]


def test_the_status_tells_what_was_applied_and_when(empty_url: str) -> None:
    """Also of a database that was never migrated; asking changes nothing."""
    assert blocking(status(empty_url, [ONE, TWO])) == [(ONE, None), (TWO, None)]
    blocking(migrate(empty_url, [ONE]))
    (first, applied_at), *others = blocking(status(empty_url, [ONE, TWO]))
    assert first == ONE
    assert applied_at is not None
    assert applied_at.tzinfo is not None
    assert others == [(TWO, None)]


def test_a_database_that_is_behind_is_refused_with_what_to_do(empty_url: str) -> None:
    """By the commands that do not migrate by themselves."""
    blocking(migrate(empty_url, [ONE]))
    with pytest.raises(DatabaseBehind, match="run `omnisonic migrate`") as caught:
        blocking(check_migrated(empty_url, [ONE, TWO]))
    assert caught.value.code == "database_behind"
    blocking(check_migrated(empty_url, [ONE]))


def test_a_migration_that_fails_leaves_nothing_and_those_before_it_stay(empty_url: str) -> None:
    """It and its row are one transaction; mended, it is applied."""
    with pytest.raises(MigrationFailed, match=r'0002 broken .*"nowhere" does not exist'):
        blocking(migrate(empty_url, [ONE, BROKEN, Migration(3, "three", "SELECT 1")]))
    assert blocking(values_at(empty_url)) == [1]
    assert blocking(migrate(empty_url, [ONE, TWO])) == [TWO]


def test_a_migration_that_cannot_be_remembered_is_not_applied(empty_url: str) -> None:
    """Or it would be applied again."""
    blocking(migrate(empty_url, [ONE]))
    with pytest.raises(MigrationFailed, match='"schema_migrations" does not exist'):
        blocking(migrate(empty_url, [ONE, FORGOTTEN]))
    assert blocking(values_at(empty_url)) == [1]
    assert blocking(migrate(empty_url, [ONE, TWO])) == [TWO]


def test_two_at_once_take_turns(empty_url: str) -> None:
    """One applies, the other finds it done."""

    async def race() -> list[list[Migration]]:
        return await asyncio.gather(*(migrate(empty_url, [ONE, SLOW]) for _ in range(4)))

    applied = blocking(race())
    assert sorted(applied, key=len) == [[], [], [], [ONE, SLOW]]
    assert blocking(values_at(empty_url)) == [1, 2]


def test_a_migration_waits_for_a_backup_and_says_so_and_a_start_without_one_does_not_wait(
    empty_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the other program has its lock; then it is applied."""
    monkeypatch.setattr(migrations, "SAY_S", 0.02)

    async def migrate_beside() -> list[Migration]:
        await migrate(empty_url, [ONE])
        other = await connect(empty_url)
        await other.execute("SELECT pg_advisory_lock_shared($1)", migrations.LOCK)
        assert await migrate(empty_url, [ONE]) == []
        assert not caplog.messages
        applying = asyncio.create_task(migrate(empty_url, [ONE, TWO]))
        while "migrations.waiting" not in caplog.messages:
            await asyncio.wait({applying}, timeout=0.01)
        assert not applying.done()
        await other.close()
        return await applying

    assert blocking(migrate_beside()) == [TWO]
    assert blocking(values_at(empty_url)) == [1, 2]


def test_a_migration_that_was_changed_afterwards_is_refused(empty_url: str) -> None:
    """Databases would differ by when they were migrated."""
    blocking(migrate(empty_url, [ONE]))
    changed = Migration(1, "one", ONE.sql + ";")
    for refused in (migrate, status, check_migrated):
        with pytest.raises(MigrationChanged, match="0001 one was changed"):
            blocking(refused(empty_url, [changed, TWO]))
    assert blocking(values_at(empty_url)) == [1]


def test_a_database_that_is_ahead_is_refused(empty_url: str) -> None:
    """An older version would write what the newer one does not expect."""
    blocking(migrate(empty_url, [ONE, TWO]))
    for refused in (migrate, status, check_migrated):
        with pytest.raises(DatabaseAhead, match="0002 two"):
            blocking(refused(empty_url, [ONE]))


def test_the_shipped_ones_count_from_one_and_are_in_the_package(database_url: str) -> None:
    """The template of every test's database was made by them."""
    known = known_migrations()
    assert [migration.number for migration in known] == list(range(1, len(known) + 1))
    assert known
    blocking(check_migrated(database_url))
    assert blocking(migrate(database_url)) == []


async def tracks_of(url: str, *file_names: str) -> list[tuple[str, float]]:
    """Make the database of version 17 with uploads of one session in it, migrate it, and read their tracks in order."""
    known = known_migrations()
    await migrate(url, known[:17])
    connection = await connect(url)
    try:
        user = await connection.fetchval("INSERT INTO users (name) VALUES ('Ada') RETURNING id")
        session = await connection.fetchval(
            "INSERT INTO sessions (owner_id, name) VALUES ($1, 'Jam') RETURNING id", user
        )
        for name in file_names:
            await connection.execute(
                "INSERT INTO uploads (id, user_id, session_id, object_key, file_name, file_size, mime_type, sha256)"
                " VALUES (gen_random_uuid(), $1, $2, gen_random_uuid(), $3, 1, 'audio/wav', '')",
                user, session, name,
            )  # fmt: skip
        await migrate(url, known)
        rows = await connection.fetch(
            "SELECT track.name, position FROM uploads JOIN tracks AS track ON track.id = track_id"
            " WHERE uploads.id = track.id AND chosen_id = track.id ORDER BY uploads.created_at"
        )
        return [(row["name"], row["position"]) for row in rows]
    finally:
        await connection.close()


async def waiting_after(url: str, uploads: dict[str, tuple[int, bytes | None, bool]]) -> dict[str, int]:
    """Make the database of version 17 with uploads in it, migrate it, and read the tries of those that wait.

    Each upload has its tries, its peaks, and whether it waits.
    """
    known = known_migrations()
    await migrate(url, known[:17])
    connection = await connect(url)
    try:
        user = await connection.fetchval("INSERT INTO users (name) VALUES ('Ada') RETURNING id")
        for name, (tries, peaks, waits) in uploads.items():
            await connection.execute(
                "INSERT INTO uploads (id, user_id, object_key, file_name, file_size, mime_type, sha256,"
                " analysis_tries, peaks, analysis_due_at) VALUES (gen_random_uuid(), $1, gen_random_uuid(), $2, 1,"
                " 'audio/wav', '', $3, $4, CASE WHEN $5 THEN now() END)",
                user, name, tries, peaks, waits,
            )  # fmt: skip
        await migrate(url, known)
        rows = await connection.fetch("SELECT file_name, analysis_tries FROM uploads WHERE analysis_due_at <= now()")
        return {row["file_name"]: row["analysis_tries"] for row in rows}
    finally:
        await connection.close()


def test_uploads_that_were_given_up_for_outages_wait_again(empty_url: str) -> None:
    """Not those that were analysed, with sound or without, nor pictures."""
    uploads = {
        "given up": (4, None, False), "heard": (1, b"x", False), "heard late": (4, b"x", False),
        "silent": (3, None, False), "picture": (0, None, False), "waits": (2, None, True),
    }  # fmt: skip
    assert blocking(waiting_after(empty_url, uploads)) == {"given up": 0, "waits": 2}


def test_uploads_of_before_become_tracks(empty_url: str) -> None:
    """Each one of its own, in the order in which they came, named as a new one would be."""
    names = ["Bass DI.wav", "Take 1.2", "a.b.FLAC", ".wav", "x.7z", "W" * 200 + ".wav"]
    tracks = blocking(tracks_of(empty_url, *names))
    assert tracks == [(default_track_name(name), number) for number, name in enumerate(names, 1)]


@pytest.mark.parametrize("names", [["0002_two"], ["0001_one", "0003_three"], ["0001_one", "0001_two"]])
def test_a_gap_or_a_number_given_twice_is_an_error(tmp_path: Path, names: list[str]) -> None:
    """What applies in which order must not be a matter of chance."""
    for name in names:
        (tmp_path / f"{name}.sql").write_text("SELECT 1")
    with pytest.raises(ValueError, match="count 1, 2, 3"):
        known_migrations(tmp_path)


def test_other_files_beside_them_do_not_count(tmp_path: Path) -> None:
    """An editor's backup is no migration."""
    (tmp_path / "0001_one.sql").write_text("SELECT 1")
    (tmp_path / "0001_one.sql~").write_text("SELECT 2")
    (tmp_path / "README").write_text("words")
    assert known_migrations(tmp_path) == [Migration(1, "one", "SELECT 1")]


def test_a_database_that_comes_up_meanwhile_is_waited_for() -> None:
    """Where both are started at once, nobody has to say which comes first."""
    with running_postgres() as server:
        server.stop()

        async def both() -> list[Migration]:
            migrating = asyncio.create_task(migrate(server.url, [ONE]))
            await asyncio.sleep(0)
            await asyncio.to_thread(server.start)
            return await migrating

        assert blocking(both()) == [ONE]


def test_a_database_that_does_not_answer_is_a_sentence_without_secrets() -> None:
    """Refused, or silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        silent = _unreachable(f"postgresql://someone:canary@127.0.0.1:{port}/nothing")
    refused = _unreachable(f"postgresql://someone:canary@127.0.0.1:{port}/nothing")
    place = f"The database at 127.0.0.1:{port} cannot be reached"
    assert silent == f"{place}, it does not answer: start it, or correct DATABASE_URL."
    assert refused == f"{place}, it refuses connections: start it, or correct DATABASE_URL."


def test_a_wrong_name_is_told_at_once(postgres_process: PostgresServer) -> None:
    """Waiting would not mend it."""
    assert _unreachable(postgres_process.url_of("nothing"), start_s=60) == (
        f"There is no database of that name at 127.0.0.1:{postgres_process.port}: create it, or correct DATABASE_URL."
    )


def test_a_wrong_password_is_told_at_once_and_not_repeated() -> None:
    """Nor is the right one."""
    with running_postgres(password="right") as server:
        said = _unreachable(f"postgresql://omnisonic:canary@127.0.0.1:{server.port}/postgres", start_s=60)
    assert said == (
        f"The database at 127.0.0.1:{server.port} does not accept the user or the password in DATABASE_URL: "
        "correct them."
    )


def _unreachable(url: str, *, start_s: float = 0.0) -> str:
    with pytest.raises(DatabaseUnreachable) as caught:
        blocking(connect(url, start_s=start_s))
    assert "canary" not in caught.value.message
    return caught.value.message
