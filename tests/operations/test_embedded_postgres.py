"""The embedded Postgres: private, kept up, and found again after whatever ended it."""

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import pytest
import trio
from trio.testing import MockClock

from omnisonic.operations.embedded import HOST, POSTGRES_PORTS, EmbeddedUnavailable
from omnisonic.operations.embedded.cluster import Cluster
from omnisonic.operations.embedded.installation import find_postgres
from omnisonic.operations.embedded.postgres import STARTING_S, EmbeddedPostgres, running_embedded_url
from omnisonic.operations.supervisor import run_processes
from tests.cli.postgres_running import DEADLINE_S, in_service, public_folder, query, servers, supervisor
from tests.cli.running import alive, children, command_line, eventually
from tests.process.other_users import ORDINARY_USER, ordinary_python
from tests.processes import ended_with_block, send_signal

IS_ROOT: Final = os.geteuid() == 0
ON_LINUX: Final = sys.platform == "linux"


async def test_it_answers_to_its_password_only(tmp_path: Path) -> None:
    """Anybody on this machine can connect to loopback, and nothing but loopback is listened on."""
    async with in_service(tmp_path) as postgres:
        parts = urlsplit(postgres.url)
        assert (parts.hostname, parts.port in POSTGRES_PORTS) == (HOST, True)
        assert query(postgres.url, "SHOW listen_addresses") == "127.0.0.1"
        assert query(postgres.url, "SHOW unix_socket_directories") == ""
        assert query(postgres.url, "SHOW server_version_num").startswith("18")  # type: ignore[attr-defined]
        assert query(postgres.url, "SELECT rolpassword LIKE 'SCRAM%' FROM pg_authid WHERE rolname = current_user")
        for stranger in ("omnisonic:wrong@", "omnisonic@", "postgres@"):
            with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
                query(f"postgresql://{stranger}{HOST}:{parts.port}/postgres", "SELECT 1")


def test_its_password_is_seen_nowhere(tmp_path: Path) -> None:
    """Not on a command line, not in an environment, and in files that are the owner's only."""
    with supervisor(tmp_path, environ={"NEXTAUTH_SECRET": "canary-secret"}) as (_, url):
        secret = urlsplit(url).password
        assert secret
        for pid in servers(tmp_path):
            assert secret not in command_line(pid)
            if ON_LINUX:
                environment = Path(f"/proc/{pid}/environ").read_bytes()
                assert secret.encode() not in environment
                assert b"canary" not in environment
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert {path.name for path in holding} == {"password", "url"}
    assert {path.stat().st_mode & 0o777 for path in holding} == {0o600}
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


@pytest.mark.timing
async def test_it_stops_at_once_and_in_order_and_keeps_what_was_committed(tmp_path: Path) -> None:
    """A client that stays connected does not hold up the stop, and the password is the same at the next start."""
    async with in_service(tmp_path) as first:
        query(first.url, "CREATE TABLE kept AS SELECT 7 AS value")
        staying = await trio.to_thread.run_sync(_client, first.url)
        before_s = trio.current_time()
    assert trio.current_time() - before_s < 3
    staying.join(DEADLINE_S)
    assert not (tmp_path / "data" / "postmaster.pid").exists()
    async with in_service(tmp_path) as second:
        assert query(second.url, "SELECT value FROM kept") == 7
        assert urlsplit(second.url).password == urlsplit(first.url).password


def _client(url: str) -> threading.Thread:
    """A client that is connected, and stays so."""
    staying = threading.Thread(target=_stay_connected, args=(url,))
    staying.start()
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(99)'"
    eventually(lambda: query(url, asleep) == 1, what="a client sleeps", within_s=DEADLINE_S)
    return staying


def _stay_connected(url: str) -> None:
    with contextlib.suppress(asyncpg.PostgresError, OSError):
        query(url, "SELECT pg_sleep(99)")


async def test_one_that_is_killed_is_started_again_with_all_that_was_committed(tmp_path: Path) -> None:
    """On the same port, under the same password."""
    async with in_service(tmp_path) as postgres:
        query(postgres.url, "CREATE TABLE kept AS SELECT 7 AS value")
        before = servers(tmp_path)
        assert send_signal(before[0], signal.SIGKILL)
        with trio.fail_after(DEADLINE_S):
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    assert query(postgres.url, "SELECT value FROM kept") == 7
                    break
                await trio.lowlevel.checkpoint()
        assert servers(tmp_path)[0] != before[0]


async def test_a_recovery_has_as_long_as_it_takes(
    tmp_path: Path, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Here it waits for an archive, twice as long as a start may take. The log says that it goes on."""
    mock_clock.rate = 1
    async with in_service(tmp_path) as postgres:
        query(postgres.url, "CREATE TABLE kept AS SELECT 7 AS value")
    data = tmp_path / "data"
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write("hot_standby = off\nrestore_command = 'until test -e found; do sleep 0.02; done; false'\n")
    (data / "recovery.signal").touch(0o666)
    (data / "recovery.signal").chmod(0o666)
    postgres, started, stop = EmbeddedPostgres(tmp_path), trio.Event(), trio.Event()
    spec = replace(postgres.spec(), start_s=STARTING_S / 2)
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await run_processes([spec], on_line=lambda *_: None, stop=stop, started=started.set)

        nursery.start_soon(run)
        while not spec.is_starting():
            await trio.lowlevel.checkpoint()
        mock_clock.rate = 5
        while not (told := [record for record in caplog.records if record.message == "database.starting"]):
            await trio.lowlevel.checkpoint()
        assert not started.is_set()
        assert vars(told[0])["for_s"] >= STARTING_S
        (data / "found").touch()
        mock_clock.rate = 1
        await started.wait()
        assert query(postgres.url, "SELECT value FROM kept") == 7
        stop.set()


@pytest.mark.skipif(not ON_LINUX, reason="only Linux can tie a process to its parent")
def test_it_ends_with_its_supervisor_however_that_ends_and_is_found_in_order(tmp_path: Path) -> None:
    """Also when it runs as somebody else: the signal is set after the change of user."""
    with supervisor(tmp_path) as (pid, url):
        query(url, "CREATE TABLE kept AS SELECT 7 AS value")
        serving = servers(tmp_path)
        assert send_signal(pid, signal.SIGKILL)
        eventually(lambda: not any(map(alive, serving)), what="no server is left", within_s=DEADLINE_S)
    with supervisor(tmp_path) as (_, url):
        assert query(url, "SELECT value FROM kept") == 7


def test_a_start_right_after_a_kill_waits_for_the_old_server(tmp_path: Path) -> None:
    """Two servers on the same files would destroy them, and one that is refused would be a failed start."""
    with supervisor(tmp_path) as (pid, url):
        query(url, "CREATE TABLE kept AS SELECT 7 AS value")
        staying = _client(url)
        assert send_signal(pid, signal.SIGKILL)
        with supervisor(tmp_path) as (_, next_url):
            assert query(next_url, "SELECT value FROM kept") == 7
        staying.join(DEADLINE_S)


async def test_one_that_was_left_behind_is_ended_by_the_next_start(tmp_path: Path) -> None:
    """Where nothing ties it to its supervisor, its folder tells who serves it."""
    spec = EmbeddedPostgres(tmp_path).spec()
    installation = find_postgres()
    direct_command = spec.command[spec.command.index(installation.program("postgres")) :]
    started = subprocess.Popen(  # noqa: ASYNC220 - quick, and it must outlive any nursery
        direct_command,
        cwd=tmp_path / "data",
        user=installation.user,
        group=installation.group,
        extra_groups=installation.extra_groups,
    )
    cluster = Cluster(tmp_path / "data", installation)
    ending = trio.Event()

    async def reap() -> None:
        await trio.to_thread.run_sync(process.wait)
        ending.set()

    with ended_with_block(started) as process:
        while not cluster.is_ready:
            await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reap)
            await EmbeddedPostgres(tmp_path).end_stale()
            await ending.wait()
    assert (process.returncode, cluster.servers()) == (0, [])


async def test_all_of_a_server_that_hangs_is_ended_by_force(tmp_path: Path) -> None:
    """Whatever the postmaster does not answer to."""
    async with in_service(tmp_path):
        postgres = EmbeddedPostgres(tmp_path)
        serving = servers(tmp_path)
        for pid in serving:
            send_signal(pid, signal.SIGSTOP)
        assert len(serving) > 3
        await postgres.end_stale()
        eventually(lambda: not any(map(alive, serving)), what="all of the server has ended")


@pytest.mark.parametrize("left", ["", "x\n", "999999999\n/nowhere\n0\n25000\n", "\x00", "SELF\n/\n0\n1\n"])
async def test_a_broken_leftover_does_no_harm(tmp_path: Path, left: str) -> None:
    """Half a file, nobody of that process id, or somebody else."""
    async with in_service(tmp_path) as postgres:
        query(postgres.url, "SELECT 1")
    (tmp_path / "data" / "postmaster.pid").write_text(left.replace("SELF", str(os.getpid())))
    async with in_service(tmp_path) as postgres:
        assert query(postgres.url, "SELECT 1") == 1


async def test_an_interrupted_first_start_is_begun_again(tmp_path: Path) -> None:
    """The cluster gets its name when it is whole; what was half made under another is removed."""
    half_made = tmp_path / "data.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    async with in_service(tmp_path) as postgres:
        assert query(postgres.url, "SELECT 1") == 1
    assert not half_made.exists()


@pytest.mark.parametrize(
    ("version", "sentence"),
    [("17\n", "was made by Postgres 17 and this is Postgres 18"), (None, "is not a database of Postgres")],
)
def test_files_that_this_postgres_cannot_serve_are_told_in_a_sentence(
    tmp_path: Path, version: str | None, sentence: str
) -> None:
    """Before anything starts, rather than in a loop of crashes; and they are left as they are."""
    (tmp_path / "data").mkdir()
    if version is not None:
        (tmp_path / "data" / "PG_VERSION").write_text(version)
    with pytest.raises(EmbeddedUnavailable, match=sentence):
        EmbeddedPostgres(tmp_path)


async def test_a_lost_password_is_told_in_a_sentence(tmp_path: Path) -> None:
    """A new one would not open the database that is there."""
    EmbeddedPostgres(tmp_path).spec()
    (tmp_path / "password").unlink()
    with pytest.raises(EmbeddedUnavailable, match="password of the database is missing"):
        EmbeddedPostgres(tmp_path)


async def test_other_commands_find_it_while_it_runs(tmp_path: Path) -> None:
    """And only then."""
    assert running_embedded_url(tmp_path) is None
    async with in_service(tmp_path / "postgres") as postgres:
        assert running_embedded_url(tmp_path) == postgres.url
    assert running_embedded_url(tmp_path) is None


@pytest.mark.skipif(not IS_ROOT, reason="here all tests are an ordinary user's")
def test_an_ordinary_user_runs_it_as_himself() -> None:
    """Made, stopped, killed and found again, also when the process id of the killed one is in use again."""
    python = ordinary_python("omnisonic.operations.embedded.postgres")
    if python is None:
        pytest.skip("there is no Python that another user can run")
    with public_folder() as home:
        account = pwd.getpwnam(ORDINARY_USER)
        os.chown(home, account.pw_uid, account.pw_gid)
        folder = home / "postgres"
        with supervisor(folder, python=python, user=ORDINARY_USER) as (pid, url):
            assert query(url, "CREATE TABLE kept AS SELECT 7 AS value") is None
            (server,) = [child for child in children(pid) if "postgres" in command_line(child)]
            assert Path(f"/proc/{server}").stat().st_uid == account.pw_uid
            assert "/proc/self/cwd" not in command_line(server)
            assert send_signal(pid, signal.SIGKILL)
            eventually(lambda: not alive(server), what="the server is gone", within_s=DEADLINE_S)
        with _sleeper(account) as reused:
            (folder / "data" / "postmaster.pid").write_text(f"{reused}\n{folder}/data\n0\n25000\n\n127.0.0.1\n")
            with supervisor(folder, python=python, user=ORDINARY_USER) as (_, url):
                assert query(url, "SELECT value FROM kept") == 7


@contextlib.contextmanager
def _sleeper(account: pwd.struct_passwd) -> Iterator[int]:
    sleeper = subprocess.Popen(["/bin/sleep", "99"], cwd="/", user=account.pw_uid, group=account.pw_gid)
    with ended_with_block(sleeper) as process:
        yield process.pid
