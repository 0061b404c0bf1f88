"""The fork server: starts `python -m MODULE` without starting Python. Linux.

It is a process that has imported what several children need, and forks when it is asked to. So each child starts
within milliseconds, and the memory of the imported modules is shared.

| who | does |
| --- | --- |
| the supervisor | sends a byte on the readiness pipe, and with it one end of a new channel |
| the fork server | forks twice, and sends the id of the new process on the channel |
| the new process | reads on the channel what it is to be: command, environment, file descriptors |

The process between the two forks ends at once, and the supervisor is the one that adopts orphans meanwhile
(`PR_SET_CHILD_SUBREAPER`, prctl(2)). So the new process is the supervisor's own child, as if it had executed it: it
waits for it, gets its exit code and may signal it. The new process runs to its end as any Python does.

The fork server never reads what a child is to be, and it is started without secrets, so it can give none to others. It
has one thread, and no open files but its standard streams.

Overload: requests wait in the readiness pipe. Crash: running children do not notice; the supervisor restarts it, and
until then children are executed. Shutdown: it exits when the readiness pipe closes.
"""

import contextlib
import ctypes
import errno
import fcntl
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypedDict

import trio

from omnisonic.operations.child_process import Process, ProcessSpec, set_niceness, start_program, wait_until_ready
from omnisonic.operations.heartbeat import ALIVE, BEAT_S, READY, SILENT_S

NAME: Final = "fork-server"
ANSWER_S: Final = 5.0
"""A fork server that takes longer than this is stuck, and the child is executed."""
MAX_FDS: Final = 253
"""The most file descriptors in one message (SCM_MAX_FD)."""
REQUEST: Final = b"f"
PID_BYTES: Final = 20

_PR_SET_CHILD_SUBREAPER: Final = 36
_ARGUMENTS_AT: Final = 45
"""Where /proc/PID/stat has the addresses of the arguments, counted from the state."""


class Request(TypedDict):
    """What a forked process is to be: `python COMMAND...`, beginning with `-m`."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    fds: Sequence[int]
    """The numbers of the file descriptors that are sent along."""


class ForkServer:
    """The supervisor's side. Run `spec`, and start other children by `start`."""

    def __init__(self, modules: Sequence[str], environ: Mapping[str, str]) -> None:
        """`modules` are imported in `environ`, which must not hold secrets."""
        command = (sys.executable, "-m", __name__, *modules)
        self.spec = ProcessSpec(NAME, command, environ, wait_ready=self._wait_until_ready, silent_s=SILENT_S)
        self._requests: socket.socket | None = None
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def _wait_until_ready(self, readiness_pipe: trio.SocketStream) -> None:
        await wait_until_ready(readiness_pipe)
        self.close()
        self._requests = socket.socket(fileno=os.dup(readiness_pipe.socket.fileno()))

    def close(self) -> None:
        """Ask it for nothing any more."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None

    async def start(self, spec: ProcessSpec, stdin: int, output: int) -> Process:
        """Fork the child of `spec`, whose command is `python -m MODULE...`. Executes it while there is no fork server.

        Raises `OSError`.
        """
        if self._requests is not None:
            request = Request(
                name=spec.name, command=spec.command[1:], environ=dict(spec.environ), fds=[0, 1, 2, *spec.pass_fds]
            )
            with contextlib.suppress(OSError):
                return await trio.to_thread.run_sync(
                    fork,
                    self._requests,
                    request,
                    (stdin, output, output, *spec.pass_fds),
                    spec.niceness,
                    limiter=self._one_at_a_time,
                )
        return await start_program(spec, stdin, output)


class ForkedProcess:
    """A child of this process that the fork server has forked. Its methods may be called from any thread."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._reaping = threading.Lock()

    def wait(self) -> int:
        """Wait until it has exited, and return its exit code. Below zero for a signal."""
        with contextlib.suppress(ChildProcessError):  # another thread was faster
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._reaping:
            if self.returncode is None:
                self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it is known that the process has exited."""
        with self._reaping:  # so that the id is not another's already
            if self.returncode is None:
                os.kill(self.pid, sig)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fork(requests: socket.socket, request: Request, fds: Sequence[int], niceness: int = 0) -> ForkedProcess:
    """Ask the fork server at the other end of `requests` for a process. One call at a time.

    Raises `OSError` when it does not answer. Nothing has been started then.
    """
    if len(fds) > MAX_FDS:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    channel, theirs = socket.socketpair()
    with channel:
        with theirs, _adopt_orphans():
            socket.send_fds(requests, [REQUEST], [theirs.fileno()])
            theirs.close()
            channel.settimeout(ANSWER_S)
            answer = channel.recv(PID_BYTES)
        if not answer:
            raise ConnectionResetError("The fork server has exited.")
        process = ForkedProcess(int(answer))
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # raises unless it is our child
        set_niceness(process.pid, niceness)
        with contextlib.suppress(OSError):  # it was killed; whoever waits for it will see that
            socket.send_fds(channel, [REQUEST], fds)
            channel.sendall(json.dumps(request).encode())
    return process


@contextlib.contextmanager
def _adopt_orphans() -> Iterator[None]:
    """Descendants that lose their parent within the block become children of this process. Raises `OSError`."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


# --- in the fork server -----------------------------------------------------------------------------------------------


def serve(modules: Sequence[str]) -> str:
    """Import `modules`, then fork at each request. Returns in each forked process: the module that it is to run."""
    gc.disable()
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # the collector would write to all objects, and the kernel would copy their pages for each process
    requests = socket.socket(fileno=0)
    with contextlib.suppress(ConnectionError):  # the supervisor has exited
        requests.sendall(READY)
        while (channel := _receive_channel(requests)) is not None:
            if _fork_orphan(channel):
                requests.detach()
                gc.enable()
                return _become(channel)
            channel.close()
    sys.exit()


def _receive_channel(requests: socket.socket) -> socket.socket | None:
    """Wait for a request, and send heartbeats meanwhile. None when the supervisor has exited."""
    requests.settimeout(BEAT_S)
    while True:
        with contextlib.suppress(TimeoutError):  # the supervisor reads nothing, so it needs no heartbeats
            requests.sendall(ALIVE)
        with contextlib.suppress(TimeoutError):
            request, fds, _, _ = socket.recv_fds(requests, len(REQUEST), 1)
            return socket.socket(fileno=fds[0]) if request else None


def _fork_orphan(channel: socket.socket) -> bool:
    """Fork a process whose parent exits, and send its id on `channel`. Returns whether this is that process."""
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.suppress(OSError):  # there is no memory, or nobody waits for the answer any more
        if (between := os.fork()) == 0:
            _continue_in_fork(theirs)
            return True
        theirs.close()
        os.waitpid(between, 0)
        channel.sendall(ours.recv(PID_BYTES))
    return False


def _continue_in_fork(answer: socket.socket) -> None:
    """Fork once more, and return in the new process only. This one sends its id, and exits."""
    with contextlib.suppress(OSError):
        if (pid := os.fork()) == 0:
            return
        answer.sendall(str(pid).encode())
    os._exit(0)


def _become(channel: socket.socket) -> str:
    """Be what the supervisor asks for. Returns the module to run."""
    os.setpgid(0, 0)
    _, sources, _, _ = socket.recv_fds(channel, 1, MAX_FDS)
    with channel.makefile("rb") as asked:
        text = asked.read()
    if not text:
        os._exit(1)  # the supervisor has exited, or waits no more
    request: Request = json.loads(text)
    channel.detach()
    _place(sources, request["fds"])
    os.environ.clear()
    os.environ.update(request["environ"])
    _show_name(request["name"], request["command"])
    _, module, *arguments = request["command"]
    sys.argv = [module, *arguments]
    return module


def _place(sources: Sequence[int], targets: Sequence[int]) -> None:
    """Give the file descriptors `sources` the numbers `targets`, and close all others."""
    above = max(targets) + 1
    moved = [fcntl.fcntl(source, fcntl.F_DUPFD, above) for source in sources]
    for source, target in zip(moved, targets, strict=True):
        os.dup2(source, target)
    for other in {int(entry.name) for entry in Path("/proc/self/fd").iterdir()} - set(targets):
        with contextlib.suppress(OSError):  # the one by which they were listed
            os.close(other)


def _show_name(name: str, command: Sequence[str]) -> None:
    """Let top(1) show `name`, and ps(1) the command, as far as there is room in the fork server's own."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        Path("/proc/self/comm").write_text(f"omni-{name}")
        begin, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_ARGUMENTS_AT:][:2])
        words = b"\0".join(map(os.fsencode, [sys.executable, *command]))[: end - begin - 1]
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(begin)
            memory.write(words.ljust(end - begin, b"\0"))


if __name__ == "__main__":
    runpy.run_module(serve(sys.argv[1:]), run_name="__main__", alter_sys=True)
