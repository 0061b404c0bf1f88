"""A room class of somebody's own: found as `python -m` would, and one sentence for whatever is wrong with it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import omnisonic
from omnisonic.cli.room_class import load_room_class
from omnisonic.errors import BadSettings
from tests.cli.running import completed

MODULES: Final = {
    "ownband.py": "import omnisonic\nclass Jam(omnisonic.Room): pass\nclass Other: pass\nclass Stage:\n    Jam = Jam\n",
    "ownlacking.py": "import omnisonic\n\nimport nosuchpackage.at_all\n",
    "ownslip.py": "x = 1\ndef (:\n",
    "ownasync.py": "import omnisonic\nclass Jam(omnisonic.Room):\n    async def on_message(self, *a): pass\n",
    "ownleaving.py": "\n\nraise SystemExit('Go away.\\nNow.')\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, with modules in it that no other test imports."""
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    path = sys.path[:]
    yield tmp_path
    sys.path[:] = path
    for name in MODULES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.parametrize("name", ["ownband:Jam", "ownband:Stage.Jam"])
def test_a_class_in_the_current_directory_is_found(folder: Path, name: str) -> None:
    """Though the program is installed somewhere else."""
    found = load_room_class(name)
    assert issubclass(found, omnisonic.Room)
    assert found.__module__ == "ownband"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("ownnothing:Jam", "there is no module ownnothing, neither in {here} nor installed"),
        ("ownband.rooms:Jam", "there is no module ownband.rooms, neither in {here} nor installed"),
        ("ownband:Stranger", "ownband has no Stranger"),
        ("ownband:Other", "Other is no subclass of omnisonic.Room"),
        ("ownband:omnisonic", "omnisonic is no subclass of omnisonic.Room"),
        (
            "ownlacking:Jam",
            "ownlacking cannot be imported, because of {here}/ownlacking.py:3 "
            "(ModuleNotFoundError: No module named 'nosuchpackage')",
        ),
        ("ownslip:Jam", "ownslip cannot be imported, because of {here}/ownslip.py:2 (SyntaxError: invalid syntax)"),
        (
            "ownasync:Jam",
            "ownasync cannot be imported, because of {here}/ownasync.py:2 (TypeError: Jam.on_message must be a plain "
            "function: rooms do not wait. Remove `async` or `yield` from it)",
        ),
        ("ownleaving:Jam", "ownleaving cannot be imported, because of {here}/ownleaving.py:3 (SystemExit: Go away)"),
    ],
)
def test_what_is_no_room_class_is_a_sentence(folder: Path, name: str, problem: str) -> None:
    """It names what was asked for, and where the fault is."""
    with pytest.raises(BadSettings) as bad:
        load_room_class(name)
    assert bad.value.problems == [f'GATEWAY_ROOMS (--rooms) is "{name}": {problem.format(here=folder)}.']


@pytest.mark.parametrize("command", ["serve", "gateway"])
def test_a_start_with_a_class_that_is_not_there_stops_at_once(command: str, tmp_path: Path) -> None:
    """One sentence, exit code 2, and nothing was started; the option comes before the variable."""
    data = tmp_path / "data"
    shown = completed(command, "--rooms", "ownnothing:Jam", GATEWAY_ROOMS="json:Jam", OMNISONIC_DATA_DIR=str(data))
    assert shown.returncode == 2
    (sentence,) = shown.stderr.splitlines()
    assert sentence.startswith('omnisonic: GATEWAY_ROOMS (--rooms) is "ownnothing:Jam": there is no module ownnothing,')
    assert not data.exists()
