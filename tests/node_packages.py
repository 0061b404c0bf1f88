"""Node's programs and packages for tests: clients that others wrote, and the tools that build them.

`tests/node/package.json` and its lock file say what is needed. It is installed into `tests/node/node_modules`, which
git ignores, once for all workers of a run: whoever comes second waits, and finds it there. As long as neither file
changes nothing is asked of the network again. An installation that was interrupted is made anew. What is missing is a
skip that names it.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).with_name("node")
INSTALL_S: Final = 300.0
"""For all packages, over a slow line."""
ANSWER_S: Final = 60.0
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
    lock = folder / "package-lock.json"
    stamp = folder / "node_modules" / ".installed-from"
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        wanted = hashlib.sha256((folder / "package.json").read_bytes() + held.read()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            return ""
        try:
            ended = subprocess.run(
                [npm, "ci", "--prefer-offline"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"npm could not install {lock.name} within {INSTALL_S:.0f} s"
        if ended.returncode != 0:
            return f"npm could not install {lock.name}: {(ended.stderr or ended.stdout).strip()}"
        stamp.write_text(wanted)
    return ""


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
