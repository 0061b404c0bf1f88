"""Node's programs and packages for tests: clients that others wrote, and the tools that build them.

`tests/node/package.json` and its lock file say what is needed. It is installed into `tests/node/node_modules`
(`tests.installed_once`). What is missing is a skip that names it.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.installed_once import install_once

FOLDER: Final = Path(__file__).with_name("node")
ANSWER_S: Final = 120.0
"""For one program, on a busy machine."""
OLDEST_NODE: Final = 18
"""Debian's."""


@dataclass(frozen=True)
class NodePackages:
    """What is installed in `folder`, and the `node` that runs it."""

    node: str
    folder: Path

    def run(
        self, *arguments: str | Path, within_s: float = ANSWER_S, cwd: Path | None = None, **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run node with these arguments until it ends, well or not."""
        return subprocess.run(
            [self.node, *map(str, arguments)],
            cwd=cwd or self.folder,
            env=os.environ | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def run_program(self, name: str, *arguments: str | Path, cwd: Path | None = None) -> str:
        """What a package's program prints. Raises AssertionError with all that it said when it fails."""
        ended = self.run(self.folder / "node_modules" / ".bin" / name, *arguments, cwd=cwd)
        assert ended.returncode == 0, f"{name}: {ended.stdout}{ended.stderr}"
        return ended.stdout


def install_packages(folder: Path, npm: str) -> str:
    """Have in `folder` what its lock file names; "", or a sentence that says what is in the way."""
    lock, wanted = folder / "package-lock.json", folder / "package.json"
    return install_once(folder / "node_modules", [lock, wanted], [[npm, "ci", "--prefer-offline"]])


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs the {name} command")
    return found


@pytest.fixture(scope="session")
def node_packages() -> NodePackages:
    """The packages of `tests/node/package.json`, installed."""
    node, npm = _program("node"), _program("npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=ANSWER_S, check=True).stdout
    if int(version.strip().removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"needs node {OLDEST_NODE} or newer")
    if trouble := install_packages(FOLDER, npm):
        pytest.skip(trouble)
    return NodePackages(node, FOLDER)
