"""A part's line to its supervisor: when it closes, the part ends."""

import signal
import socket
import subprocess
import sys

import pytest

PART = (
    "import signal; from omnisonic.cli.lifeline import end_with_supervisor, say_ready; {first}"
    "end_with_supervisor(stop_s=0.1); say_ready(); [signal.pause() for _ in range(2)]"
)


@pytest.mark.parametrize(
    ("first", "exit_code"),
    [("", -signal.SIGTERM), ("signal.signal(signal.SIGTERM, lambda *_: print()); ", 1)],
    ids=["one that obeys SIGTERM", "one that hangs"],
)
def test_a_part_ends_when_its_lifeline_closes(first: str, exit_code: int) -> None:
    """By the signal that it stops gracefully on anyway, and if that does not help, at once."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", PART.format(first=first)]
        with subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL) as part:
            ours.settimeout(20)
            assert ours.recv(16) == b"ready\n"
            assert part.poll() is None
            ours.shutdown(socket.SHUT_WR)
            assert part.wait(20) == exit_code
