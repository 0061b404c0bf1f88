"""One link of this gateway with a peer: what keeps messages in order, and finds losses (DESIGN 8). Pure.

A link begins anew with each *reset*, under a higher number. A packet with messages names both numbers: the sender's,
and the receiver's as the sender has heard it. So a link begins with a hello, and no packet from before a reset, however
late or often it arrives, is taken for one from after it.

**The promise.** What the receiver gets between two of its resets are the first messages that the sender sent between
two of its own, in order, each once. What does not arrive ends in a reset: of the sender, and of the receiver before
anything later arrives there. A side that has sent and received nothing since its last reset is told of no other one.

Packets are numbered from 1. The bus may lose, delay and repeat them: one that comes too early means a loss, one that
comes again is dropped. At most `WINDOW_PACKETS` are under way, so a peer that stands still gets no more than the bus
holds for it.

Overload: what waits is bounded by `queue_bytes`, and until the peer answers by `SILENT_S`; beyond that the link is
reset. So it is by a message from the peer that is larger. Crash of either side: the next packet tells, or the silence.
Shutdown: nothing to do.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from omnisonic.actors.cluster.link_stats import LinkState, LinkStats
from omnisonic.actors.cluster.parts import PartJoiner, split
from omnisonic.wire.peer_messages import Beat, Head, Packet, PeerMessage, encode_message, encode_packet

PACKET_BYTES: Final = 1_048_576
"""A packet has at most this many bytes of messages. Larger messages are sent in parts."""
QUEUE_BYTES: Final = 33_554_432
"""What may wait for one peer, besides a room's history. One turn may say all that is in a mailbox: 16 MiB."""
WINDOW_PACKETS: Final = 64
WINDOW_BYTES: Final = 4_194_304
"""What may be under way to one peer. The bus holds it for a peer that stands still, with what others send to it: 1024
packets in the peer, and 8 MiB for a minute in Valkey.
"""
REPORT_PACKETS: Final = 16
REPORT_BYTES: Final = 1_048_576
"""After so much, what was received is acknowledged at once. Otherwise the next packet does it."""
BEAT_S: Final = 0.5
SILENT_S: Final = 1.5
RESET_PAUSE_S: Final = 1.0
"""A link that is reset again within this time waits for `BEAT_S` before it says hello."""

_BEAT: Final = encode_message(Beat())


class Link:
    """The link of this gateway, whose name is `run`, with one peer. Times are monotonic seconds.

    Attributes:
        number: This side's number of the link. Each reset takes a new one from `new_number`, which counts up.
        watchers: How many want to know when the peer is silent.
        is_reset: There was a reset that is not reported yet: until `take_reset`, what is put is dropped.
    """

    def __init__(self, run: str, new_number: Callable[[], int], now_s: float, queue_bytes: int = QUEUE_BYTES) -> None:
        self.stats = LinkStats()
        self.watchers = 0
        self.is_reset = False
        self._run = run
        self._new_number = new_number
        self._queue_bytes = queue_bytes
        self._heard_at_s = self._sent_at_s = self._used_at_s = now_s
        self._hello_at_s = self._reset_at_s = self._patient_from_s = self._silence_at_s = now_s - 60.0
        self._lowest_peer_number = 0
        """Packets of a lower number are from before the peer's last reset."""
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._waiting_bytes = 0
        self._begin()

    def _begin(self) -> None:
        self.number = self._new_number()
        self._peer_number = 0
        """The peer's number of the link, once it is heard."""
        self._sent = self._received = 0
        self._is_owing = False
        """A packet without messages is to be sent: a hello, or an acknowledgement."""
        self._unreported = self._unreported_bytes = 0
        self._under_way: deque[int] = deque()
        """The sizes of the packets that are not acknowledged, oldest first."""
        self._under_way_bytes = 0
        self._progress_at_s = 0.0
        self._joiner = PartJoiner(self._queue_bytes)

    @property
    def is_open(self) -> bool:
        """Whether the peer was heard since the last reset."""
        return self._peer_number != 0

    @property
    def is_drained(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._waiting

    def lag_s(self, now_s: float) -> float:
        """How long the oldest message has waited to be sent; 0 when none waits."""
        return now_s - self._waiting[0][1] if self._waiting else 0.0

    def state(self, now_s: float) -> LinkState:
        """How the link is, in a word."""
        if self.watchers and self._waited_s(self._heard_at_s, now_s) >= SILENT_S:
            return "silent"
        if self.is_open:
            return "open"
        return "opening" if self.watchers or self._waiting else "idle"

    def heard_s(self, now_s: float) -> float:
        """How long ago the peer was heard, or since when it is waited for."""
        return now_s - self._heard_at_s

    @property
    def waiting_bytes(self) -> int:
        """The bytes of the messages that wait to be sent."""
        return self._waiting_bytes

    def idle_s(self, now_s: float) -> float:
        """For how long nobody has needed this link."""
        is_needed = self.watchers or self._waiting or self.is_reset
        return 0.0 if is_needed else now_s - max(self._used_at_s, self._heard_at_s)

    # Sending

    def put(self, message: bytes, now_s: float) -> None:
        """Send an encoded message, or drop it while `is_reset`."""
        if self.is_reset:
            return
        for part in split(message):
            self._waiting.append((part, now_s))
            self._waiting_bytes += len(part)
        self._used_at_s = now_s
        if self._waiting_bytes > self._queue_bytes:
            self.reset(now_s)
        else:
            self._greet(now_s)

    def watch(self, now_s: float) -> None:
        """One more wants to know when the peer is silent."""
        if not self.watchers:
            self._heard_at_s = self._silence_at_s = now_s
        self.watchers += 1
        self._greet(now_s)

    @property
    def has_packet(self) -> bool:
        """Whether there is something to send."""
        return self._is_owing or self._has_numbered

    @property
    def _has_numbered(self) -> bool:
        is_window_open = len(self._under_way) < WINDOW_PACKETS and self._under_way_bytes < WINDOW_BYTES
        return self.is_open and is_window_open and bool(self._waiting)

    def take_packet(self, now_s: float) -> tuple[int, bytes] | None:
        """The next packet to send, with its number; None when there is none now."""
        messages: list[bytes] = []
        number = 0
        if self._has_numbered:
            size = 0
            while self._waiting and (not messages or size + len(self._waiting[0][0]) <= PACKET_BYTES):
                message, _ = self._waiting.popleft()
                messages.append(message)
                size += len(message)
            self._waiting_bytes -= size
            if not self._under_way:
                self._progress_at_s = now_s
            self._under_way.append(size)
            self._under_way_bytes += size
            self._sent = number = self._sent + 1
            self.stats.messages_out += len(messages) - messages.count(_BEAT)
        elif not self._is_owing:
            return None
        if not self.is_open:
            self._hello_at_s = now_s
        self._is_owing = False
        self._unreported = self._unreported_bytes = 0
        self._sent_at_s = now_s
        data = encode_packet(Head(self._run, self.number, self._peer_number, number, self._received), messages)
        self.stats.packets_out += 1
        self.stats.bytes_out += len(data)
        return number, data

    # Receiving

    def receive(self, packet: Packet, size: int, now_s: float) -> Sequence[PeerMessage]:
        """Take a packet of `size` bytes from the peer. Returns its messages; call `take_reset` before you use them."""
        self.stats.packets_in += 1
        self.stats.bytes_in += size
        self._heard_at_s = now_s
        if packet.link < self._lowest_peer_number:
            if now_s - self._sent_at_s >= BEAT_S:
                self._is_owing = True  # perhaps no hello of this link has arrived, and the peer does not begin anew
            return ()
        if packet.link != self._peer_number and not self._meet(packet, now_s):
            return ()
        if packet.heard != self.number:  # the peer has not heard how this side counts now
            self._is_owing = True
            return ()
        self._acknowledge(packet.acknowledged, now_s)
        if not packet.number or packet.number <= self._received:
            return ()
        if packet.number > self._received + 1:
            self.reset(now_s)
            return ()
        return self._accept(packet, size, now_s)

    def _meet(self, packet: Packet, now_s: float) -> bool:
        """The peer has begun this link anew, or is heard for the first time. False when it has to hear us first."""
        if self._sent or self._received:
            self.reset(now_s)
        self._lowest_peer_number = packet.link
        if packet.heard not in (0, self.number):
            self._is_owing = True  # it means a link from before; it is told of this one by a hello
            self._peer_number = 0
            return False
        self._peer_number = packet.link
        return True

    def _acknowledge(self, number: int, now_s: float) -> None:
        arrived = len(self._under_way) - (self._sent - number)
        for _ in range(max(0, min(arrived, len(self._under_way)))):
            self._under_way_bytes -= self._under_way.popleft()
            self._progress_at_s = now_s

    def _accept(self, packet: Packet, size: int, now_s: float) -> Sequence[PeerMessage]:
        self._received += 1
        self._unreported += 1
        self._unreported_bytes += size
        if self._unreported >= REPORT_PACKETS or self._unreported_bytes >= REPORT_BYTES:
            self._is_owing = True
        if now_s - self._sent_at_s >= BEAT_S:
            self._is_owing = True
        messages = packet.messages
        if len(messages) == 1 and type(messages[0]) is Beat:
            self._is_owing = self._is_owing or not self.watchers  # who watches has beats of their own
            return ()
        self.stats.messages_in += len(messages)
        whole = self._joiner.join(messages)
        if whole is None:
            self.reset(now_s)
        return whole or ()

    # Time and failures

    def tick(self, now_s: float) -> bool:
        """To be called several times in `BEAT_S`. True when the watched peer is silent, once in `BEAT_S`."""
        if not self.is_open:
            if self._waiting and self._waited_s(self._waiting[0][1], now_s) >= SILENT_S:
                self.reset(now_s)
            elif self._waiting or self.watchers or now_s - self._reset_at_s < SILENT_S:
                self._greet(now_s)
        elif self._under_way and self._waiting and self._waited_s(self._progress_at_s, now_s) >= SILENT_S:
            self.reset(now_s)
        elif self.watchers and now_s - self._sent_at_s >= BEAT_S:
            if self._waiting:
                self._is_owing = True
            else:
                self.put(_BEAT, now_s)
        is_silent = self.watchers > 0 and self._waited_s(self._heard_at_s, now_s) >= SILENT_S
        if not is_silent or now_s - self._silence_at_s < BEAT_S:
            return False
        self._silence_at_s = now_s
        return True

    def wait_again(self, now_s: float) -> None:
        """The process stood still until now: the peer has another `BEAT_S` for what may have arrived meanwhile."""
        self._patient_from_s = now_s - SILENT_S + BEAT_S

    def _waited_s(self, since_s: float, now_s: float) -> float:
        return now_s - max(since_s, self._patient_from_s)

    def _greet(self, now_s: float) -> None:
        if not self.is_open and now_s - self._hello_at_s >= BEAT_S:
            self._is_owing = True

    def fail(self, link_number: int, packet_number: int, now_s: float) -> None:
        """The bus did not take this packet of that link, or nobody heard it."""
        if link_number == self.number and packet_number:
            self.reset(now_s)

    def reset(self, now_s: float) -> None:
        """Begin anew: what waits, and what is under way, is given up."""
        if self._received:
            self._lowest_peer_number = max(self._lowest_peer_number, self._peer_number + 1)  # so it begins anew, too
        if self._sent or self._received or self._waiting:
            self.is_reset = True
            self.stats.resets += 1
        self._waiting.clear()
        self._waiting_bytes = 0
        is_again = now_s - self._reset_at_s < RESET_PAUSE_S
        self._hello_at_s = now_s if is_again else now_s - BEAT_S
        self._reset_at_s = now_s
        self._begin()
        self._greet(now_s)

    def rename(self, run: str, now_s: float) -> None:
        """The gateway has another name now, under which the peer does not know it."""
        self._run = run
        self.reset(now_s)

    def take_reset(self) -> bool:
        """Whether there was a reset that has to be reported; now it is."""
        was_reset, self.is_reset = self.is_reset, False
        return was_reset
