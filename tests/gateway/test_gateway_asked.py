"""How the web and the doctor ask a gateway how it is: where they find it, and what they make of its answers."""

import socket
from collections.abc import AsyncIterator
from typing import Final

import pytest
import trio

from omnisonic.errors import Unavailable
from omnisonic.http.api.gateway import CHECK_TIMEOUT_S, find_gateway, host_header, open_probe_client
from omnisonic.settings.settings import Settings
from omnisonic.stores.presence.memory import MemoryPresence
from tests.postgres_server import blocking
from tests.rooms import Stage, open_stage

pytestmark = pytest.mark.timing

BACK_WITHIN_S: Final = 2.5


class Broken(MemoryPresence):
    """A store that is not there."""

    async def ping(self) -> None:
        raise Unavailable("It is gone.")


async def asked(**environ: str) -> str:
    """What the gateway of these settings says of itself: `ok`, `unknown`, or what is wrong."""

    async def ask() -> str:
        async with open_probe_client() as client:
            gateway = find_gateway(Settings.load(environ), client)
            if gateway is None:
                return "unknown"
            try:
                await gateway.check()
            except Unavailable as problem:
                return problem.message
            return "ok"

    with trio.fail_after(BACK_WITHIN_S):
        return await trio.to_thread.run_sync(blocking, ask())


async def test_it_is_found_by_its_port(stage: Stage) -> None:
    """On this machine, unless its host is said, too."""
    port = str(stage.port)
    assert await asked(GATEWAY_PORT=port) == "ok"
    assert await asked(GATEWAY_PORT=port, GATEWAY_HOST="0.0.0.0") == "ok"


async def test_it_is_found_by_its_public_address(stage: Stage) -> None:
    """Through a proxy that knows this address only: the loop answers that it wants a WebSocket."""
    assert await asked(GATEWAY_PUBLIC_URL=f"ws://127.0.0.1:{stage.port}") == "ok"
    assert await asked(GATEWAY_PUBLIC_URL="ws://127.0.0.1:9", GATEWAY_PORT=str(stage.port)) == "ok"


async def test_without_an_address_nobody_is_asked(stage: Stage) -> None:
    """A default is no address: the web may be alone on its machine."""
    assert await asked() == "unknown"
    assert await asked(GATEWAY_PORT="0") == "unknown"


async def test_a_gateway_that_answers_to_other_names_is_asked_by_one_of_them() -> None:
    """With `ALLOWED_HOSTS` an address is no name that it answers to."""
    hosts = Settings.load({"ALLOWED_HOSTS": "studio.example,www.studio.example"}).host_policy("127.0.0.1")
    async with open_stage(hosts=hosts) as stage:
        port = str(stage.port)
        assert await asked(GATEWAY_PORT=port, ALLOWED_HOSTS="www.studio.example,studio.example") == "ok"
        assert await asked(GATEWAY_PORT=port) == "That host name is not answered here."


async def test_a_gateway_that_answers_to_an_address_of_ipv6_is_asked_by_it() -> None:
    """In brackets, as in a URL."""
    assert host_header(Settings.load({"ALLOWED_HOSTS": "::1"})) == {"Host": "[::1]"}
    hosts = Settings.load({"ALLOWED_HOSTS": "::1"}).host_policy("127.0.0.1")
    async with open_stage(hosts=hosts) as stage:
        assert await asked(GATEWAY_PORT=str(stage.port), ALLOWED_HOSTS="[::1]") == "ok"


async def test_a_gateway_that_is_not_ready_says_what_is_wrong() -> None:
    """In its own words."""
    async with open_stage(presence=Broken()) as stage:
        assert await asked(GATEWAY_PORT=str(stage.port)) == "Not ready: presence cannot be reached."


@pytest.fixture
async def mute() -> AsyncIterator[int]:
    """The port of a gateway that stands still: the kernel takes connections, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


async def test_a_gateway_that_stands_still_is_given_up(mute: int) -> None:
    """In time, by either way."""
    assert await asked(GATEWAY_PORT=str(mute)) == f"No answer within {CHECK_TIMEOUT_S:g} s."
    assert await asked(GATEWAY_PUBLIC_URL=f"ws://127.0.0.1:{mute}") == f"No answer within {CHECK_TIMEOUT_S:g} s."


async def test_where_nobody_listens_nothing_answers() -> None:
    """As when it was killed."""
    assert await asked(GATEWAY_PORT="9") == "Nothing answers."
