"""A gateway by itself on a Valkey from outside: what it leaves there when it is killed, and who cleans that up."""

import resource
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager

import pytest
import trio

from tests.cli.running import Command, running
from tests.rooms import eventually
from tests.system.studio import SETTINGS, TTL_S
from tests.system.visitors import visitors_of
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.timing

PRESENCE = "omnisonic:presence:"
ROSTER = f"{PRESENCE}roster:"
FEW_FILES = 128
ROOMS = ("jam", "rehearsal")
CLEANED_WITHIN_S = 2.0


async def test_a_killed_gateway_is_on_no_roster_once_its_ttl_is_over(valkey: ValkeyServer) -> None:
    """Killed and not started again, everything that it wrote has less than a TTL to live, and then is gone."""
    with _running_gateway(valkey) as command:
        async with _one_in_each_room(command, valkey):
            command.kill()
        lives_ms = _presence(valkey)
        assert len(lives_ms) > len(ROOMS)
        assert all(0 < life_ms <= TTL_S * 1000 for life_ms in lives_ms.values()), lives_ms
        await eventually(lambda: not _presence(valkey), TTL_S + 1)


async def test_a_gateway_that_is_started_again_cleans_up_after_itself(valkey: ValkeyServer) -> None:
    """What the killed one wrote is gone as soon as the next one runs: here it would never have ended by itself."""
    with _running_gateway(valkey) as command:
        port = visitors_of(command).gateway_port
        async with _one_in_each_room(command, valkey):
            command.kill()
        with valkey.client as client:
            for key in client.scan_iter(f"{PRESENCE}*"):
                client.persist(key)
        assert len(_rosters(valkey)) == len(ROOMS)
    with _running_gateway(valkey, GATEWAY_PORT=str(port)) as command:
        assert visitors_of(command).gateway_port == port
        await eventually(lambda: not _rosters(valkey), CLEANED_WITHIN_S)


async def test_a_gateway_that_is_stopped_leaves_nothing_behind(valkey: ValkeyServer) -> None:
    """SIGTERM: its rosters are taken back and it ends with exit code 0, even when nobody answers its goodbye."""
    with _running_gateway(valkey) as command:
        async with _one_in_each_room(command, valkey):
            assert await trio.to_thread.run_sync(command.stop, signal.SIGTERM) == 0
        assert _rosters(valkey) == []


async def test_members_are_not_limited_by_the_usual_number_of_open_files() -> None:
    """Most systems start programs with a soft limit that is far below what a gateway may hold: it is raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_FILES, hard))
    try:
        with running("gateway") as command:
            visitors = visitors_of(command)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            async with AsyncExitStack() as stack:
                for number in range(FEW_FILES):
                    await stack.enter_async_context(visitors.bare_member(f"m{number}", f"files{number // 8}"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _running_gateway(valkey: ValkeyServer, **settings: str) -> AbstractContextManager[Command]:
    return running("gateway", REDIS_URL=valkey.url, **(SETTINGS | settings))


@asynccontextmanager
async def _one_in_each_room(command: Command, valkey: ValkeyServer) -> AsyncIterator[None]:
    """A member in each of `ROOMS`, whose rosters are mirrored."""
    visitors = visitors_of(command)
    async with AsyncExitStack() as stack:
        for room in ROOMS:
            bare = await stack.enter_async_context(visitors.bare_member("ada", room))
            assert bare.welcome["payload"]["ttl"] == TTL_S
        await eventually(lambda: len(_rosters(valkey)) == len(ROOMS))
        yield


def _presence(valkey: ValkeyServer) -> dict[str, int]:
    """Everything of presence in the Valkey, with the milliseconds it has left."""
    return {key: life_ms for key, life_ms in valkey.lives_ms().items() if key.startswith(PRESENCE)}


def _rosters(valkey: ValkeyServer) -> list[str]:
    return [key for key in valkey.lives_ms() if key.startswith(ROSTER)]
