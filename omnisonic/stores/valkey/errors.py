"""What goes wrong with a Valkey or Redis server, as a sentence with its address and without any secret."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MaxConnectionsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from omnisonic.errors import Unavailable

FAILURES: Final = (RedisError, OSError)
"""All that redis-py raises when the server is away or refuses. `TimeoutError` is an `OSError`."""

CLOSED: Final = "cannot be reached: it closed the connection, because it ended, or because it wants TLS (rediss://)"

_REASONS: Final[Mapping[type[Exception], str]] = {
    AuthenticationError: "refuses the user or the password",
    BusyLoadingError: "is still loading its data",
    ReadOnlyError: "is a read-only replica",
    OutOfMemoryError: "is out of memory",
    NoPermissionError: "does not permit this user the command",
    ClusterDownError: "belongs to a cluster that is down: some keys have no primary, or most primaries are away",
    AskError: "belongs to a cluster: permit the user in REDIS_URL the command CLUSTER SLOTS",
    TryAgainError: "is moving these keys to another server",
    ClusterCrossSlotError: "has become part of a cluster",
    MaxConnectionsError: "has too many calls waiting",
    RedisTimeoutError: "did not answer in time",
    TimeoutError: "did not answer in time",
}
"""The text for each failure; the first class that fits. The server's own text is left out: it may contain secrets."""

_ANSWERS: Final[Mapping[str, str]] = {
    "MISCONF": "refuses writes, because it cannot save its data to its disk",
    "NOREPLICAS": "refuses writes, because it has fewer replicas than it must have",
    "max number of clients": "has as many clients as it allows",
    "SELECT is not allowed": "is in cluster mode and has only database 0: remove the number from the URL",
    "DB index is out of range": "has no database of the number in the URL",
    "Connection closed by server": CLOSED,
}
"""The text for answers that have no class of their own."""

_CAUSES: Final[Mapping[type[Exception], str]] = {
    FileNotFoundError: "cannot be reached: its socket is not there",
    socket.gaierror: "has a name that cannot be resolved",
    ConnectionResetError: CLOSED,
    ConnectionRefusedError: "cannot be reached: nothing listens there",
    PermissionError: "cannot be reached: this process may not open its socket",
}
"""The text for failures of the network, by what redis-py hides behind its own error."""


def unavailable(failure: Exception, name: str) -> Unavailable:
    """The error to raise for `failure`, one of `FAILURES`, of the server at `name`."""
    return Unavailable(f"The Redis server at {name} {_reason(failure)}.")


def _reason(failure: Exception) -> str:
    for each in _chain(failure):
        if isinstance(each, ssl.SSLError):
            return _tls_reason(each)
    for kind, text in _REASONS.items():
        if isinstance(failure, kind):
            return text
    for part, text in _ANSWERS.items():
        if part in str(failure):
            return text
    if isinstance(failure, ResponseError):
        return "answered with an error"
    causes = [text for each in _chain(failure) for kind, text in _CAUSES.items() if isinstance(each, kind)]
    return causes[0] if causes else "cannot be reached"


def _tls_reason(failure: ssl.SSLError) -> str:
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"has a certificate that is not trusted ({failure.verify_message.rstrip('.')})"
    reason = (failure.reason or "").replace("_", " ").lower()
    if reason in ("wrong version number", "record layer failure", "unexpected eof while reading"):
        return "does not speak TLS: use redis:// in the URL"
    if "certificate required" in reason:
        return "wants a certificate of this client: name ssl_certfile and ssl_keyfile in the URL"
    return f"cannot be reached over TLS ({reason or 'no reason is told'})"


def _chain(failure: BaseException) -> Iterator[BaseException]:
    """`failure` and what led to it; redis-py raises its own errors while it handles those of the network."""
    seen: set[int] = set()
    current: BaseException | None = failure
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
