"""The stores of the web: they have been called when they are open, and one that hangs keeps nobody waiting."""

import asyncio
from pathlib import Path

import redis

from omnisonic.cli.stores import open_stores
from omnisonic.settings.settings import Settings
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
