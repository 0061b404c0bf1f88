"""The reconnector: the one task of a client that reads, and reconnects when the connection has ended (SPEC 5.3, 8).

It owns the connection. Other tasks read `state` and `close_error`, wait on `changed`, and send by `send_request` and
`wait_for_connection`. After a reconnection, and after another `welcome` on an open connection (the room has moved), it
first sends again what was not answered, in the order in which it was sent; until then nothing else is sent.

Overload: it goes on reading; the inbox drops the oldest messages. Crash: the membership ends with the code `internal`,
and the traceback is logged. Shutdown: `leave`, which also ends a wait for the next attempt, and the attempt itself.
"""

import logging
from contextlib import suppress
from typing import Final, Literal, TypeAlias

import msgspec

from omnisonic.client.backend import Backend, Background, ConnectionBroken
from omnisonic.client.connection import Connection, JoinRequest
from omnisonic.client.dispatch import Dispatch
from omnisonic.client.errors import Closed, EntryRefused
from omnisonic.client.pending_requests import PendingRequest
from omnisonic.client.reconnect_policy import LOST, STABLE_S, Disconnect, ReconnectPolicy
from omnisonic.errors import Unavailable
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import CLOSE, PONG, TEXT

ConnectionState: TypeAlias = Literal["connected", "reconnecting", "closed"]

JOIN_S: Final = 10.0
"""From the first packet to the `welcome`, including the call of the ticket function."""
HEARTBEAT_S: Final = 20.0
"""The interval of heartbeats."""
ANSWER_S: Final = 10.0
"""A connection on which nothing arrives for this long after a heartbeat is lost."""
CLOSE_S: Final = 2.0
"""How long to wait for the server's answer to a close frame."""
GIVE_UP_S: Final = 300.0

_log = logging.getLogger(__name__)


class Reconnector:
    """Keeps one member in one room."""

    def __init__(
        self,
        backend: Backend,
        join_request: JoinRequest,
        dispatch: Dispatch,
        policy: ReconnectPolicy,
        *,
        give_up_after_s: float = GIVE_UP_S,
    ) -> None:
        self.state: ConnectionState = "reconnecting"
        self.close_error: Closed | None = None
        """Why the membership ended, once it has."""
        self.changed = backend.new_event()
        self._ended = backend.new_event()
        """Set when the membership has ended."""
        self._backend = backend
        self._connection: Connection | None = None
        self._ready: Connection | None = None
        """The same, once everything that was not answered has been sent again."""
        self._join_request = join_request
        self._dispatch = dispatch
        self._policy = policy
        self._give_up_after_s = give_up_after_s
        self._is_leaving = False

    async def join(self) -> None:
        """Join the room for the first time, with one attempt. Raises `EntryRefused`."""
        self._set_connected(await self._attempt_join())

    async def run(self) -> None:
        """Read and reconnect until the membership ends, which `leave` may do at any time."""
        async with self._backend.open_background() as background:
            background.start_soon(self._run_membership)
            await self._ended.wait()

    async def _run_membership(self) -> None:
        try:
            await self._run_connections()
        except Closed as closed:
            self._close(closed)
        except Exception as crash:  # noqa: BLE001 - the program that waits for messages gets it as `Closed`
            _log.error("client.crashed", exc_info=crash)
            failed = Closed("internal", "The client failed; its log says how.")
            failed.__cause__ = crash
            self._close(failed)
        finally:
            self._close(_left_error())  # when cancelled: the program does not wait for anything any more

    async def leave(self) -> None:
        """Send a close frame if connected, and end the membership within `CLOSE_S`."""
        self._is_leaving = True
        try:
            await self._backend.run_shielded(CLOSE_S, self._exchange_close_frames)
        finally:
            self._close(_left_error())
            if self._connection is not None:
                await self._connection.aclose()

    async def _exchange_close_frames(self) -> None:
        connection = self._connection
        with suppress(ConnectionBroken):
            if connection is not None and self.state == "connected":
                await connection.send(CLOSE, Closing(CloseCode.NORMAL).payload())
                while self.state == "connected":
                    await self.changed.wait()

    async def wait_for_connection(self, *, other_than: Connection | None = None) -> Connection:
        """Return the open connection. Waits for the next one while it is `other_than`, which broke. Raises `Closed`."""
        while True:
            self.check_open()
            if self._ready is not None and self._ready is not other_than:
                return self._ready
            await self.changed.wait()

    async def send_request(self, request: PendingRequest) -> None:
        """Send a message that waits for its answer, now, or with the others on the next connection. Raises `Closed`."""
        self.check_open()
        if self._ready is not None:
            await self._send_request(request, self._ready)

    def check_open(self) -> None:
        """Raise `Closed` when the membership has ended."""
        if self.close_error is not None:
            raise self.close_error.with_traceback(None)

    # The life of a connection

    async def _run_connections(self) -> None:
        while (connection := self._connection) is not None:
            began_s = self._backend.time()
            disconnect = await self._run_connection(connection)
            await connection.aclose()
            self._connection = self._ready = None
            if self._is_leaving:
                raise _left_error()
            final = disconnect.final_error()
            if final is not None:
                raise final
            self._set_state("reconnecting")
            if self._backend.time() - began_s >= STABLE_S:
                self._policy.reset()
            connection = await self._reconnect(self._policy.delay_after(disconnect))
            if self._ended.is_set():  # in the moment of the `welcome`
                await connection.aclose()
                return
            self._set_connected(connection)

    async def _run_connection(self, connection: Connection) -> Disconnect:
        """Read and send heartbeats until the connection ends."""
        if connection.disconnect is not None:  # it came with the welcome
            return connection.disconnect
        welcomes = self._dispatch.welcomes
        async with self._backend.open_background() as background:
            background.start_soon(self._send_heartbeats, connection)
            background.start_soon(self._send_again, connection)
            while connection.disconnect is None and (read := await connection.receive()) is not None:
                await self._handle_read(connection, *read)
                if self._dispatch.welcomes != welcomes:
                    welcomes = self._dispatch.welcomes
                    self._handle_move(connection, background)
                await self._dispatch.inbox.pause()
        return connection.disconnect or Disconnect(LOST)

    async def _handle_read(self, connection: Connection, frames: list[tuple[int, bytes]], size: int) -> None:
        """Dispatch the frames of one read, and send the pongs and the close frame that answer them."""
        pongs, disconnect = self._dispatch.handle_frames(frames, size)
        breach = connection.splitter.violation
        with suppress(ConnectionBroken):
            for payload in pongs:
                await connection.send(PONG, payload)
            if breach is not None:
                await connection.send(CLOSE, breach.payload())
            elif disconnect is not None and not self._is_leaving:
                code = b"" if disconnect.code == LOST else disconnect.code.to_bytes(2, "big")
                await connection.send(CLOSE, code)
        connection.disconnect = disconnect if breach is None else Disconnect(breach.code, breach.reason)

    def _handle_move(self, connection: Connection, background: Background) -> None:
        """Another `welcome` came. What was not answered is sent again, before anything else."""
        self._dispatch.pending_requests.forget_connections()
        if self._ready is not None:  # otherwise it is being sent, and goes on until everything is
            self._ready = None
            background.start_soon(self._go_on, connection)

    async def _go_on(self, connection: Connection) -> None:
        """Measure the clock of whoever answers now, and send again what they may not know."""
        await self._send_heartbeat(connection)
        await self._send_again(connection)

    async def _send_again(self, connection: Connection) -> None:
        """Send what was not answered before this connection, and what has come meanwhile. Then others may send."""
        while self._ready is None:
            for request in self._dispatch.pending_requests.not_sent_on(connection):
                if request in self._dispatch.pending_requests:  # it may have timed out meanwhile
                    await self._send_request(request, connection)
            self._set_ready()

    async def _send_request(self, request: PendingRequest, connection: Connection) -> None:
        request.connection = connection
        request.sent += 1
        with suppress(ConnectionBroken):  # then it is sent on the next one
            await connection.send(TEXT, request.text)

    async def _send_heartbeats(self, connection: Connection) -> None:
        """Send heartbeats. Closes the connection when the server does not answer, which ends the reading."""
        while True:
            connection.has_received = False
            await self._send_heartbeat(connection)
            await self._backend.sleep(ANSWER_S)
            if not connection.has_received:
                break
            await self._backend.sleep(HEARTBEAT_S - ANSWER_S)
        await connection.aclose()

    async def _send_heartbeat(self, connection: Connection) -> None:
        message = {"type": "heartbeat", "payload": self._dispatch.heartbeat_payload()}
        with suppress(ConnectionBroken):  # then the connection is closed already
            await connection.send(TEXT, msgspec.json.encode(message))

    # Joining

    async def _reconnect(self, wait_s: float) -> Connection:
        """Wait, and try until it succeeds. Raises `Closed` when the server refuses for good, or after too long."""
        lost_s = self._backend.time()
        while True:
            await self._backend.sleep(wait_s)
            try:
                return await self._attempt_join()
            except Unavailable as problem:
                refused = EntryRefused(problem.code, problem.message, retry_after_s=problem.retry_after_s)
            except EntryRefused as problem:
                refused = problem
            if refused.retry_after_s is None:
                raise Closed(refused.code, f"The server does not let you in again: {refused.message}") from refused
            if self._backend.time() - lost_s >= self._give_up_after_s:
                sentence = f"The room could not be reached again for {self._give_up_after_s:g} s: {refused.message}"
                raise Closed("unreachable", sentence) from refused
            wait_s = self._policy.next_delay(refused.retry_after_s)

    async def _attempt_join(self) -> Connection:
        """Connect once and wait for the `welcome`, for `JOIN_S`. Raises `EntryRefused`."""
        since = self._dispatch.begin_connection()
        async with self._backend.move_on_after(JOIN_S):
            connection = await self._join_request.connect(self._backend, since)
            try:
                await self._wait_for_welcome(connection)
            except BaseException:
                await connection.aclose()
                raise
            return connection
        raise EntryRefused("unreachable", f"The server did not let anybody in within {JOIN_S:g} s.", retry_after_s=0.0)

    async def _wait_for_welcome(self, connection: Connection) -> None:
        while not self._dispatch.is_welcome:
            read = await connection.receive()
            if read is None:
                connection.disconnect = Disconnect(LOST)
            else:
                await self._handle_read(connection, *read)
            if connection.disconnect is not None and not self._dispatch.is_welcome:
                raise self._refusal(connection.disconnect)

    def _refusal(self, disconnect: Disconnect) -> EntryRefused:
        """The error for a connection that ended before the `welcome`."""
        if self._dispatch.refusal is not None:
            return self._dispatch.refusal
        final = disconnect.final_error()
        if final is not None:
            return EntryRefused(final.code, final.message)
        wait_s = 0.0 if disconnect.code == LOST else self._policy.delay_after(disconnect)
        return EntryRefused("unreachable", "The connection ended before the welcome.", retry_after_s=wait_s)

    def _set_connected(self, connection: Connection) -> None:
        self._connection = connection
        self._set_state("connected")
        self._set_ready()

    def _set_ready(self) -> None:
        """Let others send, when nothing waits to be sent again."""
        connection = self._connection
        if connection is not None and not self._dispatch.pending_requests.not_sent_on(connection):
            self._ready = connection
            self._notify()

    def _close(self, error: Closed) -> None:
        """End the membership with this error, unless it has ended before."""
        if self.close_error is None:
            self.close_error = error
            self._dispatch.pending_requests.fail_all(error)
            self._dispatch.inbox.close()
            self._set_state("closed")
            self._ended.set()

    def _set_state(self, state: ConnectionState) -> None:
        self.state = state
        self._notify()

    def _notify(self) -> None:
        self.changed.set()
        self.changed = self._backend.new_event()


def _left_error() -> Closed:
    return Closed("left", "The program has left the room.", close_code=CloseCode.NORMAL)
