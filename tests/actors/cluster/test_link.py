"""One link against a bus that does what it likes: the promise of `omnisonic.actors.cluster.link`, without any task."""

from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from omnisonic.actors.cluster.link import (
    BEAT_S,
    PACKET_BYTES,
    QUEUE_BYTES,
    SILENT_S,
    WINDOW_BYTES,
    WINDOW_PACKETS,
    Link,
)
from omnisonic.wire.peer_messages import Ask, Beat, decode_packet, encode_message
from tests.actors.cluster.promise import Ledger, check_all_arrived, check_promise

SMALL_QUEUE_BYTES = 3 * PACKET_BYTES


class Side:
    """One end of the link."""

    def __init__(self, run: str, queue_bytes: int = QUEUE_BYTES) -> None:
        self.run = run
        self.numbers = count(1).__next__
        self.ledger = Ledger()
        self.link = Link(run, self.numbers, 0.0, queue_bytes)
        self.bytes_received: list[int] = []
        self.published: list[tuple[int, int, bytes]] = []
        """Everything that was ever sent: link, number, packet."""

    def report(self) -> None:
        if self.link.take_reset():
            self.ledger.reset()

    def send(self, number: int, now_s: float, data: bytes = b"") -> None:
        self.ledger.sent[-1].append(number)
        self.link.put(encode_message(Ask(str(number), data)), now_s)

    def take(self, now_s: float) -> int | None:
        """Take a packet; returns its place in `published`."""
        taken = self.link.take_packet(now_s)
        if taken is None:
            return None
        self.published.append((self.link.number, *taken))
        return len(self.published) - 1

    def receive(self, data: bytes, now_s: float) -> None:
        messages = self.link.receive(decode_packet(data), len(data), now_s)
        self.report()
        for message in messages:
            if not isinstance(message, Beat):
                assert isinstance(message, Ask)
                self.ledger.received[-1].append(int(message.id))
                self.bytes_received.append(len(message.what))


class AnyBus(RuleBasedStateMachine):
    """Two sides, and every packet that was ever sent, which may arrive at any time, again, or never."""

    sides = st.sampled_from([0, 1])

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.both = [Side("a", SMALL_QUEUE_BYTES), Side("b", SMALL_QUEUE_BYTES)]
        self.next = count()

    @rule(side=sides, many=st.integers(1, 3))
    def send(self, side: int, many: int) -> None:
        for _ in range(many):
            self.both[side].send(next(self.next), self.now_s)

    @rule(side=sides)
    def talk(self, side: int) -> None:
        """A moment in which the bus is well."""
        self.both[side].send(next(self.next), self.now_s)
        self._be_well(0.1)

    @rule(side=sides)
    def send_too_much(self, side: int) -> None:
        self.both[side].send(next(self.next), self.now_s, bytes(SMALL_QUEUE_BYTES))

    @rule(side=sides)
    def send_in_parts(self, side: int) -> None:
        self.both[side].send(next(self.next), self.now_s, bytes(PACKET_BYTES + 1))

    @rule(side=sides)
    def watch(self, side: int) -> None:
        self.both[side].link.watch(self.now_s)

    @rule(side=sides)
    def unwatch(self, side: int) -> None:
        self.both[side].link.watchers = 0

    @rule(side=sides)
    def report(self, side: int) -> None:
        self.both[side].report()

    @rule(side=sides, arrives=st.booleans())
    def publish(self, side: int, arrives: bool) -> None:
        place = self.both[side].take(self.now_s)
        if place is not None and arrives:
            self._deliver(side, place)

    @rule(side=sides)
    def publish_in_vain(self, side: int) -> None:
        place = self.both[side].take(self.now_s)
        if place is not None:
            link_number, number, _ = self.both[side].published[place]
            self.both[side].link.fail(link_number, number, self.now_s)
            self.both[side].report()

    @rule(side=sides, back=st.integers(0, 12))
    def deliver_an_old_packet(self, side: int, back: int) -> None:
        published = self.both[side].published
        if published:
            self._deliver(side, max(0, len(published) - 1 - back))

    @rule(side=sides)
    def forget(self, side: int) -> None:
        """This side has not needed the other for a minute: as a new link, with higher numbers."""
        here = self.both[side]
        if here.link.is_drained and not here.link.is_reset:
            here.link = Link(here.run, here.numbers, self.now_s)
            here.ledger.reset()

    @rule(passes_s=st.sampled_from([0.1, BEAT_S, SILENT_S]))
    def let_time_pass(self, passes_s: float) -> None:
        self.now_s += passes_s
        for side in self.both:
            side.link.tick(self.now_s)

    @invariant()
    def what_arrives_is_in_order_and_nothing_is_left_out(self) -> None:
        for at in (0, 1):
            check_promise(self.both[at].ledger, self.both[1 - at].ledger)

    def teardown(self) -> None:
        """Once the bus is well, everything arrives, and no reset comes any more."""
        for side in self.both:
            side.report()
            side.link.watch(self.now_s)
        self._be_well(5.0)
        resets = [side.link.stats.resets for side in self.both]
        for side in self.both:
            for _ in range(3):
                side.send(next(self.next), self.now_s)
        self._be_well(2.0)
        assert [side.link.stats.resets for side in self.both] == resets
        for at in (0, 1):
            check_promise(self.both[at].ledger, self.both[1 - at].ledger)
            check_all_arrived(self.both[at].ledger, self.both[1 - at].ledger)

    def _be_well(self, lasts_s: float) -> None:
        until_s = self.now_s + lasts_s
        while self.now_s < until_s:
            self.now_s += 0.1
            for side in self.both:
                side.link.tick(self.now_s)
            packets = 0
            while any(side.link.has_packet for side in self.both):
                packets += 1
                assert packets < 50, "they answer each other without end"
                for at, side in enumerate(self.both):
                    place = side.take(self.now_s)
                    if place is not None:
                        self._deliver(at, place)
            for side in self.both:
                side.report()

    def _deliver(self, side: int, place: int) -> None:
        self.both[1 - side].receive(self.both[side].published[place][2], self.now_s)


TestAnyBus = AnyBus.TestCase
TestAnyBus.settings = settings(max_examples=200, stateful_step_count=30)


class Pair:
    """Two sides on a bus that is well until a test takes packets from it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.a, self.b = Side("a"), Side("b")

    def settle(self) -> None:
        """Let every packet arrive that there is."""
        while self.a.link.has_packet or self.b.link.has_packet:
            for sender, receiver in ((self.a, self.b), (self.b, self.a)):
                place = sender.take(self.now_s)
                if place is not None:
                    receiver.receive(sender.published[place][2], self.now_s)

    def open(self) -> None:
        """Say something both ways."""
        self.a.send(1, self.now_s)
        self.b.send(1, self.now_s)
        self.settle()

    def pass_time(self, passes_s: float) -> None:
        """Nothing arrives for so long."""
        until_s = self.now_s + passes_s
        while self.now_s < until_s - 1e-9:
            self.now_s += 0.1
            self.a.link.tick(self.now_s)
            self.b.link.tick(self.now_s)


def test_a_packet_that_comes_again_is_dropped() -> None:
    """Each of them, and nothing is reset by it."""
    pair = Pair()
    pair.open()
    for *_, data in [*pair.a.published, *pair.a.published]:
        pair.b.receive(data, 0.0)
    pair.settle()
    assert pair.b.ledger.received == [[1]]
    assert pair.a.link.stats.resets == pair.b.link.stats.resets == 0


def test_packets_from_before_a_reset_are_dropped() -> None:
    """All of them, hellos too: both sides go on as they are."""
    pair = Pair()
    pair.open()
    pair.a.link.reset(0.0)
    pair.a.report()
    pair.settle()
    pair.open()
    assert pair.b.ledger.received == [[1], [1]]
    for side, other in ((pair.a, pair.b), (pair.b, pair.a)):
        for *_, data in side.published[:3]:
            other.receive(data, 0.0)
    pair.settle()
    assert pair.b.ledger.received == [[1], [1]]
    assert pair.a.link.stats.resets == pair.b.link.stats.resets == 1


def test_a_packet_that_the_bus_does_not_take_resets_both_sides() -> None:
    """At once here; the other side with the hello that follows. What waits is given up."""
    pair = Pair()
    pair.open()
    pair.a.send(2, 0.0)
    link_number, number, _ = pair.a.published[pair.a.take(0.0) or 0]
    pair.a.send(3, 0.0)
    pair.a.link.fail(link_number, number, 0.0)
    assert pair.a.link.is_reset
    pair.a.report()
    pair.a.link.fail(link_number, number, 0.0)  # of a link that is over
    assert not pair.a.link.is_reset
    pair.settle()
    pair.open()
    assert pair.a.ledger.received == pair.b.ledger.received == [[1], [1]]


def test_a_hello_that_nobody_hears_resets_nothing() -> None:
    """It is said again with the next beat."""
    pair = Pair()
    pair.a.send(1, 0.0)
    link_number, number, _ = pair.a.published[pair.a.take(0.0) or 0]
    pair.a.link.fail(link_number, number, 0.0)
    assert not pair.a.link.has_packet
    pair.pass_time(BEAT_S)
    pair.settle()
    assert pair.b.ledger.received == [[1]]
    assert pair.a.link.stats.resets == 0


def test_a_peer_that_does_not_answer_is_not_waited_for_without_end() -> None:
    """What waits for it is given up after 1.5 s, though nobody watches."""
    pair = Pair()
    pair.a.send(1, 0.0)
    pair.pass_time(SILENT_S - 0.2)
    assert not pair.a.link.is_reset
    pair.pass_time(0.3)
    assert pair.a.link.is_reset
    assert pair.a.link.is_drained


def test_no_more_is_under_way_than_the_bus_can_hold() -> None:
    """A peer that stands still gets 64 packets; what comes then waits, and becomes one packet when it reads again."""
    pair = Pair()
    pair.open()
    under_way: list[int] = []
    for number in range(2, 200):
        pair.a.send(number, 0.0)
        place = pair.a.take(0.0)
        if place is not None:
            under_way.append(place)
    assert len(under_way) == WINDOW_PACKETS - 1  # and the first message, which was not acknowledged yet
    for place in under_way:
        pair.b.receive(pair.a.published[place][2], 0.0)
    pair.settle()
    assert pair.b.ledger.received == [list(range(1, 200))]
    assert len(pair.a.published) == under_way[-1] + 2


def test_large_messages_are_sent_in_parts_and_joined() -> None:
    """A packet has a megabyte at most, and at most 4 MiB are under way. What arrives is as it was sent, in order."""
    pair = Pair()
    pair.open()
    sizes = [PACKET_BYTES // 2 + 1 if number % 2 else 2 * PACKET_BYTES for number in range(2, 10)]
    for number, size in enumerate(sizes, 2):
        pair.a.send(number, 0.0, bytes(size))
    before = len(pair.a.published)
    while pair.a.take(0.0) is not None:
        pass
    under_way = [len(data) for *_, data in pair.a.published[before:]]
    assert max(under_way) <= PACKET_BYTES + 100
    assert sum(under_way) < WINDOW_BYTES + PACKET_BYTES
    for *_, data in pair.a.published[before:]:
        pair.b.receive(data, 0.0)
    pair.settle()
    assert pair.b.ledger.received == [list(range(1, 10))]
    assert pair.b.bytes_received == [0, *sizes]


def test_a_message_of_which_a_part_is_lost_is_given_up() -> None:
    """Both sides are told; what is left of it is not joined with anything that comes later."""
    pair = Pair()
    pair.open()
    pair.a.send(2, 0.0, bytes(3 * PACKET_BYTES))
    before = len(pair.a.published)
    while pair.a.take(0.0) is not None:
        pass
    first, _, *rest = pair.a.published[before:]
    for *_, data in (first, *rest):
        pair.b.receive(data, 0.0)
    pair.settle()
    pair.a.send(3, 0.0, bytes(2 * PACKET_BYTES))
    pair.settle()
    assert pair.b.ledger.received == [[1], [3]]


def test_a_message_that_is_larger_than_a_queue_is_not_joined() -> None:
    """The peer has other limits: the link is reset, and nothing grows here."""
    pair = Pair()
    pair.b.link = Link("b", pair.b.numbers, 0.0, 2 * PACKET_BYTES)
    pair.open()
    pair.a.send(2, 0.0, bytes(3 * PACKET_BYTES))
    pair.settle()
    pair.a.send(3, 0.0)
    pair.settle()
    assert pair.b.ledger.received == [[1], [3]]


def test_a_peer_that_takes_packets_and_acknowledges_none_is_given_up() -> None:
    """The window is full, and nothing comes back: after 1.5 s the link is reset."""
    pair = Pair()
    pair.open()
    for number in range(2, 100):
        pair.a.send(number, 0.0)
        pair.a.take(0.0)
    pair.pass_time(SILENT_S - 0.2)
    assert not pair.a.link.is_reset
    pair.pass_time(0.3)
    assert pair.a.link.is_reset


def test_what_waits_is_bounded_by_its_bytes() -> None:
    """Over 32 MiB the link is reset, and nothing is sent until that is reported."""
    pair = Pair()
    pair.open()
    pair.a.send(2, 0.0, bytes(QUEUE_BYTES // 2))
    assert not pair.a.link.is_reset
    pair.a.send(3, 0.0, bytes(QUEUE_BYTES // 2))
    pair.a.send(4, 0.0)
    assert pair.a.link.is_reset
    assert pair.a.link.is_drained
    pair.a.report()
    pair.a.send(5, 0.0)
    pair.settle()
    assert pair.b.ledger.received == [[1], [5]]


def test_a_link_that_is_reset_again_says_hello_with_the_next_beat_only() -> None:
    """Two sides that cannot get a message through do not fill the bus with hellos."""
    pair = Pair()
    pair.open()
    pair.a.link.reset(0.0)
    assert pair.a.link.has_packet
    pair.settle()
    pair.a.link.reset(0.0)
    assert not pair.a.link.has_packet
    pair.pass_time(BEAT_S)
    assert pair.a.link.has_packet


def test_a_side_that_stood_still_does_not_take_that_for_silence() -> None:
    """It listens for another half second first."""
    pair = Pair()
    pair.open()
    pair.a.link.watch(0.0)
    pair.a.link.wait_again(60.0)
    assert not pair.a.link.tick(60.0)
    assert not pair.a.link.tick(60.4)
    assert pair.a.link.tick(60.6)
    assert not pair.a.link.tick(60.7)
    assert pair.a.link.tick(61.1)


def test_who_only_listens_is_heard_by_who_watches() -> None:
    """Messages all the time, and never a beat: they are acknowledged in time, though nothing is said in return."""
    pair = Pair()
    pair.open()
    pair.a.link.watch(0.0)
    for number in range(2, 100):
        pair.now_s += 0.2
        pair.a.send(number, pair.now_s)
        assert not pair.a.link.tick(pair.now_s)
        pair.settle()


def test_a_side_that_was_forgotten_is_told_at_once() -> None:
    """What it says means a link that is over; it is answered with a hello."""
    pair = Pair()
    pair.open()
    pair.b.link = Link("b", pair.b.numbers, 0.0)
    pair.a.send(2, 0.0)
    pair.settle()
    assert pair.a.link.stats.resets == 1
    assert pair.a.link.is_open
    assert pair.b.ledger.received == [[1]]


def test_a_side_whose_hellos_were_all_lost_answers_what_is_from_before_its_reset() -> None:
    """The other side would not begin anew otherwise, and all that it says would be dropped."""
    pair = Pair()
    pair.open()
    pair.a.link.watch(0.0)
    pair.b.link.reset(0.0)
    pair.b.report()
    for _ in range(round(SILENT_S / 0.1) + 5):
        pair.pass_time(0.1)
        pair.a.take(pair.now_s)
        pair.b.take(pair.now_s)
    assert not pair.b.link.has_packet
    for _ in range(10):
        pair.pass_time(0.1)
        pair.settle()
    assert pair.a.link.stats.resets == 1
    pair.open()
    assert pair.a.ledger.received == pair.b.ledger.received == [[1], [1]]
