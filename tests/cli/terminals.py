"""A terminal of a given width for a command, and what it draws there."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

from tests.cli.running import START_S, environ
from tests.processes import ended_with_block


def drawn(columns: int, *arguments: str, **settings: str) -> tuple[int, str]:
    """The exit code of `omnisonic` with these arguments at such a terminal, and all that it printed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "omnisonic", *arguments]
    started = subprocess.Popen(
        command, env=environ(TERM="xterm-256color") | settings, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    printed = b""
    with ended_with_block(started) as process:
        while True:
            try:
                data = os.read(ours, 65_536)
            except OSError:  # the other end is closed (Linux)
                break
            if not data:
                break
            printed += data
        os.close(ours)
        return process.wait(START_S), printed.decode().replace("\r\n", "\n")
