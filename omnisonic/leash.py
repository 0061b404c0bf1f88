"""Runs a command that dies with the process that started it: `python -m omnisonic.leash PARENT_PID COMMAND...`.

For programs that cannot watch for their parent's end themselves. The leash takes the command's place (`exec`), so
the process id, the signals and the exit code are the command's own. Linux only (`PR_SET_PDEATHSIG`, prctl(2));
elsewhere the command runs without a leash.

The kernel ties the leash to the *thread* that started this process, so start it from a thread that lives as long as the
program does. Crash: if the parent is gone already, the command is not run, and the exit code is 1.
"""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def main(parent_pid: int, command: list[str]) -> None:
    """Become `command`, to be killed when `parent_pid` ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
