"""A pytest plugin for programs that use Omnisonic: `omnisonic_gateway`, a real gateway on a free port for each test.

It is there as soon as the package is installed, and needs pytest-trio only when it is used. Nothing of Omnisonic is
imported before. A test that asks for it is a trio test (`trio_mode = true`, or `@pytest.mark.trio`):

    async def test_the_band_hears_ada(omnisonic_gateway):
        async with omnisonic.connect(omnisonic_gateway.url, room="jam", name="Ada") as ada: ...
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from omnisonic.embedding.gateway import RunningGateway


@pytest.fixture
def omnisonic_gateway_options() -> dict[str, Any]:
    """What `omnisonic_gateway` is opened with. A fixture of this name of your own says otherwise (`admit=`, …)."""
    return {}


@pytest.fixture
async def omnisonic_gateway(omnisonic_gateway_options: dict[str, Any]) -> "AsyncIterator[RunningGateway]":
    """A gateway on a free port of loopback, closed after the test: `.url`, `.say`, `.members`, and so on."""
    from omnisonic.embedding.gateway import open_gateway

    async with open_gateway(**omnisonic_gateway_options) as gateway:
        yield gateway
