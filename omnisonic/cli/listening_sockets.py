"""Listening sockets, opened by the command line before anything starts, so that a port in use gives a clear error.

New connections wait in the socket's backlog while any process has it open. So a part that is restarted with the same
socket loses none of them.
"""

import errno
import socket
from typing import Final

from omnisonic.errors import OmnisonicError
from omnisonic.settings.origins import WILDCARDS

BACKLOG: Final = 4096
"""Connections that may wait while a part is restarted or thousands reconnect. The kernel may lower it."""


class CannotOpenSocket(OmnisonicError):
    """The address cannot be listened on."""

    code = "cannot_listen"


def open_listener(host: str, port: int, *, setting: str) -> socket.socket:
    """Listen on `host` and `port` (0 picks a free one); `setting` is `WEB` or `GATEWAY`, as in `WEB_PORT`.

    Of a name with several addresses it takes the first IPv4 one. Raises `CannotOpenSocket`, which says what to do.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as problem:
        raise CannotOpenSocket(f"{setting}_HOST is {host!r}, which is no address: {problem.strerror}.") from problem
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host not in WILDCARDS)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as problem:
        listener.close()
        raise CannotOpenSocket(_sentence(problem, host, port, setting)) from problem
    return listener


def inherited_listener(fd: int) -> socket.socket:
    """The listening socket that was inherited as file descriptor `fd`. Raises `CannotOpenSocket`."""
    try:
        listener = socket.socket(fileno=fd)
        listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as problem:
        raise CannotOpenSocket(f"--fd {fd} is no open socket: {problem.strerror}.") from problem
    if not listening:
        listener.close()
        raise CannotOpenSocket(f"--fd {fd} is a socket that does not listen.")
    return listener


def port_of(listener: socket.socket) -> int:
    """The port that the socket listens on."""
    return int(listener.getsockname()[1])


def url_of(listener: socket.socket, scheme: str) -> str:
    """The URL of the socket for programs on this machine."""
    host = str(listener.getsockname()[0])
    if host in WILDCARDS:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port_of(listener)}"


def _sentence(problem: OSError, host: str, port: int, setting: str) -> str:
    match problem.errno:
        case errno.EADDRINUSE:
            return f"Port {port} is in use on {host}; set {setting}_PORT, or stop the other program."
        case errno.EACCES:
            return f"Port {port} is not allowed for this user; set {setting}_PORT to 1024 or more."
        case errno.EADDRNOTAVAIL:
            return f"{setting}_HOST is {host!r}, which is no address of this machine."
        case _:
            return f"Cannot listen on {host}, port {port}: {problem.strerror}."
