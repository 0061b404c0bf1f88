"""The units of systemd that docs/operating.md prints: systemd has nothing to say against them, and they start us."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.system.printed import block, blocks, replaced

VENV: Final = "/opt/omnisonic/venv"
FOLDER: Final = "# /etc/systemd/system/"
PARTS: Final = {"gateway", "web", "worker"}
DECODERS_NEED: Final = "SystemCallFilter"
"""What would keep the processes that decode uploads from locking themselves in."""
VERIFY_S: Final = 50.0


def units() -> dict[str, str]:
    """What is printed, by the name of its file in systemd's folder."""
    texts = [text for text in blocks("ini") if text.startswith(FOLDER)]
    return {text.splitlines()[0].removeprefix(FOLDER): text for text in texts}


def test_systemd_has_nothing_to_say_against_the_printed_units(tmp_path: Path) -> None:
    """All of them as printed, but for where the programs are: `systemd-analyze verify` is silent."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is missing here (Debian: systemd)")
    for name, text in units().items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(replaced(text, {VENV: sys.prefix}) if VENV in text else text)
    named = [str(tmp_path / name) for name in units() if "/" not in name]
    verify = [analyze, "--man=no", "verify", *named]
    ended = subprocess.run(verify, capture_output=True, text=True, timeout=VERIFY_S, check=False)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_there_is_a_unit_for_all_and_one_for_each_part() -> None:
    """Each starts the command that it is named for; those that listen have a socket, and get it as it is."""
    commands = {
        name.removesuffix(".service"): re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
        for name, text in units().items()
        if name.endswith(".service")
    }
    sockets = {name.removesuffix(".socket") for name in units() if name.endswith(".socket")}
    assert sockets == {"omnisonic-gateway", "omnisonic-web"}
    program = f"{VENV}/bin/omnisonic"
    parts = {
        f"omnisonic-{part}": [f"{program} {part}" + (" --fd 3" if f"omnisonic-{part}" in sockets else "")]
        for part in PARTS
    }
    assert commands == {"omnisonic": [f"{program} serve"], **parts}


def test_no_unit_takes_away_what_the_decoders_lock_themselves_in_by() -> None:
    """And the parts are held as tightly as the whole."""
    for text in units().values():
        assert not [line for line in text.splitlines() if line.startswith(DECODERS_NEED)]
    whole, shared = (
        set(units()[name].splitlines()) for name in ("omnisonic.service", "omnisonic-.service.d/shared.conf")
    )
    own = {line for line in whole - shared if line.partition("=")[0] not in ("ExecStart", "Restart", "KillMode")}
    assert {line for line in own if "=" in line} == {"Description=Omnisonic Studio", "WantedBy=multi-user.target"}


def test_the_account_that_is_made_is_the_one_that_units_and_commands_use() -> None:
    """And the settings are a file that only root can read."""
    made = block("sh", "useradd")
    (account,) = re.findall(r"^useradd .* (\w+)$", made, re.MULTILINE)
    (settings,) = re.findall(r"^install -m 0600 /dev/null (\S+)$", made, re.MULTILINE)
    for name in ("omnisonic.service", "omnisonic-.service.d/shared.conf"):
        assert {f"User={account}", f"EnvironmentFile={settings}"} <= set(units()[name].splitlines())
    by_hand = block("sh", "systemd-run")
    assert f"--uid={account} " in by_hand
    assert f"--property=EnvironmentFile={settings} " in by_hand
