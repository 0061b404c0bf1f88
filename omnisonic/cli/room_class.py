"""A room class of somebody's own, found by its name (`GATEWAY_ROOMS`, `--rooms`): `band.rooms:Jam` (SPEC 1, 8).

The module is imported as `python -m` would: from the current directory or an installed package. Whatever is wrong with
it is one sentence, which names the line where the import failed.
"""

import importlib
import sys
import traceback
from pathlib import Path
from typing import Any, Final

from omnisonic.actors.hosting.room import Room
from omnisonic.errors import BadSettings
from omnisonic.observability.code_places import own_place

SETTING: Final = "GATEWAY_ROOMS (--rooms)"


def load_room_class(name: str) -> type[Room[Any]]:
    """Import the class that `name` (`module:Class`) means.

    Raises:
        BadSettings: There is no such module or class, it is no subclass of `Room`, or the module cannot be imported.
    """
    module_name, _, class_name = name.partition(":")
    _allow_current_directory()
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as problem:  # noqa: BLE001 - somebody else's module may raise anything
        raise _bad(name, _describe_failure(module_name, problem)) from None
    for part in class_name.split("."):
        if not hasattr(found, part):
            raise _bad(name, f"{module_name} has no {class_name}")
        found = getattr(found, part)
    if not (isinstance(found, type) and issubclass(found, Room)):
        raise _bad(name, f"{class_name} is no subclass of omnisonic.Room")
    return found


def _bad(name: str, problem: str) -> BadSettings:
    return BadSettings([f'{SETTING} is "{name}": {problem}.'])


def _allow_current_directory() -> None:
    here = str(Path.cwd())
    if not sys.flags.safe_path and not {"", here} & set(sys.path):
        sys.path.insert(0, here)


def _describe_failure(module_name: str, problem: BaseException) -> str:
    """Why the module could not be imported, as the end of a sentence."""
    if isinstance(problem, ModuleNotFoundError) and _is_in(module_name, problem.name or ""):
        return f"there is no module {problem.name}, neither in {Path.cwd()} nor installed"
    if isinstance(problem, SyntaxError) and problem.filename:
        place = f"{problem.filename}:{problem.lineno}"
    else:
        calls = [(frame.f_code, line) for frame, line in traceback.walk_tb(problem.__traceback__)]
        place = own_place(reversed(calls)).partition(" in ")[0]
    words = str(problem.msg if isinstance(problem, SyntaxError) else problem).strip().partition("\n")[0].rstrip(".")
    kind = type(problem).__name__
    return f"{module_name} cannot be imported, because of {place} ({kind}{': ' if words else ''}{words})"


def _is_in(module_name: str, missing: str) -> bool:
    """Whether `missing` is the module itself, or a package that it would be in."""
    return module_name == missing or module_name.startswith(f"{missing}.")
