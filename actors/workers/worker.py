"""A worker: one of several gateway processes behind one port, put together (SPEC 2, DESIGN 8).

All workers accept from the same listening socket. A connection goes to the worker that has its room: see
`omnisonic.actors.workers.hand_over`. Everything else is of one gateway: its caps (`counts`), its pages (`peer_pages`)
and its inspection (`peer_inspection`). A message passes one worker only, as in a gateway that is one process.

Overload, crash and shutdown: see each of them. Crash of a worker: its rooms' members are disconnected and reconnect;
the rooms of the others do not notice.
"""

import socket
from collections.abc import Callable
from typing import assert_never

import trio

from omnisonic.actors.admission.admission import Admission, Admitted
from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.gateway import Gateway
from omnisonic.actors.workers.channels import Channels
from omnisonic.actors.workers.counts import SharedConnections
from omnisonic.actors.workers.hand_over import WAIT_S, HandOvers
from omnisonic.actors.workers.merged_session import MergedInspection
from omnisonic.actors.workers.packets import AskMetrics, Counts, HandOver, Packet, Ping, Pong, Started, Taken
from omnisonic.actors.workers.peer_pages import PeerPages
from omnisonic.actors.workers.place import WorkerPlace, owner_of
from omnisonic.errors import InvalidInput
from omnisonic.models import RoomId
from omnisonic.wire.handshake import Refused, Request


class Worker:
    """The worker at `place`. `admission` is the gateway's, `render` makes the metrics of this process.

    Connections wait for `wait_s` for a worker that does not take them.
    """

    def __init__(
        self,
        place: WorkerPlace,
        admission: Admission,
        render: Callable[[], bytes] | None = None,
        *,
        wait_s: float = WAIT_S,
    ) -> None:
        self.place = place
        self._admission = admission
        self._wait_s = wait_s
        self._channels = Channels(place)
        self._pages = PeerPages(place, self._channels, render)
        self._connections: SharedConnections | None = None
        self._hand_overs: HandOvers | None = None
        self._reading = trio.CancelScope()
        self.render_metrics = self._pages.renderer()
        """Renders the metrics of all workers."""

    def open_connections(self, most: int, most_per_address: int) -> SharedConnections:
        """What counts the connections of this gateway. The caps are for all workers together."""
        self._connections = SharedConnections(most, most_per_address, self.place, self._channels)
        return self._connections

    async def start(self, gateway: Gateway) -> None:
        """Take connections from the other workers."""
        assert self._connections is not None
        self._hand_overs = HandOvers(self.place, self._channels, gateway.take_connection, self._wait_s)
        gateway.readiness.checks["workers"] = self._pages.check
        gateway.notes["hand_overs"] = self._describe_hand_overs
        for name, write in self._channels.writers().items():
            await gateway.start_child(name, write)
        await gateway.start_child("hand_overs", self._hand_overs.run)
        await gateway.start_child("counts", self._connections.share)
        await gateway.start_child("peer pages", self._pages.run)
        gateway.inspection.serve_peers(MergedInspection(self.place))
        for index in self.place.others:
            self._channels.send(index, Started(self.place.index))
        await gateway.start_child("channel", self._read_channel)

    async def _read_channel(self, task_status: trio.TaskStatus[None]) -> None:
        with self._reading:
            await self._channels.read(self._handle, task_status)

    def stop(self) -> None:
        """Take and hand over nothing more. What was sent to this worker waits for the next process."""
        self._reading.cancel()
        if self._hand_overs is not None:
            self._hand_overs.stop()

    def hand_over(self, connection: Connection, request: Request) -> bool:
        """Hand a connection over to the worker that has its room.

        False when that is this one, or when the request names no room: then it is refused as by any gateway. Errors:
        `Refused` when too many wait for that worker.
        """
        if self._hand_overs is None:
            return False
        try:
            decision = self._admission.admit(request)
        except (Refused, InvalidInput):
            return False
        room_id = decision.entrance.room_id if isinstance(decision, Admitted) else decision.room_id
        owner = self.owner_of(room_id)
        if owner == self.place.index:
            return False
        self._hand_overs.give(connection, request, owner)
        return True

    def owner_of(self, room_id: RoomId) -> int:
        """The index of the worker that has this room."""
        return owner_of(room_id, self.place.count)

    def _describe_hand_overs(self) -> str:
        assert self._hand_overs is not None
        return f"{self._hand_overs.given} given, {self._hand_overs.taken} taken, {len(self._hand_overs)} wait"

    def _handle(self, packet: Packet, sock: socket.socket | None) -> None:
        """Handle a packet from another worker."""
        assert self._hand_overs is not None
        assert self._connections is not None
        match packet:
            case HandOver():
                self._hand_overs.on_hand_over(packet, sock)
            case Taken():
                self._hand_overs.on_taken(packet)
            case Counts():
                self._connections.on_counts(packet)
            case Started():
                self._connections.on_started(packet.sender)
            case Ping():
                self._pages.on_ping(packet)
            case Pong():
                self._pages.on_pong(packet)
            case AskMetrics():
                self._pages.on_ask_metrics(sock)
            case _ as never:
                assert_never(never)
