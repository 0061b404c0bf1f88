"""Runs `omnisonic` hundreds of times without importing it each time: a server that has it imported, and forks.

Each command is a process of its own with its own arguments, environment, standard streams and exit code. Only the start
of the interpreter and the imports are shared: two thirds of what a short command costs. One server serves a process
that runs tests, and ends with it.
"""

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, TypedDict

from tests.processes import send_signal

STREAMS: Final = 3


class Request(TypedDict):
    """A command to run. Its standard streams are sent along."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str


def run_command(
    arguments: Sequence[str], environment: Mapping[str, str], *, typed: str, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `omnisonic` to its end, as `subprocess.run` would, with `typed` on its standard input.

    Raises:
        subprocess.TimeoutExpired: It takes longer than `timeout_s`. It is killed.
    """
    request = Request(arguments=arguments, environment=environment, folder=str(Path.cwd()))
    with contextlib.ExitStack() as opened:
        streams = [opened.enter_context(tempfile.TemporaryFile("w+")) for _ in range(STREAMS)]
        streams[0].write(typed)
        streams[0].seek(0)
        channel, theirs = socket.socketpair()
        opened.enter_context(channel)
        answers = opened.enter_context(channel.makefile("rw"))
        socket.send_fds(_server(), [b"."], [theirs.fileno(), *(stream.fileno() for stream in streams)])
        theirs.close()
        answers.write(json.dumps(request) + "\n")
        answers.flush()
        pid = int(answers.readline())
        channel.settimeout(timeout_s)
        try:
            status = int(answers.readline())
        except TimeoutError:
            send_signal(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(["omnisonic", *arguments], timeout_s) from None
        printed = []
        for stream in streams[1:]:
            stream.seek(0)
            printed.append(stream.read())
    return subprocess.CompletedProcess(["omnisonic", *arguments], status, *printed)


@functools.cache
def _server() -> socket.socket:
    """A connection to this process's server, which is started now. It ends when this is closed."""
    ours, theirs = socket.socketpair()
    # What it imports is not measured: each command begins to measure for itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-m", __name__, str(theirs.fileno())]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, pass_fds=[theirs.fileno()])
    theirs.close()
    atexit.register(_end, server, ours)
    return ours


def _end(server: subprocess.Popen[bytes], connection: socket.socket) -> None:
    connection.close()
    server.wait()


# --- in the server ----------------------------------------------------------------------------------------------------


def serve(connection: socket.socket) -> None:
    """Fork for each command, until the connection ends."""
    _import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    while True:
        ask, descriptors, _, _ = socket.recv_fds(connection, 1, 1 + STREAMS)
        if not ask:
            return
        if os.fork() == 0:
            connection.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _run_and_report(socket.socket(fileno=descriptors[0]), descriptors[1:])
        for descriptor in descriptors:
            os.close(descriptor)


def _import_all() -> None:
    import aiobotocore.session  # noqa: F401
    import asyncpg  # noqa: F401
    import redis.asyncio  # noqa: F401
    import trio_websocket  # noqa: F401

    import omnisonic.cli.main
    import omnisonic.settings.settings  # noqa: F401


def _run_and_report(channel: socket.socket, streams: Sequence[int]) -> NoReturn:
    """Run the command in a child, and tell its pid, and how it has ended."""
    with channel.makefile("r") as asked:
        request: Request = json.loads(asked.readline())
    pid = os.fork()
    if pid == 0:
        channel.close()
        _become(request, streams)
    channel.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):  # nobody waits any more
        channel.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(request: Request, streams: Sequence[int]) -> NoReturn:
    """Be the command, as if this process had just been started with it."""
    code: object = 0
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv = ["omnisonic", *request["arguments"]]
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
    serve(socket.socket(fileno=int(sys.argv[1])))
