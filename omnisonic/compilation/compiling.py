"""Makes the compiled build with mypyc and the system's C compiler (docs/operating.md).

mypyc copies constants of the modules that are imported into the code of those that import them. So the build belongs to
the sources of `MODULES` and to all of ours that they import, directly or not.
"""

import ast
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir
from hashlib import sha256
from pathlib import Path
from typing import Final

from omnisonic.compilation import GROUP, MODULES, SOURCES, package_folder

_OPTIONS: Final = ("--config-file=", "--ignore-missing-imports", "--no-incremental")
"""Of mypy, which reads the sources. Whether their types are right is checked elsewhere."""


class CannotCompile(Exception):
    """Something that compiling needs is missing. The message says what to install."""


def compile_modules(into: Path, modules: Sequence[str] = MODULES) -> None:
    """Compile modules of this package. All of them take about a minute of one processor.

    Args:
        into: The folder for the result. It replaces what is there once all is compiled.
        modules: Their names: `MODULES`, or some of them.

    Raises:
        CannotCompile: There is no C compiler, or no header of this Python.
        SystemExit: mypy or mypyc refuses the sources; what is wrong is printed.
        setuptools.errors.CompileError: The C compiler failed; what is wrong is printed.
    """
    _check_compiler()
    package = package_folder()
    sources = find_sources(package, modules)
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="omnisonic-", dir=into.parent) as scratch:
        tree, made = Path(scratch, "tree"), Path(scratch, "made")
        for path in sources:
            _copy_module(package, path, tree / "omnisonic")
        with chdir(tree):
            _run_mypyc(modules, made)
        digests = {path: sha256((tree / "omnisonic" / path).read_bytes()).hexdigest() for path in sources}
        (made / SOURCES).write_text("".join(f"{digest}  {path}\n" for path, digest in digests.items()))
        if into.exists():
            into.rename(Path(scratch, "old"))
        made.rename(into)


def find_sources(package: Path, modules: Sequence[str]) -> list[str]:
    """The files of `modules` and of all that they import of ours, as paths in `package`, sorted."""
    found: set[str] = set()
    waiting = [path for name in modules for path in _files_of(package, name)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            for name in _imported((package / path).read_text()):
                waiting += _files_of(package, name)
    return sorted(found)


def _imported(source: str) -> Iterator[str]:
    """The modules that a source may import: of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files_of(package: Path, name: str) -> list[str]:
    """The file of a module of ours; nothing for the modules of others, and for the package itself."""
    top, _, rest = name.partition(".")
    if top != "omnisonic" or not rest:
        return []
    path = rest.replace(".", "/")
    return [file for file in (f"{path}.py", f"{path}/__init__.py") if (package / file).is_file()]


def _copy_module(package: Path, path: str, tree: Path) -> None:
    """Copy a module, so that mypy reads nothing else of ours; packages that are no sources are empty.

    A copy also has no symbolic links above it, and mypy takes the name of a module from the real path of its file.
    """
    file = tree / path
    file.parent.mkdir(parents=True, exist_ok=True)
    for folder in (file.parent, *file.parent.parents):
        if not folder.is_relative_to(tree):
            break
        (folder / "__init__.py").touch()
    shutil.copyfile(package / path, file)


def _check_compiler() -> None:
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(command) is None:
        raise CannotCompile(
            f"There is no C compiler here ({command}). On Debian, run: apt-get install gcc libc6-dev. "
            "On macOS, run: xcode-select --install."
        )
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise CannotCompile(f"{header} is missing. On Debian, run: apt-get install python{version}-dev.")


def _run_mypyc(modules: Sequence[str], into: Path) -> None:
    """Compile modules below the current folder."""
    from mypyc.build import mypycify
    from setuptools import Distribution  # type: ignore[import-untyped]

    paths = [f"{name.replace('.', '/')}.py" for name in modules]
    extensions = mypycify([*_OPTIONS, *paths], opt_level="3", debug_level="0", group_name=GROUP)
    distribution = Distribution({"name": "omnisonic", "ext_modules": extensions})
    command = distribution.get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(into), "objects"
    command.ensure_finalized()
    command.run()
