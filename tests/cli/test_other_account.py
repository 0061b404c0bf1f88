"""Commands in a data directory that is another account's: each says so in a sentence, and shows what it can."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.cli.running import environ

RUN_S: Final = 60.0
IS_ROOT: Final = os.geteuid() == 0
SENTENCE: Final = "is another account's: run the command as the account of the studio."

OBEYS_MODES: Final = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Lets root's programs be refused what the mode of a folder refuses."""

Run: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_elsewhere(tmp_path: Path) -> Iterator[Run]:
    """Runs `omnisonic` with these arguments on a data directory that it may not look into."""
    data = tmp_path / "studio"
    data.mkdir(mode=0)
    settings = environ(OMNISONIC_DATA_DIR=str(data), GATEWAY_PORT="1", WEB_PORT="1")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*(OBEYS_MODES if IS_ROOT else ()), sys.executable, "-m", "omnisonic", *arguments]
        return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=RUN_S, check=False)

    yield run
    data.chmod(0o700)


@pytest.mark.parametrize(
    "command",
    ["backup /tmp/never.tar", "migrate", "clean-uploads --dry-run", "users ls", "keys ls", "webhooks ls", "rooms ls"],
)
def test_a_command_says_whose_the_studio_is(run_elsewhere: Run, command: str) -> None:
    """Not that there is no studio, and no traceback."""
    ended = run_elsewhere(*command.split())
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("omnisonic: /")
    assert line.endswith(SENTENCE)


def test_doctor_says_it_of_what_it_may_not_see_and_checks_the_rest(run_elsewhere: Run) -> None:
    """Database, Redis and storage are in the data directory; the decoders need nothing of it."""
    ended = run_elsewhere("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(ended.stdout)["checks"]}
    assert (ended.returncode, ended.stderr) == (1, "")
    unseen = {name for name, check in checks.items() if not check["ok"]}
    assert {"database", "redis", "storage"} <= unseen
    for name in ("database", "redis", "storage"):
        assert checks[name]["detail"].endswith(SENTENCE)
    assert checks["decoders"]["ok"]
