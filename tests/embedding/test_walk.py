"""A stranger's walk: the wheel is built and installed into an empty folder's environment, and every program runs."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.embedding.acts import ACTS
from tests.embedding.printed import ROOT, save_all

INSTALL_S: Final = 40.0
WITH_COMMAND: Final = ("house.py", "watched.py")
"""They also start the command, which is walked through in `tests/system/test_installing.py`."""


def installed(folder: Path) -> Path:
    """A Python with the wheel in it and nothing of this checkout; what the wheel needs is borrowed from here."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=INSTALL_S)
    (wheel,) = (folder / "dist").glob("omnisonic-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")}))
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))  # with it there may be no pip
    pip = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    where = ["--python", str(python)]
    options = ["--no-deps", "--no-index", "--quiet", str(wheel)]
    install = [*pip, "install", *where, *options] if uv else [*pip, *where, "install", *options]
    subprocess.run(install, check=True, capture_output=True, timeout=INSTALL_S)
    # Behind its own: an editable install's finder is in a .pth, which is not read in a folder that comes by a .pth.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.mark.timing
async def test_every_printed_program_runs_on_the_installed_wheel(tmp_path: Path) -> None:
    """In a folder that is empty but for the programs; and the pytest plugin comes with the wheel."""
    python = await trio.to_thread.run_sync(partial(installed, tmp_path))
    folder = tmp_path / "empty"
    folder.mkdir()
    save_all(folder)
    where = [str(python), "-c", "import omnisonic, trio; print(omnisonic.__file__)"]
    found = await trio.run_process(where, cwd=folder, capture_stdout=True)
    assert Path(found.stdout.decode().strip()).is_relative_to(tmp_path)
    plugins = [str(python), "-m", "pytest", "-q", "--fixtures", "-p", "no:cacheprovider", "test_bot.py"]
    fixtures = await trio.run_process(plugins, cwd=folder, capture_stdout=True)
    assert b"omnisonic_gateway " in fixtures.stdout
    async with trio.open_nursery() as nursery:
        for name, act in ACTS.items():
            if name not in WITH_COMMAND:
                nursery.start_soon(act, python, folder)
