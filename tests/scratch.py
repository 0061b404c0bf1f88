"""Where tests keep temporary files: in memory, where there is room for them.

Tests make and delete a hundred thousand small files, most of them of databases. On a disk that takes longer than the
databases themselves: ext4 looks for an inode that was not deleted within the last minutes, and finds few.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")
ROOM_BYTES: Final = 6 * 2**30
"""About three times what a run has needed at once."""


def use_memory() -> None:
    """Let `tempfile`, pytest and what they start use memory. Not when TMPDIR names a place, or there is little room."""
    if "TMPDIR" in os.environ or not MEMORY.is_mount():
        return
    found = os.statvfs(MEMORY)
    may_run_programs = not found.f_flag & os.ST_NOEXEC
    if may_run_programs and found.f_bavail * found.f_frsize >= ROOM_BYTES:
        tempfile.tempdir = os.environ["TMPDIR"] = str(MEMORY)
