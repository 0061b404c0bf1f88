"""The fork server: what it forks is like what is executed, and goes on without it."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import pytest
import trio

from omnisonic.operations import fork_server as module
from omnisonic.operations.child_process import Child, ProcessSpec, read_lines
from omnisonic.operations.fork_server import ForkServer
from tests.cli.running import alive, children, command_line
from tests.processes import send_signal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is a fork server on Linux only")

DEADLINE_S: Final = 60.0
PROGRAM: Final = "tests.operations.forked_program"
ENVIRON: Final = {"PATH": "/usr/bin", "PYTHONUNBUFFERED": "1"}
FORKED: Final = "import os, sys; print('omnisonic.operations.fork_server' in sys.orig_argv, flush=True); "
"""Says whether it was forked."""


def spec(program: str, name: str = "web", **environ: str) -> ProcessSpec:
    """A child that runs a line of Python."""
    return ProcessSpec(name, (sys.executable, "-m", PROGRAM, program, "one", "two words"), ENVIRON | environ)


@asynccontextmanager
async def running_fork_server(*modules: str) -> AsyncIterator[tuple[ForkServer, Child, int]]:
    """A fork server with these modules, which is killed with the block, its process, and its process id."""
    server = ForkServer(["tests.operations", *modules], ENVIRON)
    with trio.fail_after(DEADLINE_S):
        before = set(children(os.getpid()))
        process = await Child.start(server.spec)
        try:
            await server.spec.wait_ready(process.readiness_pipe)
            (pid,) = {each for each in children(os.getpid()) if module.__name__ in command_line(each)} - before
            yield server, process, pid
        finally:
            server.close()
            process.close()


async def run(child_spec: ProcessSpec) -> tuple[list[str], str]:
    """Run a child to its end: its lines, and how it exited."""
    child = await Child.start(child_spec)
    try:
        lines = [line async for line in read_lines(child.output)]
        await child.wait()
        return lines, child.exit_message()
    finally:
        child.close()


ENDINGS: Final = (
    "print('done')",
    "import sys; sys.exit(3)",
    "import sys; sys.exit('no such room')",
    "import sys; sys.exit('')",
    "1/0",
    "raise KeyboardInterrupt",
    "import os; print('written', flush=True); os._exit(5)",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "import signal; signal.raise_signal(signal.SIGTERM)",
    "import atexit; atexit.register(print, 'in the end'); print('no line end', end='')",
    "import threading; begun = threading.Event(); "
    "threading.Thread(target=lambda: (begun.wait(), print('thread'))).start(); print('main'); begun.set()",
)


async def test_what_is_forked_ends_like_what_is_executed() -> None:
    """With the same code or signal, and the same last words."""
    async with running_fork_server() as (server, _, _):
        for program in ENDINGS:
            forked, executed = await run(replace(spec(program), start=server.start)), await run(spec(program))
            assert forked[1] == executed[1], program
            assert forked[0][-1:] == executed[0][-1:], program  # tracebacks begin elsewhere


FACTS: Final = (
    "import gc, os, resource, signal, stat, subprocess, sys",
    "print(sys.argv[1:], sys.argv[0], sys.path, __name__)",
    "print(ascii(os.environ['ROOM']), 'HOME' in os.environ, ascii(os.getenv('ROOM')))",
    "subprocess.run(['sh', '-c', 'echo $ROOM; echo ${HOME-none}'])",
    "print([signal.getsignal(number) for number in signal.valid_signals()])",
    "print(signal.pthread_sigmask(signal.SIG_BLOCK, []))",
    "print(os.listdir('/proc/self/fd'))",
    "print(os.getcwd(), os.umask(0))",
    "print(os.getpgid(0) == os.getpid(), os.getppid(), os.getsid(0))",
    "print(os.listdir('/proc/self/task') == [str(os.getpid())])",
    "print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))",
    "print([resource.getrlimit(kind) for kind in range(16)])",
    "print(gc.isenabled(), gc.get_threshold())",
    "print([(each.encoding, each.errors, each.mode) for each in (sys.stdin, sys.stdout, sys.stderr)])",
    "print(stat.S_ISSOCK(os.fstat(0).st_mode), os.write(0, b'ready'))",
)


async def test_what_is_forked_finds_what_is_executed_finds() -> None:
    """A listening socket among its descriptors under its old number, and nothing that is another's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with running_fork_server() as (server, _, _):
            child = spec("; ".join(FACTS), ROOM="jam \udcff")
            child = replace(child, pass_fds=(listener.fileno(),), niceness=2)
            forked, executed = await run(replace(child, start=server.start)), await run(child)
            assert executed[1] == "`web` exited with code 0."
            assert forked == executed


async def test_a_socket_arrives_under_its_number() -> None:
    """Whatever the fork server has under that number."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        program = FORKED + f"import socket; print(socket.socket(fileno={fd}).getsockname()[1])"
        async with running_fork_server() as (server, _, _):
            lines, _ = await run(replace(spec(program), start=server.start, pass_fds=(fd,)))
            assert lines == ["True", str(listener.getsockname()[1])]


async def test_random_numbers_are_not_shared() -> None:
    """Two children begin with states of their own."""
    async with running_fork_server("random", "uuid", "ssl") as (server, _, _):
        program = "import random, ssl, uuid; print(random.random(), uuid.uuid4(), ssl.RAND_bytes(8).hex())"
        first, second = [(await run(replace(spec(program), start=server.start)))[0][0].split() for _ in range(2)]
        assert len({*first, *second}) == 6


async def test_many_children_start_at_once() -> None:
    """Each with its own words, sockets and exit code."""
    results: dict[int, tuple[list[str], str]] = {}

    async def start(server: ForkServer, number: int) -> None:
        program = FORKED + f"print(os.environ['NUMBER']); sys.exit({number})"
        results[number] = await run(replace(spec(program, NUMBER=str(number)), start=server.start))

    async with running_fork_server() as (server, _, pid):
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(start, server, number)
        assert results == {n: (["True", str(n)], f"`web` exited with code {n}.") for n in range(20)}
        assert children(pid) == []
        assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]  # noqa: PTH208 - names are what counts


async def test_processes_are_told_apart_by_their_names() -> None:
    """By top(1) and ps(1)."""
    room = "".join(["email.", "mime.", "text"])
    async with running_fork_server(*[room] * 20) as (server, _, _):
        program = "from pathlib import Path; print(Path('/proc/self/comm').read_text())"
        child = replace(spec(program, "gateway-12"), start=server.start)
        lines, _ = await run(child)
        assert lines[0] == "omni-gateway-12"
        program = (
            "from pathlib import Path; print(Path('/proc/self/cmdline').read_bytes().rstrip(b'\\0').split(b'\\0'))"
        )
        child = replace(spec(program), start=server.start)
        lines, _ = await run(child)
        assert lines == [str([os.fsencode(word) for word in child.command])]


async def test_a_child_goes_on_when_the_fork_server_is_killed() -> None:
    """Its exit code arrives. The next one is executed."""
    program = FORKED + "os.write(0, b'ready\\n'); sys.exit(os.read(0, 1)[0])"
    async with running_fork_server() as (server, process, pid):
        child_spec = replace(spec(program), start=server.start)
        child = await Child.start(child_spec)
        await child_spec.wait_ready(child.readiness_pipe)
        assert send_signal(pid, signal.SIGKILL)
        await process.wait()
        await child.readiness_pipe.send_all(bytes([7]))
        await child.wait()
        assert child.exit_message() == "`web` exited with code 7."
        assert [line async for line in read_lines(child.output)] == ["True"]
        child.close()
        assert (await run(replace(spec(FORKED), start=server.start)))[0] == ["False"]


async def test_a_fork_server_that_is_stuck_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is executed. What the fork server forks later for it ends at once."""
    monkeypatch.setattr(module, "ANSWER_S", 0.1)
    async with running_fork_server() as (server, _, pid):
        assert send_signal(pid, signal.SIGSTOP)
        assert (await run(replace(spec(FORKED), start=server.start)))[0] == ["False"]
        assert send_signal(pid, signal.SIGCONT)
        monkeypatch.undo()
        assert (await run(replace(spec(FORKED), start=server.start)))[0] == ["True"]


async def test_too_many_sockets_for_one_message_are_no_problem() -> None:
    """The child is executed."""
    fds = [os.dup(0) for _ in range(module.MAX_FDS)]
    try:
        async with running_fork_server() as (server, _, _):
            assert (await run(replace(spec(FORKED), start=server.start, pass_fds=tuple(fds))))[0] == ["False"]
    finally:
        for fd in fds:
            os.close(fd)


async def test_a_command_that_does_not_exist_exits() -> None:
    """As Python does that is asked for a module that is not there."""
    async with running_fork_server() as (server, _, _):
        missing = replace(spec(""), command=(sys.executable, "-m", "no.such.module"), start=server.start)
        lines, how = await run(missing)
        assert "No module named" in lines[-1]
        assert how == "`web` exited with code 1."


async def test_a_forked_child_can_be_killed_twice() -> None:
    """Once it has been waited for, its id may be another's, and gets no signal."""
    async with running_fork_server() as (server, _, _):
        child = await Child.start(replace(spec("import signal; signal.pause()"), start=server.start))
        child.kill("was in the way")
        await child.wait()
        assert child.exit_message() == "`web` was in the way."
        child.terminate()
        child.close()


async def test_the_fork_server_ends_with_its_supervisor() -> None:
    """It hears that the pipe closes."""
    async with running_fork_server() as (server, process, pid):
        server.close()
        await process.readiness_pipe.aclose()
        await process.wait()
        assert process.exit_message() == "`fork-server` exited with code 0."
        assert not alive(pid)
