"""Completion in the shell: what `--install-completion` writes completes commands and options in a real bash."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import START_S, environ


def in_bash(script: str, home: Path) -> str:
    """What a new bash with this home prints."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is missing here (Debian: bash)")
    ended = subprocess.run(
        [bash, "--norc", "-c", script],
        env=environ(HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout


def test_a_shell_completes_commands_and_options_once_it_is_installed(tmp_path: Path) -> None:
    """The next bash reads it at its start; both the names of commands and their options."""
    program = tmp_path / "omnisonic"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m omnisonic "$@"\n')
    program.chmod(0o755)
    # A second command, or bash would become the program, and no shell would be found.
    in_bash(f"{program} --install-completion && true", tmp_path)
    ask = "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _omnisonic_completion " + str(program) + '; echo "${COMPREPLY[@]}"'
    typed = ("omnisonic rooms t", "omnisonic units --p")
    script = "\n".join([". ~/.bashrc", *(f"COMP_WORDS=({words}); {ask}" for words in typed)])
    assert in_bash(script, tmp_path).splitlines() == ["tree top tap", "--parts"]
