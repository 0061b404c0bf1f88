"""A decoder that a file has taken over: each of these tries something that a decoder has no business with.

`python -m tests.process.attacks LAYERS NAME [WORD ...]` tries one in the sandbox, or in a part of it, and prints
`refused` or `done`.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from omnisonic.process.sandbox import Limits, enter_sandbox, restrict, seal

LIMITS: Final = Limits(cpu_s=20, memory_bytes=1 << 30, descriptors=16, written_bytes=0)
PTRACE_ATTACH: Final = 16
F_SETSIG: Final = 10
RLIMIT_NOFILE: Final = 7
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def called(name: str, *arguments: int | bytes | None) -> int:
    """What a function of the C library gives. Errors: `OSError`."""
    result = int(_LIBC[name](*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def signal_by_pipe(pid: int) -> None:
    """Have the kernel send SIGKILL when a pipe can be read."""
    receiving, sending = os.pipe()
    fcntl.fcntl(receiving, fcntl.F_SETOWN, pid)
    fcntl.fcntl(receiving, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(receiving, fcntl.F_SETFL, os.O_ASYNC)
    os.write(sending, b"x")


def connect(family: int, address: tuple[bytes, int] | str) -> None:
    """By a stream."""
    with socket.socket(family) as stream:
        stream.connect(address)


def listen() -> None:
    """To anybody."""
    with socket.socket() as listener:
        listener.bind((b"127.0.0.1", 0))
        listener.listen()


def fork() -> None:
    """A process of one's own, which ends at once."""
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def start_thread() -> None:
    """Threads are what decoders may have."""
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append("ran"))
    thread.start()
    thread.join()
    assert said


DEEDS: Final[dict[str, Callable[..., object]]] = {
    "read": lambda path: Path(path).read_text(),
    "list": os.listdir,
    "write": lambda path: Path(path).write_text("was here"),
    "remove": os.unlink,
    "rename": lambda path: Path(path).rename(f"{path}.moved"),
    "truncate": lambda path: os.truncate(path, 0),
    "link": lambda path: os.link(path, f"{path}.link"),
    "make-set-user-id": lambda path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o4755)),
    "change-mode": lambda path: Path(path).chmod(0o4777),
    "mkdir": os.mkdir,
    "connect": lambda port: connect(socket.AF_INET, (b"127.0.0.1", int(port))),
    "listen": listen,
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
    "unix": lambda path: connect(socket.AF_UNIX, path),
    "abstract": lambda name: connect(socket.AF_UNIX, f"\0{name}"),
    "pair": socket.socketpair,
    "fork": fork,
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "ptrace": lambda pid: called("ptrace", PTRACE_ATTACH, int(pid), None, None),
    "kill": lambda pid: os.kill(int(pid), signal.SIGKILL),  # noqa: TID251 - a failure is what is looked for
    "kill-all": lambda: os.kill(-1, signal.SIGKILL),  # noqa: TID251
    "kill-by-pipe": lambda pid: signal_by_pipe(int(pid)),
    "set-limits": lambda pid: called("prlimit", int(pid), RLIMIT_NOFILE, struct.pack("QQ", 5, 5), None),
    "become-root": lambda: os.setuid(0),
    "new-user-namespace": lambda: called("unshare", 0x1000_0000),
    "memory": lambda: bytearray(2 << 30),
    "memory-file": lambda: os.memfd_create("x"),
    "start-thread": start_thread,
    "abort": os.abort,
}


def seal_alone() -> None:
    """seccomp, and what it needs."""
    called("prctl", 38, 1, 0, 0, 0)
    seal()


LAYERS: Final[dict[str, Callable[[], None]]] = {
    "all": lambda: enter_sandbox(LIMITS),
    "Landlock": restrict,
    "seccomp": seal_alone,
    "none": lambda: None,
}


def main(layers: str, name: str, *words: str) -> None:
    """Be confined, and do it."""
    deed = DEEDS[name]
    LAYERS[layers]()
    try:
        deed(*words)
    except (OSError, MemoryError):
        print("refused", flush=True)
    else:
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
