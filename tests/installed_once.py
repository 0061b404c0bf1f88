"""Packages that tests install into a folder of the checkout which git ignores: once, for all workers of a run.

Whoever comes second waits, and finds them there. As long as what they are made from does not change nothing is asked of
the network again. An installation that was interrupted is made anew.
"""

import fcntl
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

INSTALL_S: Final = 300.0
"""For one command, over a slow line."""
STAMP: Final = ".installed-from"


def install_once(into: Path, sources: Sequence[Path], commands: Sequence[Sequence[str | Path]]) -> str:
    """Have in `into` what the `commands` make of the `sources`; "", or a sentence that says what is in the way.

    The commands run in the folder of the sources, and begin from whatever is there.
    """
    first = sources[0]
    stamp = into / STAMP
    with first.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        wanted = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            return ""
        stamp.unlink(missing_ok=True)
        for command in commands:
            if trouble := _trouble_of(command, first):
                return trouble
        stamp.write_text(wanted)
    return ""


def _trouble_of(command: Sequence[str | Path], source: Path) -> str:
    what = f"{Path(command[0]).name} could not install {source.name}"
    try:
        ended = subprocess.run(
            command,
            cwd=source.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{what} within {INSTALL_S:.0f} s"
    return f"{what}: {(ended.stderr or ended.stdout).strip()}" if ended.returncode else ""
