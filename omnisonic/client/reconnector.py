"""The keeper: the one task that reads, and comes back when the connection has ended (SPEC 5.3, 8).

It owns the link. Everybody else sees `link`, `state` and `why`, and is woken when they change. Overload: the inbox
drops, the keeper reads on. Crash: the room ends with `internal`, and the traceback is logged. Shutdown: `leave`.
"""

import logging
from contextlib import suppress
from typing import Final, Literal, TypeAlias

import msgspec
import trio

from omnisonic.client.connection import Connection, ConnectionBroken
from omnisonic.client.dispatch import Dispatch
from omnisonic.client.errors import Closed, EntryRefused
from omnisonic.client.join_request import JoinRequest
from omnisonic.client.reconnect_policy import LOST, SETTLED_S, Ending, ReconnectPolicy
from omnisonic.errors import Unavailable
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import CLOSE, PONG, TEXT

State: TypeAlias = Literal["connected", "reconnecting", "closed"]

ENTER_S: Final = 10.0
"""From the first packet to the welcome, the getting of a ticket included."""
BEAT_S: Final = 20.0
"""How often a heartbeat is sent."""
ANSWER_S: Final = 10.0
"""A connection by which nothing comes for this long after a heartbeat is lost."""
CLOSE_S: Final = 2.0
"""For the server's answer to a close."""
GIVE_UP_S: Final = 300.0

_log = logging.getLogger(__name__)


class Reconnector:
    """Keeps one member in one room."""

    def __init__(
        self,
        join_request: JoinRequest,
        dispatch: Dispatch,
        policy: ReconnectPolicy,
        *,
        give_up_after_s: float = GIVE_UP_S,
    ) -> None:
        self.connection: Connection | None = None
        self.state: State = "reconnecting"
        self.why: Closed | None = None
        self.changed = trio.Event()
        self._join_request = join_request
        self._dispatch = dispatch
        self._policy = policy
        self._give_up_after_s = give_up_after_s
        self._is_leaving = False

    async def enter(self) -> None:
        """Enter for the first time. Errors: `EntryRefused`; nothing is tried again."""
        self._is_in(await self._attempt())

    async def run(self) -> None:
        """Read and come back, until the member is in the room no more."""
        try:
            await self._keep()
        except Closed as why:
            self._end(why)
        except Exception as crash:  # noqa: BLE001 - whoever waits for messages is to hear of it
            _log.error("client.crashed", exc_info=crash)
            failed = Closed("internal", "The client failed; its log says how.")
            failed.__cause__ = crash
            self._end(failed)
        finally:
            self._end(_left())  # cancelled: the program does not wait for anything any more

    async def leave(self) -> None:
        """Say goodbye, if there is somebody to say it to, and be out at the latest after `CLOSE_S`."""
        self._is_leaving = True
        with trio.move_on_after(CLOSE_S, shield=True), suppress(ConnectionBroken):
            connection = self.connection
            if connection is not None and self.state == "connected":
                await connection.send(CLOSE, Closing(CloseCode.NORMAL).payload())
                while self.state == "connected":
                    await self.changed.wait()
        self._end(_left())
        if self.connection is not None:
            await self.connection.aclose()

    async def other_connection(self, than: Connection | None = None) -> Connection:
        """The open link; once it is known to be broken, the next one. Errors: `Closed`."""
        while True:
            if self.why is not None:
                raise self.why.with_traceback(None)
            if self.connection is not None and self.connection is not than:
                return self.connection
            await self.changed.wait()

    # The life of a connection

    async def _keep(self) -> None:
        while (connection := self.connection) is not None:
            began_s = trio.current_time()
            ending = await self._stay(connection)
            await connection.aclose()
            self.connection = None
            self._dispatch.pending_requests.fail("connection_lost", "The connection ended before the room answered.")
            if self._is_leaving:
                raise _left()
            final = ending.final()
            if final is not None:
                raise final
            self._turn("reconnecting")
            if trio.current_time() - began_s >= SETTLED_S:
                self._policy.settled()
            self._is_in(await self._come_back(self._policy.after(ending)))

    async def _stay(self, connection: Connection) -> Ending:
        if connection.ending is not None:  # it came with the welcome
            return connection.ending
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat, connection, nursery.cancel_scope)
            while connection.ending is None and (read := await connection.receive()) is not None:
                await self._receive(connection, *read)
                await self._dispatch.inbox.pause()
            nursery.cancel_scope.cancel()
        return connection.ending or Ending(LOST)

    async def _receive(self, connection: Connection, frames: list[tuple[int, bytes]], size: int) -> None:
        """Take what one read brought, and answer it."""
        pongs, ending = self._dispatch.take(frames, size)
        breach = connection.splitter.violation
        with suppress(ConnectionBroken):
            for payload in pongs:
                await connection.send(PONG, payload)
            if breach is not None:
                await connection.send(CLOSE, breach.payload())
            elif ending is not None and not self._is_leaving:
                code = b"" if ending.code == LOST else ending.code.to_bytes(2, "big")
                await connection.send(CLOSE, code)
        connection.ending = ending if breach is None else Ending(breach.code, breach.reason)

    async def _beat(self, connection: Connection, scope: trio.CancelScope) -> None:
        """Send heartbeats; end `scope` when the server does not answer."""
        while True:
            connection.has_heard = False
            try:
                await connection.send(
                    TEXT, msgspec.json.encode({"type": "heartbeat", "payload": self._dispatch.beat()})
                )
            except ConnectionBroken:
                break
            await trio.sleep(ANSWER_S)
            if not connection.has_heard:
                break
            await trio.sleep(BEAT_S - ANSWER_S)
        scope.cancel()

    # Entering

    async def _come_back(self, wait_s: float) -> Connection:
        lost_s = trio.current_time()
        while True:
            await trio.sleep(wait_s)
            try:
                return await self._attempt()
            except Unavailable as problem:
                refused = EntryRefused(problem.code, problem.message, retry_after_s=problem.retry_after_s)
            except EntryRefused as problem:
                refused = problem
            if refused.retry_after_s is None:
                raise Closed(refused.code, f"The server does not let you in again: {refused.message}") from refused
            if trio.current_time() - lost_s >= self._give_up_after_s:
                told = f"The room could not be reached again for {self._give_up_after_s:g} s: {refused.message}"
                raise Closed("unreachable", told) from refused
            wait_s = self._policy.after_failure(refused.retry_after_s)

    async def _attempt(self) -> Connection:
        self._dispatch.begin()
        with trio.move_on_after(ENTER_S):
            connection = await self._join_request.begin()
            try:
                await self._greet(connection)
            except BaseException:
                await connection.aclose()
                raise
            return connection
        raise EntryRefused("unreachable", f"The server did not let anybody in within {ENTER_S:g} s.", retry_after_s=0.0)

    async def _greet(self, connection: Connection) -> None:
        """Wait for the welcome. Errors: `EntryRefused`."""
        while not self._dispatch.is_welcome:
            read = await connection.receive()
            if read is None:
                connection.ending = Ending(LOST)
            else:
                await self._receive(connection, *read)
            if connection.ending is not None and not self._dispatch.is_welcome:
                raise self._refusal(connection.ending)

    def _refusal(self, ending: Ending) -> EntryRefused:
        """What to make of a connection that ended before the welcome."""
        if self._dispatch.refusal is not None:
            return self._dispatch.refusal
        final = ending.final()
        if final is not None:
            return EntryRefused(final.code, final.message)
        wait_s = 0.0 if ending.code == LOST else self._policy.after(ending)
        return EntryRefused("unreachable", "The connection ended before the welcome.", retry_after_s=wait_s)

    def _is_in(self, connection: Connection) -> None:
        self.connection = connection
        self._turn("connected")

    def _end(self, why: Closed) -> None:
        if self.why is None:
            self.why = why
            self._dispatch.pending_requests.fail(why.code, why.message)
            self._dispatch.inbox.shut()
            self._turn("closed")

    def _turn(self, state: State) -> None:
        self.state = state
        self.changed.set()
        self.changed = trio.Event()


def _left() -> Closed:
    return Closed("left", "The program has left the room.", close_code=CloseCode.NORMAL)
