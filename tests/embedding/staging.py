"""A gateway as a program opens it, with members in it, and ways to wait for what they hear."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

import omnisonic
from tests.clients import DEADLINE_S


@asynccontextmanager
async def band(
    *names: str, room: str = "jam", **options: Any
) -> AsyncIterator[tuple[omnisonic.RunningGateway, list[omnisonic.ClientRoom]]]:
    """A gateway opened with `options`, and these members in one room."""
    async with omnisonic.open_gateway(**options) as gateway, AsyncExitStack() as stack:
        yield gateway, [await stack.enter_async_context(member(gateway, name, room)) for name in names]


def member(gateway: omnisonic.RunningGateway, name: str, room: str = "jam", **more: Any) -> Any:
    """To be the member `name`."""
    return omnisonic.connect(gateway.url, room=room, name=name.title(), member_id=name, **more)


async def hear(room: omnisonic.ClientRoom, *types: str) -> omnisonic.Message:
    """The next message of one of these types; others are passed over."""
    with trio.fail_after(DEADLINE_S):
        async for message in room:
            if message.type in types:
                return message
    raise AssertionError("the room has ended")


async def until(room: omnisonic.ClientRoom, type_: str) -> list[omnisonic.Message]:
    """All messages up to the next one of this type, which is left out."""
    received: list[omnisonic.Message] = []
    with trio.fail_after(DEADLINE_S):
        async for message in room:
            if message.type == type_:
                return received
            received.append(message)
    raise AssertionError("the room has ended")
