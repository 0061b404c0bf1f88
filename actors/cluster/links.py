"""The links of this gateway with its peers: messages from gateway to gateway over the bus (SPEC 5.5, DESIGN 8).

A gateway receives on one channel, `omnisonic:gateway:RUN`. All that waits for a peer goes into one packet, and the next
packet when the bus has answered: idle, one message is one packet without delay; busy, a packet has many.
`omnisonic.actors.cluster.link` has the rules of order and loss.

All of it belongs to the trio thread. `PeerLinkEvents` are called by the tasks of `run`, never within `send` or `watch`.

Overload: `send` never waits; a queue that is full resets its link. Bus unavailable: what is sent fails, and each link
that was in use is reset once; hellos are repeated until peers answer. A subscription that is lost and back: nothing, as
numbers tell what was missed. Crash of a handler: logged, and the link with the peer whose message it was is reset.
Crash of `run`: restarted by its supervisor, the same. This process stood still: peers are not called silent before they
could be heard. Shutdown: `drain`, then cancel.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from typing import Final, Protocol

import msgspec
import trio

from omnisonic.actors.cluster.link import QUEUE_BYTES, Link
from omnisonic.actors.cluster.link_stats import LinkStats, PeerState
from omnisonic.errors import Unavailable
from omnisonic.stores.bus import Bus, Delivery
from omnisonic.wire.peer_messages import Beat, PeerMessage, decode_packet, encode_message

CHANNEL: Final = "omnisonic:gateway:"
TICK_S: Final = 0.1
PAUSED_S: Final = 0.5
"""A tick that is later by this much means that this process stood still."""
RETRY_S: Final = 0.25
FORGET_S: Final = 60.0
"""A peer that nobody needs is forgotten after this long."""
UNKNOWN_PEERS: Final = 1024
"""With so many peers, packets of another one are ignored."""

_log = logging.getLogger(__name__)


class PeerLinkEvents(Protocol):
    """What links call. Must not wait. What `on_message` raises resets the link."""

    def on_message(self, peer: str, message: PeerMessage) -> None:
        """`peer` has sent this. Never a `Beat` or a `Part`."""
        ...

    def on_reset(self, peer: str) -> None:
        """What waited for `peer`, or was under way in either direction, may be lost. What is sent now goes out."""
        ...

    def on_silent(self, peer: str) -> None:
        """A watched peer was not heard for `SILENT_S`. Called again every `BEAT_S` until it is."""
        ...


class PeerLinks:
    """The links of one run of this gateway. A peer is named by its run. `queue_bytes` may wait for each."""

    def __init__(
        self,
        bus: Bus,
        run: str,
        events: PeerLinkEvents,
        now_s: Callable[[], float] | None = None,
        *,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self.run_name = run
        self._bus = bus
        self._events = events
        self._now_s = now_s or trio.lowlevel.current_clock().current_time  # on any thread, unlike `trio.current_time`
        self._queue_bytes = queue_bytes
        self._links: dict[str, Link] = {}
        self._publishing: set[str] = set()
        self._new_number = count(1).__next__
        self._nursery: trio.Nursery | None = None
        self._subscription = trio.CancelScope()
        self._is_subscribed = False
        """Whether this run's channel was subscribed to: before that, nobody could answer."""
        self._sent = trio.lowlevel.ParkingLot()

    # Called by rooms

    def send(self, peer: str, message: PeerMessage) -> None:
        """Send `message` soon. Never waits; what cannot be sent ends in `on_reset`."""
        link = self._find(peer)
        link.put(encode_message(message), self._now_s())
        self._work(peer, link)

    def watch(self, peer: str) -> None:
        """Say when `peer` is silent, until as many calls of `unwatch`."""
        link = self._find(peer)
        link.watch(self._now_s())
        self._work(peer, link)

    def unwatch(self, peer: str) -> None:
        """Undo one `watch`."""
        link = self._links.get(peer)
        if link is not None and link.watchers:
            link.watchers -= 1

    def change_run(self, run: str) -> None:
        """Be known under another name: peers take this for another gateway. Every link in use is reset."""
        self.run_name = run
        now_s = self._now_s()
        for peer, link in self._links.items():
            link.rename(run, now_s)
            self._work(peer, link)
        self._is_subscribed = False
        self._subscription.cancel()

    async def wait_until_sent(self, peer: str, below_bytes: int) -> None:
        """Wait until less than this waits for `peer`. Not for longer than until its link is reset."""
        while (link := self._links.get(peer)) is not None and link.waiting_bytes >= below_bytes:
            await self._sent.park()

    # Figures

    @property
    def peers(self) -> dict[str, LinkStats]:
        """The totals of each peer, by its run."""
        return {peer: link.stats for peer, link in self._links.items()}

    def lag_s(self, peer: str | None = None) -> float:
        """How long the oldest message for `peer`, or for any, has waited to be sent; 0 when none waits."""
        links: Iterable[Link | None] = list(self._links.values()) if peer is None else [self._links.get(peer)]
        now_s = self._now_s()
        return max((link.lag_s(now_s) for link in links if link is not None), default=0.0)

    def describe(self) -> list[PeerState]:
        """How the link with each peer is. On any thread."""
        now_s = self._now_s()
        return [
            PeerState(peer, link.state(now_s), link.heard_s(now_s), link.lag_s(now_s), link.stats)
            for peer, link in list(self._links.items())
        ]

    # Running

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Send and receive until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._receive_all)
                task_status.started()
                await self._tick()
        finally:
            self._nursery, self._is_subscribed = None, False
            self._publishing.clear()

    async def drain(self, deadline_s: float) -> bool:
        """Wait until the bus has taken all that waits, `deadline_s` at most. False when something is left."""
        with trio.move_on_after(deadline_s):
            while self._publishing or not all(link.is_drained for link in self._links.values()):
                await self._sent.park()
            return True
        return False

    async def _tick(self) -> None:
        last_s = self._now_s()
        while True:
            await trio.sleep(TICK_S)
            now_s = self._now_s()
            is_late = now_s - last_s > TICK_S + PAUSED_S
            last_s = now_s
            for peer, link in list(self._links.items()):
                if is_late:
                    link.wait_again(now_s)
                if link.idle_s(now_s) > FORGET_S:
                    del self._links[peer]
                    continue
                is_silent = link.tick(now_s)
                self._work(peer, link)
                if is_silent:
                    self._call(self._events.on_silent, peer)

    async def _receive_all(self) -> None:
        while True:
            with suppress(Unavailable), trio.CancelScope() as self._subscription:
                async with self._bus.subscribe(CHANNEL + self.run_name) as events:
                    self._is_subscribed = True
                    for peer, link in self._links.items():
                        self._work(peer, link)
                    async for event in events:
                        if isinstance(event, Delivery):
                            self._receive(event.data)
            if not self._subscription.cancelled_caught:
                await trio.sleep(RETRY_S)

    def _receive(self, data: bytes) -> None:
        try:
            packet = decode_packet(data)
        except msgspec.DecodeError as problem:
            _log.warning("peer.unknown_packet", extra={"problem": str(problem)})
            return
        peer = packet.run
        if peer not in self._links and len(self._links) >= UNKNOWN_PEERS:
            _log.warning("peer.ignored", extra={"peer": peer})
            return
        link = self._find(peer)
        messages = link.receive(packet, len(data), self._now_s())
        self._report(peer, link)
        number = link.number
        for message in messages:
            if type(message) is not Beat and not self._call(self._events.on_message, peer, message):
                link.reset(self._now_s())
            if link.number != number:  # the rest is lost with the link
                self._report(peer, link)
                break
        self._work(peer, link)

    async def _publish_all(self, peer: str, link: Link) -> None:
        """Send what waits for `peer`, one packet at a time."""
        try:
            while (taken := link.take_packet(self._now_s())) is not None:
                link_number = link.number
                packet_number, data = taken
                try:
                    receivers = await self._bus.publish(CHANNEL + peer, data)
                except Unavailable:
                    receivers = 0
                if not receivers:
                    link.fail(link_number, packet_number, self._now_s())
                    self._report(peer, link)
        finally:
            self._publishing.discard(peer)
            self._sent.unpark_all()

    # Shared

    def _find(self, peer: str) -> Link:
        link = self._links.get(peer)
        if link is None:
            link = self._links[peer] = Link(self.run_name, self._new_number, self._now_s(), self._queue_bytes)
        return link

    def _work(self, peer: str, link: Link) -> None:
        """Have a task report a reset of this link, and send what it has to send."""
        if self._nursery is None:
            return
        if link.is_reset:
            self._nursery.start_soon(self._report_soon, peer, link)
        if self._is_subscribed and link.has_packet and peer not in self._publishing:
            self._publishing.add(peer)
            self._nursery.start_soon(self._publish_all, peer, link)

    async def _report_soon(self, peer: str, link: Link) -> None:
        self._report(peer, link)

    def _report(self, peer: str, link: Link) -> None:
        if link.take_reset():
            _log.info("peer.reset", extra={"peer": peer})
            self._sent.unpark_all()
            self._call(self._events.on_reset, peer)

    def _call(self, handler: Callable[..., None], peer: str, *args: PeerMessage) -> bool:
        """Call a handler. False when it has crashed."""
        try:
            handler(peer, *args)
        except Exception:  # noqa: BLE001 - a fault in one room must not end the links
            _log.exception("peer.handler_crashed", extra={"peer": peer})
            return False
        return True
