"""A batch: for every member, the common stream and its edits are the frames that were meant for them, in order."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.rooms.batch import Batch
from omnisonic.wire.closing import CloseCode, Closing
from tests.actors.handles import FakeConnection

bounded = settings(max_examples=400)
CLOSING = Closing(CloseCode.KICKED)
KINDS = ("all", "others", "one", "begin", "dismiss", "speak")


@dataclass
class Inbox:
    """What one member is to get, written down frame by frame."""

    connection: FakeConnection
    frames: list[bytes] = field(default_factory=list)
    is_dismissed: bool = False
    is_touched: bool = False

    def put(self, frame: bytes) -> None:
        if not self.is_dismissed:
            self.frames.append(frame)


def apply(batch: Batch, inboxes: list[Inbox], kind: str, who: Inbox, frame: bytes) -> None:
    """Do the same to the batch and to the plain lists."""
    if kind == "all":
        batch.to_all(frame)
    elif kind == "others":
        batch.to_others(who.connection, frame)
    elif kind == "one":
        batch.to_one(who.connection, frame)
    elif kind == "begin":
        batch.begin(who.connection, frame)
        who.frames.clear()
    elif kind == "dismiss":
        batch.dismiss(who.connection, CLOSING)
    else:  # as a room relays: two frames in place, and a reply to the speaker
        start = batch.size
        batch.pieces += (frame, frame)
        batch.size += 2 * len(frame)
        batch.edit(who.connection, start, batch.size, b"reply")
        who.put(b"reply")
    for inbox in inboxes:
        is_who = inbox is who
        for _ in range(2 if kind == "speak" else 1):
            if kind == "all" or (kind in ("others", "speak") and not is_who) or (kind in ("one", "begin") and is_who):
                inbox.put(frame)
    who.is_dismissed |= kind == "dismiss"
    who.is_touched = True


@bounded
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 3), st.binary(min_size=1, max_size=4)), max_size=20))
def test_everyone_gets_what_a_list_for_each_of_them_would_hold(script: list[tuple[str, int, bytes]]) -> None:
    """Speakers do not hear themselves, newcomers hear nothing old, who was sent out hears nothing more."""
    batch, inboxes = Batch(), [Inbox(FakeConnection(name)) for name in "abcd"]
    for kind, number, frame in script:
        who = inboxes[number]
        if who.is_dismissed or (kind == "begin" and who.is_touched):
            continue  # who was sent out does nothing more, and one enters before one does anything else
        apply(batch, inboxes, kind, who, frame)
    stream = batch.stream()
    assert len(stream) == batch.size
    for inbox in inboxes:
        assert batch.stream_for(inbox.connection, stream) == b"".join(inbox.frames)
    assert {connection for connection, _ in batch.dismissed} == {
        inbox.connection for inbox in inboxes if inbox.is_dismissed
    }


def test_who_has_no_edits_shares_the_very_bytes() -> None:
    """A turn costs one join, however many members there are."""
    batch = Batch()
    batch.to_others(FakeConnection("ada"), b"one")
    stream = batch.stream()
    assert batch.stream_for(FakeConnection("bob"), stream) is stream


def test_an_empty_turn_is_empty_for_everyone() -> None:
    """Nothing said, nothing sent."""
    batch, ada = Batch(), FakeConnection("ada")
    batch.edit(ada, 0, 0)
    assert batch.edits == {}
    assert batch.stream_for(ada, batch.stream()) == b""
