"""Node packages for tests: exact, from no registry in particular, installed once for all workers, and said when not."""

import json
import re
import threading
from pathlib import Path
from typing import Any, Final

from tests.node_packages import FOLDER, NodePackages, install_packages

DEADLINE_S: Final = 30.0
NPM: Final = """#!/bin/sh
echo "$*" >>ran
rm -rf node_modules
mkdir node_modules
"""
"""Does with the folder what npm does, and notes it."""


def made_folder(folder: Path, npm: str = NPM) -> str:
    """A folder of packages, and the npm for it."""
    (folder / "package.json").write_text("{}")
    (folder / "package-lock.json").write_text("{}")
    program = folder / "npm"
    program.write_text(npm)
    program.chmod(0o755)
    return str(program)


def runs(folder: Path) -> list[str]:
    """How npm was called."""
    return (folder / "ran").read_text().splitlines()


def document(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return read


def test_the_lock_file_names_no_registry() -> None:
    """Each machine has its own, and the hash says that it is the same package."""
    packages = {path: entry for path, entry in document("package-lock.json")["packages"].items() if path}
    assert packages
    assert [path for path, entry in packages.items() if "resolved" in entry] == []
    assert [path for path, entry in packages.items() if not entry["integrity"].startswith("sha512-")] == []


def test_each_package_is_asked_for_in_one_version() -> None:
    """So two machines run the same clients."""
    wanted = document("package.json")["devDependencies"]
    exact = re.compile(r"(npm:[@\w/.-]+@)?\d+\.\d+\.\d+(-[\w.]+)?")
    assert [name for name, version in wanted.items() if not exact.fullmatch(version)] == []


def test_what_is_installed_is_not_asked_for_again(tmp_path: Path) -> None:
    """Until one of the two files changes."""
    npm = made_folder(tmp_path)
    for _ in range(2):
        assert install_packages(tmp_path, npm) == ""
    assert runs(tmp_path) == ["ci --prefer-offline"]
    (tmp_path / "package-lock.json").write_text('{"packages": {}}')
    assert install_packages(tmp_path, npm) == ""
    assert len(runs(tmp_path)) == 2


def test_workers_that_come_at_once_install_once(tmp_path: Path) -> None:
    """The others wait for the first."""
    npm = made_folder(tmp_path)
    said: list[str] = []
    workers = [threading.Thread(target=lambda: said.append(install_packages(tmp_path, npm))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(DEADLINE_S)
    assert said == [""] * 4
    assert len(runs(tmp_path)) == 1


def test_an_installation_that_failed_is_said_and_tried_anew(tmp_path: Path) -> None:
    """With npm's own words: nothing that is half there counts as installed."""
    broken = made_folder(tmp_path, f"{NPM}echo no network today >&2\nexit 1\n")
    assert install_packages(tmp_path, broken) == "npm could not install package-lock.json: no network today"
    assert install_packages(tmp_path, made_folder(tmp_path)) == ""
    assert len(runs(tmp_path)) == 2


def test_packages_are_there(node_packages: NodePackages) -> None:
    """Each that is asked for, and node runs their programs."""
    modules = node_packages.folder / "node_modules"
    assert [name for name in document("package.json")["devDependencies"] if not (modules / name).is_dir()] == []
    version = document("package.json")["devDependencies"]["typescript"]
    assert node_packages.run_program("tsc", "--version") == f"Version {version}\n"
