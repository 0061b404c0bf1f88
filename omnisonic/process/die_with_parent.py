"""Runs a command that dies with its parent: `python -m omnisonic.process.die_with_parent PARENT_PID COMMAND...`.

For programs that do not notice the end of their parent themselves. This program replaces itself by the command
(`exec`), so the process id, the signals and the exit code are those of the command. Linux only (`PR_SET_PDEATHSIG`,
prctl(2)); elsewhere the command just runs.

Options, before the parent's id: `--user UID:GID` and `--folder PATH` run the command as that user and in that folder.
The user need not be able to reach the folder or the command by path (Linux). `--signal NAME` is sent instead of KILL.
`--umask MASK` (octal) keeps these permissions from the files that it creates.

The kernel watches the *thread* that started this process, so start it from a thread that lives as long as the program.
Crash: when the parent is gone already, the command is not run, and the exit code is 1.
"""

import argparse
import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str]) -> None:
    """Run the command in `arguments`, to be killed when the parent dies."""
    parser = argparse.ArgumentParser(prog="omnisonic.process.die_with_parent")
    parser.add_argument("--user")
    parser.add_argument("--folder")
    parser.add_argument("--signal", default="KILL")
    parser.add_argument("--umask")
    parser.add_argument("parent_pid", type=int)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    program = os.open(given.command[0], os.O_RDONLY | os.O_CLOEXEC) if given.user else None
    if given.folder:
        os.chdir(given.folder)
    if given.umask:
        os.umask(int(given.umask, 8))
    if given.user:
        _change_user(*map(int, given.user.split(":")))
    # After the change of user, which resets the signal.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.Signals[f"SIG{given.signal}"])
        if os.getppid() != given.parent_pid:
            sys.exit(1)
    try:
        os.execv(given.command[0], given.command)
    except PermissionError:
        if program is None or os.execve not in os.supports_fd:
            raise
        os.execve(program, given.command, os.environ)


def _change_user(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


if __name__ == "__main__":
    main(sys.argv[1:])
