"""The stores of the web: they have been called when they are open, and one that hangs keeps nobody waiting."""

import asyncio
import socket
from pathlib import Path

import pytest
import redis

from omnisonic.cli.stores import FIRST_CALLS_S, open_stores
from omnisonic.settings.settings import Settings
from omnisonic.stores.storage.s3 import PING_S
from tests.valkey_server import ValkeyServer

HANG_S = 30.0


def settings_in(folder: Path) -> Settings:
    return Settings.load({"OMNISONIC_DATA_DIR": str(folder)})


def connections_received(client: redis.Redis) -> int:
    """How many there have ever been."""
    return int(client.info("stats")["total_connections_received"])


def test_the_first_request_finds_open_connections(valkey: ValkeyServer, database_url: str, tmp_path: Path) -> None:
    """To open one may take longer than a call may. Who subscribes gets another each time."""

    async def call() -> tuple[int, int]:
        async with open_stores(settings_in(tmp_path), valkey.url, database_url) as stores:
            with valkey.client as client:
                before = connections_received(client)
                await stores.presence.ping()
                await stores.bus.publish("nobody", b"")
                return before, connections_received(client)

    before, after = asyncio.run(call())
    assert after == before


def test_a_store_that_hangs_is_opened_all_the_same(valkey: ValkeyServer, database_url: str, tmp_path: Path) -> None:
    """Requests that need it are told so; the others are answered."""

    async def call() -> None:
        async with asyncio.timeout(HANG_S), open_stores(settings_in(tmp_path), valkey.url, database_url) as stores:
            await stores.ping_database()

    valkey.pause()
    try:
        asyncio.run(call())
    finally:
        valkey.resume()


@pytest.mark.timing
def test_a_storage_that_says_nothing_is_waited_for_a_moment(valkey: ValkeyServer, database_url: str) -> None:
    """Not for as long as the call to it may take."""

    async def call(endpoint: str) -> float:
        keys = {"MINIO_ACCESS_KEY": "key", "MINIO_SECRET_KEY": "secret", "MINIO_BUCKET_NAME": "stems"}
        settings = Settings.load({"STORAGE_TYPE": "minio", "MINIO_ENDPOINT": endpoint, **keys})
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        async with open_stores(settings, valkey.url, database_url):
            return loop.time() - began_s

    with socket.create_server(("127.0.0.1", 0)) as silent:
        took_s = asyncio.run(call(f"http://127.0.0.1:{silent.getsockname()[1]}"))
    assert FIRST_CALLS_S <= took_s < PING_S
