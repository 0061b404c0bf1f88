"""The secrets that a data directory keeps."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from omnisonic.settings.data_directory import SECRET_BYTES, UnusableDataDirectory, kept_secret
from tests.processes import ended_with_block
from tests.recording_disk import RecordingDisk

DEADLINE_S: Final = 30.0
AT_ONCE: Final = 6

ASK: Final = """
import sys
from pathlib import Path
from omnisonic.settings.data_directory import kept_secret
print("up", flush=True)
sys.stdin.readline()
print(kept_secret(Path(sys.argv[1]), "token"))
"""


def test_a_secret_is_made_once_and_private(tmp_path: Path) -> None:
    """Long enough to sign with, another for each name, and the same at every start."""
    first = kept_secret(tmp_path / "deep", "token")
    assert len(first) >= SECRET_BYTES
    assert kept_secret(tmp_path / "deep", "token") == first
    assert kept_secret(tmp_path / "deep", "another") != first
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"token", "another"}
    assert (tmp_path / "deep" / "token").stat().st_mode & 0o777 == 0o600


def test_one_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    """A backup that was put back may have lost its mode."""
    (tmp_path / "token").write_text("mine\n")
    (tmp_path / "token").chmod(0o644)
    assert kept_secret(tmp_path, "token") == "mine"
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


def test_an_emptied_one_is_told_in_a_sentence(tmp_path: Path) -> None:
    """An empty secret would let everybody in."""
    (tmp_path / "token").write_text("\n")
    with pytest.raises(UnusableDataDirectory, match="There is no secret in"):
        kept_secret(tmp_path, "token")


def test_programs_that_start_at_once_agree(tmp_path: Path) -> None:
    """One's is kept; nobody reads half a secret, or goes on with one that was not kept."""
    command = [sys.executable, "-c", ASK, str(tmp_path)]
    with contextlib.ExitStack() as started:
        asking = [
            started.enter_context(
                ended_with_block(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            )
            for _ in range(AT_ONCE)
        ]
        for process in asking:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
        for process in asking:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = {process.communicate(timeout=DEADLINE_S)[0].strip() for process in asking}
    assert answers == {kept_secret(tmp_path, "token")}
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_a_secret_is_on_the_disk_before_it_is_used(tmp_path: Path) -> None:
    """The file, its name, the folder: a database that was made with it could not be opened without."""
    disk = RecordingDisk(tmp_path)
    secret = kept_secret(tmp_path, "token", disk=disk)
    assert disk.asked == [("sync", str(len(secret) + 1)), ("link", "token"), ("sync_folder", ".")]
