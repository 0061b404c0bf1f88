"""Programs that run as somebody else, who has no rights."""

import contextlib
import functools
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Final

import trio

import omnisonic

ORDINARY_USER: Final = "nobody"


def import_path() -> list[str]:
    """Where this package, its tests and its dependencies are, for a Python that is not this environment's."""
    return [str(Path(omnisonic.__file__).parent.parent), str(Path(trio.__file__).parent.parent)]


@functools.cache
def ordinary_python(module: str) -> str | None:
    """A Python with which `ORDINARY_USER` can import this module."""
    account = pwd.getpwnam(ORDINARY_USER)
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            tried = subprocess.run(
                [python, "-c", f"import {module}"],
                cwd="/",
                env={"PYTHONPATH": os.pathsep.join(import_path())},
                capture_output=True,
                check=False,
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=[],
            )
            if tried.returncode == 0:
                return python
    return None
