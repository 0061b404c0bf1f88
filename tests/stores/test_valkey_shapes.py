"""The client at a primary with a replica, at a server with TLS, and at one that permits little."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import InvalidInput, Unavailable
from omnisonic.models import PresenceMember
from omnisonic.stores.bus import Bus, Delivery, Gap, round_trip
from omnisonic.stores.valkey import CONNECT_TIMEOUT_S, ValkeyClient
from tests.certificates import make_certificate
from tests.rooms import becomes
from tests.stores.conftest import DEADLINE_S, PATIENT_S, bus_at, presence_at
from tests.stores.test_valkey_cluster import client_at
from tests.stores.test_valkey_faults import once_available
from tests.tcp_proxy import TcpProxy, open_tcp_proxy
from tests.valkey_server import ValkeyServer, running_valkey

PASSWORD = "open/sesame@home"
QUOTED = "open%2Fsesame%40home"


async def test_a_new_connection_is_used_at_once(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """It neither asks for another protocol nor says the name of a library first: each is a round trip."""
    with trio.fail_after(DEADLINE_S), valkey.client as beside:
        beside.ping()
        beside.config_resetstat()
        async with client_at(valkey.url, thread) as client:
            await client.command("PING")
        said = set(beside.info("commandstats"))
        assert "cmdstat_ping" in said
        assert not said & {"cmdstat_hello", "cmdstat_client|setinfo", "cmdstat_select"}


async def test_the_primary_among_those_in_the_url_is_used(
    valkey: ValkeyServer, thread: AsyncioThread, tmp_path: Path
) -> None:
    """The replica is named first and is not used; when the primary dies, it is promoted, and then it is."""
    options = ("--replicaof", "127.0.0.1", str(valkey.port), "--dir", str(tmp_path))
    with trio.fail_after(DEADLINE_S), running_valkey(options=options) as replica:
        url = f"redis://127.0.0.1:{replica.port},127.0.0.1:{valkey.port}/0"
        async with client_at(url, thread) as client, bus_at(url, thread) as bus, bus.subscribe("news") as events:
            assert not await client.is_cluster()
            await client.command("SET", "key", "1", "PX", 60_000)
            valkey.kill()
            with pytest.raises(Unavailable):
                await client.command("SET", "key", "2", "PX", 60_000)
            with replica.client as beside:
                beside.replicaof("NO", "ONE")
            await once_available(partial(client.command, "SET", "key", "3", "PX", "60000"))
            assert await anext(events) == Gap()
            await once_available(partial(bus.publish, "news", b"after"))
            assert await anext(events) == Delivery("news", b"after")


async def test_a_replica_is_not_taken_for_a_primary_that_hangs(
    valkey: ValkeyServer, thread: AsyncioThread, tmp_path: Path
) -> None:
    """What is published there would reach nobody else. When the primary goes on, it is used again."""
    options = ("--replicaof", "127.0.0.1", str(valkey.port), "--dir", str(tmp_path))
    with trio.fail_after(DEADLINE_S), running_valkey(options=options) as replica:
        url = f"redis://127.0.0.1:{valkey.port},127.0.0.1:{replica.port}/0"
        async with bus_at(url, thread) as bus, bus_at(valkey.url, thread) as other:
            await bus.publish("news", b"before")
            valkey.pause()
            try:
                until_s = trio.current_time() + 2 * CONNECT_TIMEOUT_S
                while trio.current_time() < until_s:
                    with pytest.raises(Unavailable):
                        await bus.publish("news", b"lost")
            finally:
                valkey.resume()
            async with other.subscribe("news") as events:
                await once_available(partial(bus.publish, "news", b"after"))
                assert await anext(events) == Delivery("news", b"after")


async def published(bus: Bus, channel: str, data: bytes) -> int:
    """How many have heard it; 0 when the server refused it."""
    with suppress(Unavailable):
        return await bus.publish(channel, data)
    return 0


@contextmanager
def demoted(primary: ValkeyServer, spare: ValkeyServer) -> Iterator[None]:
    """Until the block ends `spare` is the primary, and `primary` its replica. Connections stay as they are."""
    with primary.client as beside, spare.client as beside_spare:
        beside_spare.replicaof("NO", "ONE")
        beside.replicaof("127.0.0.1", str(spare.port))
        try:
            yield
        finally:
            beside.replicaof("NO", "ONE")


async def test_a_bus_leaves_a_primary_that_became_a_replica(
    valkey: ValkeyServer, thread: AsyncioThread, tmp_path: Path
) -> None:
    """Though its connections stay open. What is published there would reach nobody who is at the new primary."""
    options = ("--replicaof", "127.0.0.1", str(valkey.port), "--dir", str(tmp_path))
    with trio.fail_after(DEADLINE_S), running_valkey(options=options) as spare:
        url = f"redis://127.0.0.1:{valkey.port},127.0.0.1:{spare.port}/0"
        async with bus_at(url, thread) as speaker, bus_at(url, thread) as bus, bus.subscribe("news") as events:
            await speaker.publish("news", b"before")
            assert await anext(events) == Delivery("news", b"before")
            with demoted(valkey, spare):
                assert await anext(events) == Gap()
                async with bus_at(spare.url, thread) as newcomer, newcomer.subscribe("answers") as answers:
                    await newcomer.publish("news", b"from the new primary")
                    assert await anext(events) == Delivery("news", b"from the new primary")
                    await becomes(partial(published, speaker, "answers", b"heard"), 1)
                    assert await anext(answers) == Delivery("answers", b"heard")


async def test_a_primary_that_became_a_replica_is_connected_to_anew(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """Its name may lead to another server by now: the open connections are not used any more."""
    with trio.fail_after(DEADLINE_S), valkey.client as beside:
        async with (
            open_tcp_proxy(valkey.port) as proxy,
            client_at(f"redis://127.0.0.1:{proxy.port}", thread) as client,
        ):
            await client.command("SET", "key", "1", "PX", 60_000)
            before = proxy.connections
            beside.replicaof("127.0.0.1", "1")
            try:
                with pytest.raises(Unavailable, match="read-only replica"):
                    await client.command("SET", "key", "2", "PX", 60_000)
            finally:
                beside.replicaof("NO", "ONE")
            await client.command("SET", "key", "3", "PX", 60_000)
            assert proxy.connections > before


async def test_a_user_who_may_not_ask_for_the_cluster_has_a_server(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Commands that this program needs in a cluster only are not needed elsewhere."""
    with trio.fail_after(DEADLINE_S), valkey.client as beside:
        beside.execute_command("ACL", "SETUSER", "ada", "on", ">secret", "~*", "&*", "+@all", "-cluster", "-role")
        try:
            async with client_at(f"redis://ada:secret@127.0.0.1:{valkey.port}", thread) as client:
                assert not await client.is_cluster()
                assert await client.command("PING") == b"PONG"
        finally:
            beside.execute_command("ACL", "DELUSER", "ada")


@asynccontextmanager
async def tls_before(server: ValkeyServer, folder: Path) -> AsyncIterator[tuple[TcpProxy, Path]]:
    """TLS in front of `server`, as `localhost`, and the file of the authority that has signed."""
    certificate, key = make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with open_tcp_proxy(server.port, tls=context) as proxy:
        yield proxy, certificate


async def test_everything_goes_over_tls_with_a_password(
    tmp_path: Path, thread: AsyncioThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authority is named in the URL, or by OpenSSL's own variable."""
    with trio.fail_after(DEADLINE_S), running_valkey(password=PASSWORD) as server:
        async with tls_before(server, tmp_path) as (proxy, authority):
            url = f"rediss://:{QUOTED}@localhost:{proxy.port}/0"
            async with presence_at(f"{url}?ssl_ca_certs={authority}", thread, timeout_s=PATIENT_S) as store:
                await store.put_lease("jam", PresenceMember("ada", "Ada"), ttl_s=60)
                assert await store.head_counts(["jam"]) == [1]
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
            async with bus_at(url, thread) as bus:
                await round_trip(bus)


async def test_what_is_wrong_with_tls_is_named(tmp_path: Path, thread: AsyncioThread) -> None:
    """Not trusted, of another name, no TLS where it is wanted, a wrong password."""
    with trio.fail_after(DEADLINE_S), running_valkey(password=PASSWORD) as server:
        async with tls_before(server, tmp_path) as (proxy, authority):
            place = f":{QUOTED}@localhost:{proxy.port}/0"
            wrong = {
                f"rediss://{place}": r"has a certificate that is not trusted \(self.signed certificate\)",
                f"rediss://{place.replace('localhost', '127.0.0.1')}?ssl_ca_certs={authority}": (
                    r"has a certificate that is not trusted \(IP address mismatch, .*[^.]\)"
                ),
                f"rediss://:x{place}?ssl_ca_certs={authority}": "refuses the user or the password",
                f"redis://{place}": r"cannot be reached: it closed the connection, .* because it wants TLS \(rediss://\)",
            }
            for url, sentence in wrong.items():
                async with client_at(url, thread) as client:
                    with pytest.raises(Unavailable, match=sentence) as refused:
                        await client.command("PING")
                error: BaseException | None = refused.value
                while error is not None:
                    assert "sesame" not in f"{error!r} {error}"
                    error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("ssl_ca_certs=/nowhere/ca.pem", "names a certificate or key that cannot be read"),
        ("ssl_certfile=/dev/null", "names a certificate or key that cannot be read"),
        ("ssl_cert_reqs=maybe", "has an option that is not known"),
        ("colour=red", "has an option that is not known"),
        ("socket_timeout=soon", "must be a redis://"),
    ],
)
def test_options_that_cannot_be_used_are_refused_at_once(options: str, sentence: str) -> None:
    """At construction, with a code and without the secret."""
    with pytest.raises(InvalidInput, match=f"^REDIS_URL {sentence}") as refused:
        ValkeyClient(f"rediss://:{QUOTED}@localhost?{options}")
    assert refused.value.code == "invalid_redis_url"
    assert "sesame" not in repr(refused.value)
