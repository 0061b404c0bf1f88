"""A membership of one room, from the `welcome` to the close, on any backend (SPEC 8)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from omnisonic.client.backend import Backend
from omnisonic.client.connection import JoinRequest
from omnisonic.client.dispatch import Dispatch
from omnisonic.client.inbox import INBOX_BYTES, Inbox
from omnisonic.client.pending_requests import PendingRequests
from omnisonic.client.reconnect_policy import ReconnectPolicy
from omnisonic.client.reconnector import GIVE_UP_S, Reconnector
from omnisonic.client.rooms import ClientRoom


@asynccontextmanager
async def open_membership(
    backend: Backend,
    join_request: JoinRequest,
    policy: ReconnectPolicy,
    *,
    give_up_after_s: float = GIVE_UP_S,
    inbox_bytes: int = INBOX_BYTES,
) -> AsyncIterator[ClientRoom]:
    """As `omnisonic.connect`, from its parts."""
    dispatch = Dispatch(Inbox(backend, inbox_bytes), PendingRequests(backend.new_event))
    reconnector = Reconnector(backend, join_request, dispatch, policy, give_up_after_s=give_up_after_s)
    await reconnector.join()
    async with backend.open_background() as background:
        background.start_soon(reconnector.run)
        client = ClientRoom(backend, reconnector, dispatch, join_request)
        try:
            yield client
        finally:
            await client.leave()
