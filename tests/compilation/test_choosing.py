"""The compiled build runs where it fits the sources, and the sources run otherwise.

One small module is compiled for these tests, in a copy of the package; each test imports it in a process of its own.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import omnisonic
from omnisonic.compilation import ABI, LIBRARY, SOURCES, SUFFIX

MODULE: Final = "omnisonic.wire.frames"
SOURCE: Final = "wire/frames.py"
COMPILE_S: Final = 300.0
IMPORT_S: Final = 30.0
COMPILE: Final = f"""
from omnisonic.compilation import built_folder
from omnisonic.compilation.compiling import compile_modules
compile_modules(built_folder(), [{MODULE!r}])
"""
TELL: Final = """
import pathlib
from omnisonic.wire.frames import TEXT, Splitter, __file__ as file
from omnisonic.compilation import current_build
masked = bytes((0x81, 0x82, 1, 2, 3, 4, ord("h") ^ 1, ord("i") ^ 2))
assert Splitter().feed(masked) == ([(TEXT, b"hi")], [], b"")
print(pathlib.Path(file).suffix, current_build().reason, current_build().mend, sep="|")
"""
CHECK: Final = """
import asyncio
from omnisonic.cli.doctor_checks import CheckWarning, check_build
from omnisonic.settings.settings import Settings
try:
    print(asyncio.run(check_build(Settings())))
except CheckWarning as warning:
    print(warning.message, warning.mend, sep="|")
"""


class Told(NamedTuple):
    """What a process says of the module that it has imported."""

    suffix: str
    reason: str
    mend: str


def run(program: str, folder: Path, deadline_s: float, **environ: str) -> str:
    """What a program prints that imports the copy of the package in `folder`."""
    left_out = ("OMNISONIC_PURE", "COVERAGE_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=kept | environ,
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def tell(folder: Path, **environ: str) -> Told:
    """Which code a new process runs, and why."""
    return Told(*run(TELL, folder, IMPORT_S, **environ).rstrip("\n").split("|"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package, in which one module is compiled."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None or not Path(sysconfig.get_path("include"), "Python.h").is_file():
        pytest.skip("there is no C compiler with the headers of this Python here")
    folder = tmp_path_factory.mktemp("compiled")
    package = Path(omnisonic.__file__).parent
    shutil.copytree(package, folder / "omnisonic", ignore=shutil.ignore_patterns("built", "static", "__pycache__"))
    run(COMPILE, folder, COMPILE_S)
    return folder


@pytest.fixture
def built(compiled: Path) -> Iterator[Path]:
    """The folder of the build. It is as before after the test, and so are the sources."""
    here = compiled / "omnisonic" / "compilation" / "built" / ABI
    source = compiled / "omnisonic" / SOURCE
    text = source.read_text()
    kept = compiled / "kept"
    shutil.copytree(here, kept)
    yield here
    source.write_text(text)
    shutil.rmtree(here, ignore_errors=True)
    kept.rename(here)


def test_the_compiled_build_runs_where_it_fits(compiled: Path) -> None:
    """Chosen by itself, and it does what its source does."""
    assert tell(compiled) == Told(".so", "", "")


@pytest.mark.parametrize("value", ["1", "true", "Yes"])
def test_a_setting_chooses_the_sources(compiled: Path, value: str) -> None:
    """As a setting is read that is true or false."""
    assert tell(compiled, OMNISONIC_PURE=value) == Told(".py", "OMNISONIC_PURE is set.", "")
    assert tell(compiled, OMNISONIC_PURE="false").suffix == ".so"


def test_a_source_that_has_changed_is_what_runs(compiled: Path, built: Path) -> None:
    """The build is stale then. The reason names the file, and doctor warns and says what to do."""
    assert built.is_dir()
    source = compiled / "omnisonic" / SOURCE
    source.write_text(source.read_text() + "# more\n")
    suffix, reason, mend = tell(compiled)
    assert (suffix, reason) == (".py", f"omnisonic/{SOURCE} has changed since it was compiled.")
    assert mend.startswith("Run `bin/compile`")
    assert run(CHECK, compiled, IMPORT_S) == f"Rooms run as plain Python. {reason}|{mend}\n"


def test_a_source_that_was_imported_counts_as_well(compiled: Path, built: Path) -> None:
    """The constants of other modules are in the compiled code."""
    (line,) = (built / SOURCES).read_text().splitlines()
    (built / SOURCES).write_text(f"{line}\n{'0' * 64}  wire/closing.py\n{'0' * 64}  wire/gone.py\n")
    assert tell(compiled).reason == "omnisonic/wire/closing.py has changed since it was compiled."


def test_a_library_that_cannot_be_loaded_is_not_used(compiled: Path, built: Path) -> None:
    """As one for another processor."""
    library = built / f"{LIBRARY}{SUFFIX}"
    library.write_bytes(library.read_bytes()[:100])
    suffix, reason, mend = tell(compiled)
    assert suffix == ".py"
    assert reason.startswith("The compiled build cannot be loaded: ")
    assert "bin/compile" in mend


def test_a_build_for_another_python_is_not_used(compiled: Path, built: Path) -> None:
    """It waits for that one."""
    built.rename(built.with_name("cpython-399-elsewhere"))
    assert tell(compiled) == Told(".py", "There is no compiled build for this Python.", "")
    built.with_name("cpython-399-elsewhere").rename(built)
    assert tell(compiled).suffix == ".so"


def test_nothing_is_left_of_a_build_that_is_removed(compiled: Path, built: Path) -> None:
    """By `bin/compile --clean`."""
    subprocess.run(
        [sys.executable, "-m", "omnisonic.compilation", "--clean"], cwd=compiled, check=True, timeout=IMPORT_S
    )
    assert not built.parent.exists()
    built.parent.mkdir()
    assert tell(compiled).suffix == ".py"


def test_without_a_compiler_a_sentence_says_what_to_install(compiled: Path, built: Path) -> None:
    """And the build that is there stays."""
    ended = subprocess.run(
        [sys.executable, "-m", "omnisonic.compilation"],
        cwd=compiled,
        env=os.environ | {"CC": "no-such-compiler"},
        capture_output=True,
        text=True,
        timeout=IMPORT_S,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "There is no C compiler here (no-such-compiler). On Debian, run: apt-get install gcc"
    )
    assert built.is_dir()
