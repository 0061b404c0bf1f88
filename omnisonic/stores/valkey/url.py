"""What `REDIS_URL` says: the addresses, and how to connect to them.

`redis://USER:PASSWORD@HOST:PORT/DATABASE`, with `rediss://` for TLS and `unix://` for a socket. Several hosts are
separated by commas. The authorities that are trusted are those of OpenSSL (`SSL_CERT_FILE`, `SSL_CERT_DIR`), and with
`?ssl_ca_certs=FILE` also those in that file; the other options are redis-py's.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from omnisonic.errors import InvalidInput
from omnisonic.stores.valkey.server import CONNECT_TIMEOUT_S, Address


class TlsConnection(SSLConnection):
    """A connection that shares its TLS context: to load the trusted certificates takes longer than a command."""

    def __init__(self, *, shared: SSLConnection, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context = shared.ssl_context


def read_url(url: str) -> tuple[list[Address], dict[str, Any]]:
    """The addresses in `url`, and the options for connections to them. Nothing is connected.

    Raises:
        InvalidInput: `url` cannot be used (`invalid_redis_url`). The error never holds its secret.
    """
    try:
        parts = urlsplit(url)
        user, at, places = parts.netloc.rpartition("@")
        hosts = places.split(",")
        urls = [parts._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts] if len(hosts) > 1 else [url]
        parsed: list[dict[str, Any]] = [{**parse_url(each)} for each in urls]
    except ValueError:
        # Not chained: Python's own message quotes the URL, and with it the secret.
        raise _invalid("must be a redis://, rediss:// or unix:// URL") from None
    if parts.scheme == "unix":
        return [Address(parsed[0].pop("path", ""), 0)], _options(parsed[0])
    seeds = [Address(each.pop("host", "localhost"), each.pop("port", 6379)) for each in parsed]
    return list(dict.fromkeys(seeds)), _options(parsed[0])


def _options(parsed: Mapping[str, Any]) -> dict[str, Any]:
    """The options of every connection."""
    options: dict[str, Any] = {
        **parsed,
        # RESP2 is enough, and every server speaks it. Without it, and without the name of the library, a new connection
        # is used at once, which saves two round trips.
        "protocol": 2,
        "driver_info": None,
        "decode_responses": False,
        "retry": Retry(NoBackoff(), 0),
        # Deadlines are set around whole commands; one around each read and write would cost a task each.
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
    }
    try:
        connection = options.get("connection_class", Connection)(
            **{key: value for key, value in options.items() if key not in ("connection_class", "max_connections")}
        )
        if isinstance(connection, SSLConnection):
            connection.ssl_context.get()
            options |= {"connection_class": TlsConnection, "shared": connection}
    except OSError:
        raise _invalid("names a certificate or key that cannot be read") from None
    except (TypeError, ValueError, RedisError):
        raise _invalid("has an option that is not known, or a value that is none of its own") from None
    return options


def _invalid(what: str) -> InvalidInput:
    return InvalidInput(f"REDIS_URL {what}.", code="invalid_redis_url")
