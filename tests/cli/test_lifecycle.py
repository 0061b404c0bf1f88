"""The readiness pipe of a part: heartbeats on it, and the end of the part when it closes."""

import select
import signal
import socket
import subprocess
import sys

import pytest

from omnisonic.operations.heartbeat import ALIVE, BEAT_S, READY
from tests.processes import ended_with_block

BEATING = (
    "import asyncio, os, threading; from omnisonic.cli.lifecycle import start_heartbeats; "
    "held = threading.Event(); loop = asyncio.new_event_loop(); loop.call_soon(start_heartbeats); "
    "loop.call_later(0.2, held.wait); loop.run_forever()"
)
PART = (
    "import signal; from omnisonic.cli.lifecycle import ReadinessPipe, stop_with_supervisor; {first}"
    "stop_with_supervisor(stop_s=0.1); ReadinessPipe().send_ready(); [signal.pause() for _ in range(2)]"
)


@pytest.mark.parametrize(
    ("first", "exit_code"),
    [("", -signal.SIGTERM), ("signal.signal(signal.SIGTERM, lambda *_: print()); ", 1)],
    ids=["one that obeys SIGTERM", "one that hangs"],
)
def test_a_part_stops_when_its_readiness_pipe_closes(first: str, exit_code: int) -> None:
    """By the signal that it stops gracefully on anyway, and if that does not help, at once."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", PART.format(first=first)]
        started = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
        with ended_with_block(started) as part:
            ours.settimeout(20)
            assert ours.recv(16) == b"ready\n"
            assert part.poll() is None
            ours.shutdown(socket.SHUT_WR)
            assert part.wait(20) == exit_code


def test_a_part_stops_when_its_supervisor_dies_without_having_read_all_heartbeats() -> None:
    """The pipe is reset then, and does not end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        started = subprocess.Popen([sys.executable, "-c", PART.format(first="")], stdin=theirs.fileno())
        with ended_with_block(started) as part:
            assert select.select([ours], [], [], 20) == ([ours], [], [])
            ours.close()
            assert part.wait(20) == -signal.SIGTERM


def test_a_stuck_loop_sends_no_heartbeats() -> None:
    """It sends `ready` and `alive`, and nothing more once something blocks it."""
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen([sys.executable, "-c", BEATING], stdin=theirs.fileno()) as part:
        try:
            ours.settimeout(20)
            said = b""
            while said != READY + ALIVE:
                said += ours.recv(16)
                assert (READY + ALIVE).startswith(said)
            ours.settimeout(2 * BEAT_S)
            with pytest.raises(TimeoutError):
                ours.recv(16)
        finally:
            part.kill()


def test_a_supervisor_that_does_not_read_makes_no_loop_wait() -> None:
    """Whatever the line takes no more is not said."""
    program = (
        "from omnisonic.cli.lifecycle import ReadinessPipe; line = ReadinessPipe(); "
        "[line.send_alive() for _ in range(100_000)]; print('done')"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", program]
        shown = subprocess.run(command, stdin=theirs.fileno(), capture_output=True, timeout=60, check=True)
    assert shown.stdout == b"done\n"
