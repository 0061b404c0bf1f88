"""The compiled build: the hot path of the rooms, compiled by mypyc from the same source (docs/operating.md).

`bin/compile` and a wheel that is built with `OMNISONIC_COMPILE=1` put it into the folder `built/` beside this file, in
a folder for each Python. `MODULES` are compiled; everything else, with the rooms of users, is plain Python always.

The finder chooses once in a process, when the first of `MODULES` is imported. The compiled build runs when it was made
from the sources that are here, by their SHA-256; otherwise all of `MODULES` are imported from their sources, which are
always there. `OMNISONIC_PURE=true` chooses the sources. `import omnisonic` imports this module, so it imports little.
"""

import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import ModuleType

MODULES: Final = (
    "omnisonic.actors.connections.connection",
    "omnisonic.actors.connections.send_buffer",
    "omnisonic.actors.connections.socket_connection",
    "omnisonic.actors.rooms.actor",
    "omnisonic.actors.rooms.batch",
    "omnisonic.actors.rooms.delivery",
    "omnisonic.actors.rooms.history",
    "omnisonic.actors.rooms.hooks",
    "omnisonic.actors.rooms.mailbox",
    "omnisonic.actors.rooms.membership",
    "omnisonic.actors.rooms.roster",
    "omnisonic.actors.rooms.seat",
    "omnisonic.actors.rooms.standing",
    "omnisonic.actors.rooms.state",
    "omnisonic.actors.rooms.stats",
    "omnisonic.actors.runtime.scheduler",
    "omnisonic.wire.frames",
)
"""What is compiled: the way of a message, and the classes that its classes inherit from."""

GROUP: Final = "omnisonic"
LIBRARY: Final = f"{GROUP}__mypyc"
"""The library that holds all compiled modules; the file of each module only refers to it."""
SOURCES: Final = "sources.sha256"
"""Beside the library: the SHA-256 and the path of each source that it was made from, as `sha256sum` writes them."""
SUFFIX: Final = EXTENSION_SUFFIXES[0]
ABI: Final = SUFFIX.split(".")[1]
"""The name of this Python and its system, such as `cpython-312-x86_64-linux-gnu`."""
TRUE: Final = frozenset({"1", "on", "t", "true", "y", "yes"})
"""What `OMNISONIC_PURE` may be, as pydantic reads it."""
MEND: Final = "Run `bin/compile` to compile it again, or `bin/compile --clean` to remove the build."


class Build(NamedTuple):
    """Whether the compiled build runs.

    `reason` is a sentence that says why not. `mend` is one that says what to do, where a build is there.
    """

    is_compiled: bool
    reason: str = ""
    mend: str = ""


class _Finder:
    """Finds the compiled modules, and nothing else."""

    def __init__(self) -> None:
        self._build: Build | None = None

    @property
    def build(self) -> Build:
        if self._build is None:
            self._build = _choose()
        return self._build

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        """The file of a compiled module. None: it is imported from its source, or is not one of `MODULES`."""
        del path, target
        if name != LIBRARY and (name not in MODULES or not self.build.is_compiled):
            return None
        file = built_folder() / f"{name.replace('.', '/')}{SUFFIX}"
        if not file.is_file():
            return None
        return ModuleSpec(name, ExtensionFileLoader(name, str(file)), origin=str(file))


_finder: Final = _Finder()


def install() -> None:
    """Have `MODULES` found by this module from now on. Only the first call counts."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def current_build() -> Build:
    """Whether the compiled build runs in this process. The answer stays the same until it ends."""
    return _finder.build


def package_folder() -> "Path":
    """The folder of `omnisonic`."""
    from pathlib import Path

    return Path(__file__).parent.parent


def built_folder() -> "Path":
    """The folder of the compiled build for this Python, whether it is there or not."""
    return package_folder() / "compilation" / "built" / ABI


def _choose() -> Build:
    import os
    from importlib import import_module

    if os.environ.get("OMNISONIC_PURE", "").strip().lower() in TRUE:
        return Build(is_compiled=False, reason="OMNISONIC_PURE is set.")
    try:
        sources = (built_folder() / SOURCES).read_text()
    except (FileNotFoundError, NotADirectoryError):  # the package may be in a zip file
        return Build(is_compiled=False, reason="There is no compiled build for this Python.")
    if changed := _find_changed(sources):
        return Build(is_compiled=False, reason=f"{changed} has changed since it was compiled.", mend=MEND)
    try:
        import_module(LIBRARY)
    except ImportError as problem:  # it was made for another C library, or another processor
        reason = f"The compiled build cannot be loaded: {str(problem).rstrip('.')}."
        return Build(is_compiled=False, reason=reason, mend=MEND)
    return Build(is_compiled=True)


def _find_changed(sources: str) -> str | None:
    """The first file of `sources` that is another one here, or missing; None when all are the same."""
    from hashlib import sha256

    folder = package_folder()
    for line in sources.splitlines():
        digest, _, path = line.partition("  ")
        file = folder / path
        if not file.is_file() or sha256(file.read_bytes()).hexdigest() != digest:
            return f"{folder.name}/{path}"
    return None
