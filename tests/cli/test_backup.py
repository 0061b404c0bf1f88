"""`omnisonic backup` and `omnisonic restore`, on a real database and real files."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omnisonic.settings.data_directory import data_directory
from tests.cli.running import completed, environ, eventually
from tests.cli.terminals import drawn
from tests.operations.backup.installations import Installation, verified
from tests.postgres_server import PostgresServer, fresh_database
from tests.processes import ended_with_block


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with secrets."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "secret").write_text("signs cookies\n")
    (data / "admin-token").write_text("opens doors\n")
    return data


@pytest.fixture
def source(database_url: str, data: Path) -> Installation:
    """An installation with everything in it."""
    source = Installation.local(database_url, data / "uploads")
    source.fill()
    return source


@pytest.fixture
def settings(source: Installation, data: Path) -> dict[str, str]:
    """Those of the installation."""
    return {"DATABASE_URL": source.url, "OMNISONIC_DATA_DIR": str(data)}


@pytest.fixture
def target(postgres_process: PostgresServer, tmp_path: Path) -> Iterator[Installation]:
    """An empty one, in the data directory `new`."""
    with fresh_database(postgres_process) as url:
        yield Installation.local(url, tmp_path / "new" / "uploads")


def test_a_studio_moves_to_another_place(
    source: Installation, target: Installation, settings: dict[str, str], tmp_path: Path
) -> None:
    """Rows, files and secrets; a line for each step on standard error, and what it was in the end."""
    archive, new = tmp_path / "studio.tar", tmp_path / "new"
    made = completed("backup", str(archive), **settings)
    rows = sum(map(len, source.rows().values()))
    size_bytes = 5_120_008
    tables = len(source.rows())
    has = f"{tables} tables with {rows} rows, 3 files of {size_bytes:,} bytes, secrets: admin-token and secret"
    assert made.stdout == (f"{archive} has everything: {has}. It holds secrets and people's music: keep it private.\n")
    assert made.stderr == f"Copying {tables} tables.\nCopying 3 files. {size_bytes:,} bytes.\n"
    assert made.returncode == 0
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    restored = completed("restore", str(archive), DATABASE_URL=target.url, OMNISONIC_DATA_DIR=str(new))
    assert restored.returncode == 0, restored.stderr
    assert restored.stdout.endswith(f" was restored:\n{has}.\n")
    assert (target.rows(), target.objects()) == (source.rows(), source.objects())
    for name, content in (("secret", "signs cookies\n"), ("admin-token", "opens doors\n")):
        assert (new / name).read_text() == content
        assert stat.S_IMODE((new / name).stat().st_mode) == 0o600
    again = completed("restore", str(archive), DATABASE_URL=target.url, OMNISONIC_DATA_DIR=str(new))
    assert again.returncode == 1
    assert "omnisonic: There is a studio already: its database is not empty, and nothing was changed." in again.stderr


def test_an_archive_goes_to_a_program_and_is_verified(
    source: Installation, settings: dict[str, str], tmp_path: Path
) -> None:
    """Standard output has nothing but the archive. `--check` changes nothing, and finds a changed byte."""
    command = [sys.executable, "-m", "omnisonic", "backup", "-", "--json"]
    piped = subprocess.run(command, env=environ(**settings), capture_output=True, timeout=40, check=True)
    assert json.loads(piped.stderr.splitlines()[-1])["bytes"] == len(piped.stdout)
    archive = tmp_path / "studio.tar"
    archive.write_bytes(piped.stdout)
    nowhere = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "OMNISONIC_DATA_DIR": str(tmp_path / "none")}
    shown = completed("restore", "--check", "--json", str(archive), **nowhere)
    assert shown.returncode == 0, shown.stderr
    answer = json.loads(shown.stdout)
    assert (answer["restored"], answer["files"], answer["missing"]) == (False, 3, [])
    middle = len(piped.stdout) // 2
    archive.write_bytes(piped.stdout[:middle] + b"\xfe\xfd" + piped.stdout[middle + 2 :])
    for arguments in (("--check", str(archive)), (str(archive),)):
        refused = completed("restore", *arguments, **nowhere)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"omnisonic: {archive} is damaged (in objects/uploads/" in refused.stderr
        assert "Nothing was restored. Use another backup." in refused.stderr
    assert not list((tmp_path / "none").glob("uploads"))


def test_a_terminal_gets_a_progress_bar(settings: dict[str, str], tmp_path: Path) -> None:
    """It is gone in the end. An archive is not written to a terminal."""
    code, shown = drawn(200, "backup", str(tmp_path / "studio.tar"), **settings)
    assert code == 0
    assert "Copying 3 files" in shown
    assert "\x1b[2K" in shown
    code, shown = drawn(200, "backup", "-", **settings)
    assert (code, shown.splitlines()) == (
        1, ["omnisonic: An archive is not written to a terminal: name a file, or send the output to a program."],
    )  # fmt: skip


def test_what_cannot_be_done_is_a_sentence(settings: dict[str, str], tmp_path: Path, data: Path) -> None:
    """With exit code 1, or 2 for a wrong argument, and nothing is changed."""
    archive = tmp_path / "studio.tar"
    archive.write_bytes(b"the last backup")
    there = completed("backup", str(archive), **settings)
    assert there.stderr == f"omnisonic: {archive} is there already: name another file, or replace it with --force.\n"
    assert archive.read_bytes() == b"the last backup"
    replaced = completed("backup", "--force", str(archive), **settings)
    assert replaced.returncode == 0, replaced.stderr
    nothing = completed("backup", str(tmp_path / "no.tar"), OMNISONIC_DATA_DIR=str(tmp_path / "nobody"))
    assert nothing.stderr.startswith("omnisonic: There is nothing to back up: DATABASE_URL is not set")
    stream = completed("restore", "-", **settings)
    assert "so it must be a file: save it first" in stream.stderr
    with data_directory(data):
        used = completed("restore", str(archive), **settings)
    assert f"Another `omnisonic serve` uses the data directory {data}, or a backup or restore" in used.stderr
    assert [shown.returncode for shown in (there, nothing, stream, used)] == [1, 1, 2, 1]
    assert not (tmp_path / "nobody").exists()


def test_a_backup_without_all_files_is_made_and_fails(
    source: Installation, settings: dict[str, str], data: Path, tmp_path: Path
) -> None:
    """So that somebody looks, and what is there is safe."""
    key = min(source.objects())
    (data / "uploads" / key).unlink()
    made = completed("backup", str(tmp_path / "studio.tar"), **settings)
    assert made.returncode == 1
    assert f"has all that is there, but in the storage 1 file was missing: {key}." in made.stderr
    assert verified(tmp_path / "studio.tar").summary.files == 2


def test_a_backup_that_is_killed_leaves_no_archive(
    source: Installation, settings: dict[str, str], data: Path, tmp_path: Path
) -> None:
    """It hangs at a file that does not come, and is killed there. The next one is whole, without remains beside it."""
    key = max(source.objects())
    file = data / "uploads" / key
    content = file.read_bytes()
    file.unlink()
    os.mkfifo(file)
    folder = tmp_path / "backups"
    folder.mkdir()
    partial = folder / "studio.tar.partial"
    _kill_when(lambda: partial.exists() and partial.stat().st_size > 0, "backup", str(folder / "studio.tar"), settings)
    assert [one.name for one in folder.iterdir()] == [partial.name]
    file.unlink()
    file.write_bytes(content)
    made = completed("backup", str(folder / "studio.tar"), **settings)
    assert made.returncode == 0, made.stderr
    assert [one.name for one in folder.iterdir()] == ["studio.tar"]
    assert verified(folder / "studio.tar").summary.files == 3


def test_a_restore_that_is_killed_is_repeated(
    source: Installation, target: Installation, settings: dict[str, str], tmp_path: Path
) -> None:
    """It hangs at the last file, when all others are there, and is killed. The installation still counts as empty."""
    archive, new = tmp_path / "studio.tar", tmp_path / "new"
    assert completed("backup", str(archive), **settings).returncode == 0
    first, *_, last = sorted(source.objects())
    part = new / "uploads" / f"{last}.part"
    part.parent.mkdir(parents=True)
    new.chmod(0o700)
    os.mkfifo(part)
    into = {"DATABASE_URL": target.url, "OMNISONIC_DATA_DIR": str(new)}
    _kill_when(lambda: (new / "uploads" / first).exists(), "restore", str(archive), into)
    assert not any(target.rows().values())
    part.unlink()
    again = completed("restore", str(archive), **into)
    assert again.returncode == 0, again.stderr
    assert (target.rows(), target.objects()) == (source.rows(), source.objects())


def _kill_when(condition: Callable[[], bool], command: str, file: str, settings: dict[str, str]) -> None:
    """Start a command, and kill it when `condition` holds."""
    started = subprocess.Popen(
        [sys.executable, "-m", "omnisonic", command, file],
        env=environ(**settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with ended_with_block(started) as process:
        eventually(condition, what=f"{command} is half-way")
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(10)
