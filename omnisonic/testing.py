"""A pytest plugin with the fixture `omnisonic_gateway`: a real gateway on a free port for each test that asks for it.

The plugin is active when the package is installed. It imports nothing until a test uses it, and needs pytest-trio only
then. A test with the fixture is a trio test (`trio_mode = true`, or `@pytest.mark.trio`).

Example:
    @pytest.mark.trio
    async def test_ada_can_join(omnisonic_gateway: omnisonic.RunningGateway) -> None:
        async with omnisonic.connect(omnisonic_gateway.url, room="jam", name="Ada") as room:
            assert room.connection_state == "connected"
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from omnisonic.embedding.running_gateway import RunningGateway


@pytest.fixture
def omnisonic_gateway_options() -> dict[str, Any]:
    """The arguments for `open_gateway`, by default none. Define a fixture with this name to pass others.

    Example:
        @pytest.fixture
        def omnisonic_gateway_options() -> dict[str, object]:
            return {"room_class": Parrot}
    """
    return {}


@pytest.fixture
async def omnisonic_gateway(omnisonic_gateway_options: dict[str, Any]) -> "AsyncIterator[RunningGateway]":
    """A gateway on a free port of 127.0.0.1, closed after the test.

    Yields:
        A `RunningGateway`, opened with `omnisonic_gateway_options`.
    """
    from omnisonic.embedding.gateway import open_gateway

    async with open_gateway(**omnisonic_gateway_options) as gateway:
        yield gateway
