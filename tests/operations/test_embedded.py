"""The embedded Valkey, its data directory, and how it dies with its supervisor."""

import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import redis
import trio
from redis.backoff import NoBackoff
from redis.retry import Retry

from omnisonic.operations.embedded import VALKEY_PORTS, EmbeddedUnavailable, PortReservation
from omnisonic.operations.embedded.valkey import EmbeddedValkey
from omnisonic.operations.supervisor import run_processes
from omnisonic.settings.data_directory import UnusableDataDirectory, data_directory
from tests.cli.running import alive, eventually
from tests.processes import ended_with_block
from tests.recording_disk import RecordingDisk

DEADLINE_S: Final = 20.0


async def test_it_answers_to_its_password_only(tmp_path: Path) -> None:
    """Anybody on this machine can connect to loopback."""
    valkey = EmbeddedValkey(tmp_path)
    stop = trio.Event()

    def look() -> None:
        with redis.Redis.from_url(valkey.url) as client:
            assert client.ping()
            assert client.config_get("save")["save"] == ""
            assert client.config_get("bind")["bind"] == "127.0.0.1"
            port = client.connection_pool.connection_kwargs["port"]
        assert port in VALKEY_PORTS
        with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stop.set()

    with trio.fail_after(DEADLINE_S):
        await run_processes([valkey.spec()], on_line=lambda *_: None, stop=stop, started=look)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a server listen where another socket is bound")
def test_the_port_of_a_server_is_nobody_elses() -> None:
    """Before it listens, while it does, and when it is down for a while; not any more when nobody wants to start it."""
    reservation = PortReservation(VALKEY_PORTS, instead="REDIS_URL")
    only = range(reservation.port, reservation.port + 1)
    for _ in range(2):
        with pytest.raises(EmbeddedUnavailable, match="set REDIS_URL"):
            PortReservation(only, instead="REDIS_URL")
        with socket.create_server(("127.0.0.1", reservation.port)), pytest.raises(EmbeddedUnavailable):
            PortReservation(only, instead="REDIS_URL")
    del reservation
    assert PortReservation(only, instead="REDIS_URL").port == only.start


async def test_one_that_was_left_behind_is_ended_by_the_next_start(tmp_path: Path) -> None:
    """Where nothing ties it to its supervisor, the configuration file tells how to reach it."""
    spec = EmbeddedValkey(tmp_path).spec()
    direct_command = spec.command[spec.command.index(str(os.getpid())) + 1 :]
    started = subprocess.Popen(direct_command, cwd=tmp_path)  # noqa: ASYNC220 - quick, and it must outlive any nursery
    next_one = EmbeddedValkey(tmp_path)
    with ended_with_block(started) as process, trio.fail_after(DEADLINE_S):
        while process.poll() is None:
            await next_one.end_stale()
    assert process.returncode == 0


@pytest.mark.parametrize("left", ["", "port x\nrequirepass y\n", "port 1\nrequirepass y\n", "\x00"])
async def test_a_broken_leftover_does_no_harm(tmp_path: Path, left: str) -> None:
    """Half a file, or nobody at that port."""
    (tmp_path / "valkey.conf").write_text(left)
    with trio.fail_after(DEADLINE_S):
        await EmbeddedValkey(tmp_path).end_stale()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
def test_a_command_dies_with_its_parent() -> None:
    """However that dies."""
    command_text = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    parent = (
        "import os, subprocess, sys; "
        "subprocess.Popen([sys.executable, '-m', 'omnisonic.process.die_with_parent', str(os.getpid()), "
        f'sys.executable, "-c", {command_text!r}]).wait()'
    )
    started = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    with ended_with_block(started) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
        eventually(lambda: not alive(pid), what="the command is gone", within_s=DEADLINE_S)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run something as somebody else")
def test_a_command_of_another_user_dies_with_its_parent_too(tmp_path: Path) -> None:
    """In a folder that he cannot reach by path, without root's groups, and told to end by the signal asked for."""
    account = pwd.getpwnam("nobody")
    tmp_path.chmod(0o700)
    (tmp_path / "own").mkdir()
    os.chown(tmp_path / "own", account.pw_uid, account.pw_gid)
    command_text = "trap 'echo INT >/proc/self/cwd/told; exit' INT; id -u; id -G; echo $$; while :; do sleep 0.05; done"
    parent = (
        "import os, subprocess, sys; subprocess.Popen([sys.executable, '-m', 'omnisonic.process.die_with_parent', "
        f"'--user', '{account.pw_uid}:{account.pw_gid}', '--folder', sys.argv[1], '--signal', 'INT', "
        f'str(os.getpid()), "/bin/sh", "-c", {command_text!r}]).wait()'
    )
    command = [sys.executable, "-c", parent, str(tmp_path / "own")]
    with ended_with_block(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{account.pw_uid}\n"
        assert process.stdout.readline() == f"{account.pw_gid}\n"
        pid = int(process.stdout.readline())
        process.kill()
        eventually(lambda: not alive(pid), what="the command is gone", within_s=DEADLINE_S)
    assert (tmp_path / "own" / "told").read_text() == "INT\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
def test_a_command_whose_parent_is_gone_already_is_not_run() -> None:
    """The parent may die before the signal is set up."""
    command = [sys.executable, "-m", "omnisonic.process.die_with_parent", "1", sys.executable, "-c", "print('ran')"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")


def test_one_that_others_could_read_is_closed_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the secrets in it: a backup that was put back may have lost its modes."""
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    (data / "lock").touch(mode=0o644)
    for name in ("admin-token", "secret"):
        (data / name).write_text("secret")
        (data / name).chmod(0o664)
    data.chmod(0o755)
    with data_directory(data):
        assert data.stat().st_mode & 0o777 == 0o700
        assert {path.name: path.stat().st_mode & 0o777 for path in data.iterdir()} == {
            "admin-token": 0o600,
            "secret": 0o600,
            "lock": 0o600,
        }
    assert [record.message for record in caplog.records] == ["data_directory.closed"] * 4
    assert {vars(record)["mode"] for record in caplog.records} == {"0755", "0664", "0644"}
    caplog.clear()
    with data_directory(data):
        pass
    assert not caplog.records


def test_an_empty_one_that_others_could_read_is_closed(tmp_path: Path) -> None:
    """As systemd and `install -d` make them."""
    tmp_path.chmod(0o755)
    with data_directory(tmp_path):
        assert tmp_path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("mode", "inside"), [(0o755, "holiday.jpg"), (0o777, "lock"), (0o1777, "lock")])
def test_a_folder_that_may_be_somebody_elses_is_refused_as_it_is(tmp_path: Path, mode: int, inside: str) -> None:
    """Others put things into it, or it holds nothing of ours: closing it could break what it is for."""
    (tmp_path / inside).touch()
    tmp_path.chmod(mode)
    with pytest.raises(UnusableDataDirectory, match=f"open to others.*chmod 700 {tmp_path}"), data_directory(tmp_path):
        pass
    assert tmp_path.stat().st_mode & 0o7777 == mode
    assert [path.name for path in tmp_path.iterdir()] == [inside]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make somebody else's folder")
def test_somebody_elses_folder_is_refused_when_it_is_open(tmp_path: Path) -> None:
    """He may change its mode again."""
    tmp_path.chmod(0o755)
    os.chown(tmp_path, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(UnusableDataDirectory, match="open to others"), data_directory(tmp_path):
        pass


def test_a_data_directory_is_private_and_held_by_one(tmp_path: Path) -> None:
    """And free again afterwards."""
    with data_directory(tmp_path / "deep" / "data") as data:
        assert data.stat().st_mode & 0o777 == 0o700
        with pytest.raises(UnusableDataDirectory, match="Another"), data_directory(data):
            pass
    with data_directory(data):
        pass


def test_a_lock_that_was_replaced_before_it_was_held_is_not_the_lock(tmp_path: Path) -> None:
    """Whoever holds the directory holds the file that is there: nobody else can."""

    def replace() -> None:
        (tmp_path / "lock").unlink()
        (tmp_path / "lock").touch(mode=0o600)

    with (
        data_directory(tmp_path, disk=RecordingDisk(tmp_path, before_lock=replace)),
        pytest.raises(UnusableDataDirectory, match="Another"),
        data_directory(tmp_path),
    ):
        pass


def test_a_lock_that_was_removed_before_it_was_held_is_made_again(tmp_path: Path) -> None:
    """Likewise."""
    disk = RecordingDisk(tmp_path, before_lock=(tmp_path / "lock").unlink)
    with data_directory(tmp_path, disk=disk), pytest.raises(UnusableDataDirectory), data_directory(tmp_path):
        pass
