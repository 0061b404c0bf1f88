"""The units for systemd that `omnisonic units` prints: systemd has nothing to say against them, and they start us."""

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from datetime import datetime
from pathlib import Path, PurePath
from typing import Final

import pytest
from typer.testing import CliRunner

from omnisonic.cli.main import app
from omnisonic.operations.units import BACKUPS, Place, backup_units, part_units, studio_unit
from tests.system.printed import block, blocks, replaced

PROGRAM: Final = "/opt/omnisonic/venv/bin/omnisonic"
LISTENERS: Final = {"gateway": "127.0.0.1:8080", "web": "127.0.0.1:3000"}
PLACE: Final = Place(PurePath(PROGRAM), "omnisonic", PurePath("/etc/omnisonic.env"), LISTENERS)
FOLDER: Final = "/etc/systemd/system"
PARTS: Final = {"gateway", "web", "worker"}
DECODERS_NEED: Final = "SystemCallFilter"
"""What would keep the processes that decode uploads from locking themselves in."""
VERIFY_S: Final = 50.0


def units(place: Place = PLACE) -> dict[str, str]:
    """All that can be printed, by the name of its file in systemd's folder."""
    return studio_unit(place) | part_units(place) | backup_units(place)


def run(*arguments: str, **settings: str) -> tuple[int, str]:
    """What the command prints, in this process."""
    environ = dict.fromkeys(("GATEWAY_HOST", "GATEWAY_PORT", "WEB_HOST", "WEB_PORT")) | settings
    ended = CliRunner().invoke(app, ["units", *arguments], env=environ)
    return ended.exit_code, ended.stdout


def verify(folder: Path) -> None:
    """Have systemd read all units in this folder. Errors: `AssertionError`, with what it says."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is missing here (Debian: systemd)")
    named = sorted(str(path) for path in folder.iterdir() if path.is_file())
    ended = subprocess.run(
        [analyze, "--man=no", "verify", *named], capture_output=True, text=True, timeout=VERIFY_S, check=False
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    """All of them, as the command writes them: `systemd-analyze verify` is silent."""
    assert run("--into", str(tmp_path))[0] == run("--parts", "--into", str(tmp_path))[0] == 0
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(units())
    verify(tmp_path)


def test_systemd_starts_a_program_whatever_its_path_is(tmp_path: Path) -> None:
    """With spaces and percent signs in it."""
    program = tmp_path / "100% of all music" / "omnisonic"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    folder = tmp_path / "units"
    folder.mkdir()
    for name, text in studio_unit(Place(program, "omnisonic", tmp_path / "100%.env", LISTENERS)).items():
        (folder / name).write_text(text)
    verify(folder)


def test_there_is_a_unit_for_all_and_one_for_each_part() -> None:
    """Each starts the command that it is named for; those that listen have a socket, and get it as it is."""
    commands = {
        name.removesuffix(".service"): re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
        for name, text in units().items()
        if name.endswith(".service")
    }
    sockets = {name.removesuffix(".socket") for name in units() if name.endswith(".socket")}
    assert sockets == {"omnisonic-gateway", "omnisonic-web"}
    parts = {
        f"omnisonic-{part}": [f"{PROGRAM} {part}" + (" --fd 3" if f"omnisonic-{part}" in sockets else "")]
        for part in PARTS
    }
    backup = [f"{PROGRAM} backup --force {BACKUPS}/omnisonic.tar"]
    assert commands == {"omnisonic": [f"{PROGRAM} serve"], "backup-omnisonic": backup, **parts}


def test_a_studio_that_ends_is_started_until_it_stays() -> None:
    """However often; but not with settings or arguments that it refuses, which end it with code 2."""
    for name in ("omnisonic.service", "omnisonic-.service.d/shared.conf"):
        assert {"StartLimitIntervalSec=0", "RestartSec=1", "RestartPreventExitStatus=2"} <= set(units()[name].split())


def test_the_nightly_backup_is_kept_under_its_date_and_old_ones_are_deleted(tmp_path: Path) -> None:
    """The line after the backup, as systemd gives it to the shell. Other files stay, and so does all that is old while
    no backup is made. It runs after a backup that failed, too, because its archive may be there.
    """
    text = units()["backup-omnisonic.service"]
    (line,) = re.findall(r"^ExecStopPost=(.*)$", text, re.MULTILINE)
    words = shlex.split(replaced(line, {BACKUPS: str(tmp_path)}).replace("$$", "$").replace("%%", "%"))
    old = {"omnisonic-2020-01-01.tar", "mine.tar"}
    newest = tmp_path / "omnisonic.tar"
    dated = tmp_path / "omnisonic-2998-12-31.tar"
    made_at = datetime(2998, 12, 31, 3, 30).timestamp()  # noqa: DTZ001 - as `date` reads it

    def keep(content: str) -> set[str]:
        if not newest.exists():
            newest.write_text(content)
            os.utime(newest, (made_at, made_at))
        subprocess.run(words, check=True, timeout=VERIFY_S)
        return {file.name for file in tmp_path.iterdir()} - {newest.name, dated.name}

    (tmp_path / "omnisonic-2999-01-01.tar").touch()
    assert keep("this morning") == {"omnisonic-2999-01-01.tar"}
    assert dated.read_text() == "this morning"
    for name in old:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    assert keep("not made") == {"omnisonic-2999-01-01.tar"} | old
    newest.unlink()
    assert keep("tonight") == {"omnisonic-2999-01-01.tar", "mine.tar"}
    assert dated.read_text() == "tonight"
    assert f"-m 0700 {BACKUPS}" in block("sh", "install -d")
    assert f"ReadWritePaths={BACKUPS}" in text


def test_no_unit_takes_away_what_the_decoders_lock_themselves_in_by() -> None:
    """And the parts are held as tightly as the whole."""
    for text in units().values():
        assert not [line for line in text.splitlines() if line.startswith(DECODERS_NEED)]
    whole, shared = (
        set(units()[name].splitlines()) for name in ("omnisonic.service", "omnisonic-.service.d/shared.conf")
    )
    own = {line for line in whole - shared if line.partition("=")[0] not in ("ExecStart", "Restart", "KillMode")}
    assert {line for line in own if "=" in line} == {"Description=Omnisonic Studio", "WantedBy=multi-user.target"}


def test_the_command_prints_what_it_would_write(tmp_path: Path) -> None:
    """With the place of each file, for this program, and for the account and the settings that it is given."""
    mine = ("--user", "music", "--settings", "/srv/music.env")
    place = Place(Path(sysconfig.get_path("scripts")) / "omnisonic", "music", PurePath("/srv/music.env"), LISTENERS)
    for options, made in (((), studio_unit(place)), (("--parts",), part_units(place))):
        made |= backup_units(place)
        printed = "\n".join(f"# {FOLDER}/{name}\n{text}" for name, text in made.items())
        assert run(*options, *mine) == (0, printed)
        assert run(*options, *mine, "--into", str(tmp_path))[0] == 0
        assert {name: (tmp_path / name).read_text() for name in made} == made


@pytest.mark.parametrize(
    ("settings", "listener"),
    [
        ({"GATEWAY_HOST": "10.0.0.6", "GATEWAY_PORT": "9000"}, "10.0.0.6:9000"),
        ({"GATEWAY_HOST": "::1"}, "[::1]:8080"),
        ({"GATEWAY_HOST": "localhost"}, "127.0.0.1:8080"),
    ],
)
def test_sockets_listen_where_the_settings_say(settings: dict[str, str], listener: str) -> None:
    """In a form that systemd reads."""
    assert f"ListenStream={listener}\n" in run("--parts", **settings)[1]


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    """Without a traceback."""
    (tmp_path / "file").write_text("")
    ended = CliRunner().invoke(app, ["units", "--into", str(tmp_path / "file")])
    assert "omnisonic.service cannot be written: " in str(ended.exception)


def test_the_account_that_is_made_is_the_one_that_units_and_commands_use() -> None:
    """And the settings are a file that only root can read; the program is the one that was installed."""
    made = block("sh", "useradd")
    (account,) = re.findall(r"^useradd .* (\w+)$", made, re.MULTILINE)
    (settings,) = re.findall(r"^install -m 0600 /dev/null (\S+)$", made, re.MULTILINE)
    assert (account, settings) == (PLACE.account, str(PLACE.settings_file))
    for name in ("omnisonic.service", "omnisonic-.service.d/shared.conf", "backup-omnisonic.service"):
        assert {f"User={account}", f"EnvironmentFile={settings}"} <= set(units()[name].splitlines())
    by_hand = block("sh", "systemd-run")
    assert f"--uid={account} " in by_hand
    assert f"--property=EnvironmentFile={settings} " in by_hand
    written = [line for text in blocks("sh") for line in text.splitlines() if " units " in line]
    assert written == [f"{PROGRAM} units {options}--into {FOLDER}" for options in ("", "--parts ")]
