"""Processes that tests start and signal. Any of them may end by itself between two lines of a test."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

ENDED_WITHIN_S: Final = 10.0
"""From SIGKILL on, also on a busy machine."""

Process = TypeVar("Process", bound="subprocess.Popen[Any]")


def send_signal(pid: int, how: signal.Signals) -> bool:
    """Send `how` to a process; False, and nothing else, when it has ended already."""
    try:
        os.kill(pid, how)  # noqa: TID251 - this is what tests call instead
    except ProcessLookupError:
        return False
    return True


def exists(pid: int) -> bool:
    """Whether there is a process of this id, be it one that has ended and was not waited for."""
    try:
        os.kill(pid, 0)  # noqa: TID251 - this is what tests call instead
    except ProcessLookupError:
        return False
    return True


@contextmanager
def ended_with_block(process: Process) -> Iterator[Process]:
    """A process that was just started, killed when the block ends if it still runs then, and waited for.

    Without this, one that a failing test leaves behind makes the next test fail, too, or a `with` of `Popen`'s own wait
    for ever.
    """
    try:
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[Any]") -> None:
    """Kill it, unless it has ended, wait for it, and close its pipes."""
    process.kill()
    try:
        process.wait(ENDED_WITHIN_S)
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
