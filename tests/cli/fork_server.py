"""Runs `omnisonic` hundreds of times without importing it each time: forks of a fork server that has imported it.

Each command is a process of its own with its own arguments, environment, standard streams and exit code. Only the start
of the interpreter and the imports are shared: two thirds of what a short command costs. One fork server serves a
process that runs tests, and ends with it. Where there is none, the command is executed.
"""

import atexit
import contextlib
import functools
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from omnisonic.operations import fork_server
from omnisonic.operations.heartbeat import READY

STREAMS: Final = 3
HEARTBEATS_BYTES: Final = 65_536
IMPORTED: Final = (
    "aiobotocore.session",
    "asyncpg",
    "redis.asyncio",
    "trio_websocket",
    "omnisonic.cli.main",
    "omnisonic.settings.settings",
)
_one_at_a_time: Final = threading.Lock()


def run_command(
    arguments: Sequence[str], environment: Mapping[str, str], *, typed: str, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `omnisonic` to its end, as `subprocess.run` would, with `typed` on its standard input.

    Raises:
        subprocess.TimeoutExpired: It takes longer than `timeout_s`. It is killed.
    """
    if sys.platform != "linux":
        command = [sys.executable, "-m", "omnisonic", *arguments]
        return subprocess.run(
            command, env=environment, input=typed, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    with contextlib.ExitStack() as opened:
        streams = [opened.enter_context(tempfile.TemporaryFile("w+")) for _ in range(STREAMS)]
        streams[0].write(typed)
        streams[0].seek(0)
        command = ["-m", __name__, str(Path.cwd()), *arguments]
        request = fork_server.Request(name="command", command=command, environ=environment, fds=[0, 1, 2])
        with _one_at_a_time:
            process = fork_server.fork(_server(), request, [stream.fileno() for stream in streams])
        if not _ends(process.pid, timeout_s):
            process.kill()
            process.wait()
            raise subprocess.TimeoutExpired(["omnisonic", *arguments], timeout_s)
        printed = []
        for stream in streams[1:]:
            stream.seek(0)
            printed.append(stream.read())
        return subprocess.CompletedProcess(["omnisonic", *arguments], process.wait(), *printed)


def _ends(pid: int, within_s: float) -> bool:
    """Wait until a child has exited; False when it takes longer."""
    with os.fdopen(os.pidfd_open(pid), "rb") as exited:
        poll = select.poll()
        poll.register(exited, select.POLLIN)
        return bool(poll.poll(within_s * 1000))


def _server() -> socket.socket:
    """A connection to this process's server."""
    connection = _started_server()
    with contextlib.suppress(BlockingIOError):  # nobody else reads its heartbeats
        connection.recv(HEARTBEATS_BYTES, socket.MSG_DONTWAIT)
    return connection


@functools.cache
def _started_server() -> socket.socket:
    """A connection to the server, which is started now. It ends when this is closed."""
    ours, theirs = socket.socketpair()
    # What it imports is not measured: each command begins to measure for itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-m", fork_server.__name__, *IMPORTED]
    server = subprocess.Popen(command, stdin=theirs.fileno(), env=environment)
    theirs.close()
    atexit.register(_end, server, ours)
    assert ours.recv(len(READY)) == READY
    return ours


def _end(server: subprocess.Popen[bytes], connection: socket.socket) -> None:
    connection.close()
    server.wait()


# --- in the forked process --------------------------------------------------------------------------------------------


def run_in(folder: str, arguments: Sequence[str]) -> NoReturn:
    """Be the command in this folder. As the interpreter does, but without freeing all objects one by one in the end."""
    code: object = 0
    try:
        os.chdir(folder)
        sys.argv = ["omnisonic", *arguments]
        _measure_coverage()
        from omnisonic.__main__ import main

        main()
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _measure_coverage() -> None:
    if any(name.startswith("COVERAGE_PROCESS_") for name in os.environ):
        import coverage

        coverage.process_startup(force=True)


if __name__ == "__main__":
    run_in(sys.argv[1], sys.argv[2:])
