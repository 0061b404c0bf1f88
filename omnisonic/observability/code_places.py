"""Places in the code for logs: which line of somebody's own code is to blame (SPEC 7).

A stack mostly ends in a library. What helps its reader is the innermost call that is neither in Python's own library,
nor in an installed package, nor in this one. Without such a call it is the innermost of all.
"""

import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import CodeType
from typing import Final

_LIBRARIES: Final = tuple(
    {
        *(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        f"{Path(__file__).parents[1]}/",
        "<frozen ",
    }
)


def own_place(calls: Iterable[tuple[CodeType, int | None]]) -> str:
    """The call that is somebody's own, as `/srv/band.py:44 in on_message`; empty without any call.

    Args:
        calls: The code and the line of each call, innermost first.
    """
    innermost = ""
    for code, line in calls:
        place = f"{code.co_filename}:{line} in {code.co_qualname}"
        if not code.co_filename.startswith(_LIBRARIES):
            return place
        innermost = innermost or place
    return innermost
