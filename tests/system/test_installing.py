"""The installation that docs/operating.md prints, done as printed in a copy of this checkout, without a network.

What the wheel needs is borrowed from here, in the versions that are here, and so is what builds it. The studio in it is
the wheel's own, and runs.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import pytest

from omnisonic import __version__
from tests.cli.running import START_S, Command, environ
from tests.system.printed import ROOT, block, replaced

DOCUMENTS: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
VENV: Final = "/opt/omnisonic/venv"
OFFLINE: Final = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""pip asks nobody, and builds with what is borrowed. By `0` its variable says that there is to be no isolation."""
LEFT_OUT: Final = (".git", ".venv", ".omnisonic", "__pycache__", ".*_cache", "dist")
STEP_S: Final = START_S


def pythons(folder: Path) -> Path:
    """A folder in which `python3` is the Python that this one's environment was made from."""
    folder.mkdir()
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "python3").symlink_to(Path(sys.base_prefix) / "bin" / name)
    return folder


@pytest.mark.skipif(importlib.util.find_spec("ensurepip") is None, reason="python3-venv is missing here")
def test_the_printed_installation_makes_a_studio_that_runs(tmp_path: Path) -> None:
    """Line by line. The extra's Postgres is found, and what runs is in the environment, not in a checkout."""
    checkout, venv = tmp_path / "checkout", tmp_path / "venv"
    shutil.copytree(ROOT, checkout, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    here = {each.name: each.version for each in distributions() if each.name != "omnisonic"}
    (checkout / "constraints.txt").write_text("".join(f"{name}=={version}\n" for name, version in here.items()))
    borrowed = {"PATH": f"{pythons(tmp_path / 'pythons')}:/usr/bin:/bin", "HOME": str(tmp_path), **OFFLINE}
    printed = ""
    for line in replaced(block("sh", "pip wheel"), {VENV: str(venv)}).splitlines():
        shell = ["/bin/sh", "-eu", "-c", line]
        ended = subprocess.run(
            shell, cwd=checkout, env=borrowed, capture_output=True, text=True, timeout=STEP_S, check=False
        )
        assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
        printed = ended.stdout
        where = Path(sysconfig.get_path("purelib", vars={"base": str(venv), "platbase": str(venv)}))
        (where / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert printed.startswith("omnisonic ")
    shutil.rmtree(checkout)
    where_is_it = [str(venv / "bin/python"), "-c", "import omnisonic; print(omnisonic.__file__)"]
    found = subprocess.run(where_is_it, cwd=tmp_path, env=environ(), capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(venv)
    check_that_it_runs(venv, tmp_path / "data")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_no_document_installs_the_package_from_where_it_is_not(document: Path) -> None:
    """It is not on PyPI, where anybody could take its name; the wheels that are named are this version's."""
    text = document.read_text()
    assert re.findall(r"pip install.*[\s'\"]omnisonic(?![-\w]).*", text) == []
    assert set(re.findall(r"omnisonic-[\w.]+-py3-none-any\.whl", text)) <= {f"omnisonic-{__version__}-py3-none-any.whl"}


def check_that_it_runs(venv: Path, data: Path) -> None:
    """`serve` out of this environment says where the studio is, and stops when it is told to."""
    serve = Command(("serve",), {"OMNISONIC_DATA_DIR": str(data)}, program=[str(venv / "bin/omnisonic")])
    try:
        serve.printed("is running")
        assert serve.stop() == 0
    finally:
        serve.kill()
