"""What tests rely on when they start and signal processes: none that has ended or hangs breaks another test."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.cli.running import alive, eventually
from tests.postgres_server import PostgresServer
from tests.processes import ended_with_block, exists, send_signal

ENDS_IN_A_WHILE: Final = (sys.executable, "-c", "import time; time.sleep(60)")


class _Changing(PostgresServer):
    """A Postgres of whose processes one always ends just after it was seen."""

    def processes(self) -> list[int]:
        with ended_with_block(subprocess.Popen((sys.executable, "-c", ""))) as process:
            process.wait()
        return [process.pid, *super().processes()]


def test_a_signal_to_a_process_that_has_ended_is_no_error() -> None:
    """It says so."""
    with ended_with_block(subprocess.Popen((sys.executable, "-c", ""))) as process:
        process.wait()
    assert not send_signal(process.pid, signal.SIGCONT)
    assert not exists(process.pid)


def test_a_signal_reaches_a_process_that_runs() -> None:
    """And it says that, too."""
    with ended_with_block(subprocess.Popen(ENDS_IN_A_WHILE)) as process:
        assert exists(process.pid)
        assert send_signal(process.pid, signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM


def test_a_process_does_not_outlive_the_test_that_failed() -> None:
    """It has ended, was waited for, and its pipes are closed, so that nothing is left to complain about."""
    process = subprocess.Popen(ENDS_IN_A_WHILE, stdin=subprocess.PIPE)

    def fail() -> None:
        with ended_with_block(process):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert process.returncode == -signal.SIGKILL
    assert process.stdin is not None
    assert process.stdin.closed


def test_a_postgres_whose_processes_come_and_go_is_ended_all_the_same(tmp_path: Path) -> None:
    """Some of those that it had may be gone when they are told to go on."""
    server = _Changing(tmp_path)
    server.start()
    try:
        server.pause()
        server.resume()
        assert server.execute("SELECT 7")[0][0] == 7
        serving = server.processes()
    finally:
        server.abort()
    eventually(lambda: not any(map(alive, serving)), what="all of it has ended")
