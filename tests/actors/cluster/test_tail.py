"""The tail of a room's order, as an edge has heard it."""

import json

from omnisonic.actors.cluster.tail import TAIL_BYTES, TAIL_S, Tail
from omnisonic.wire.frames import BINARY, TEXT, frame
from omnisonic.wire.recovery import Position


def note(offset: int, size: int = 1) -> bytes:
    """A message that was relayed to all."""
    head = json.dumps({"type": "note", "payload": "x" * size, "from": "ada"}, separators=(",", ":"))
    return head.encode()[:-1] + b',"offset":%d}' % offset


def stream(*offsets: int) -> bytes:
    """What all get in a turn: messages, and things that have no place in the order."""
    aside = frame(TEXT, b'{"type":"presence.leave","payload":{"memberId":"eve","reason":"left"}}')
    return b"".join(frame(TEXT, note(offset)) for offset in offsets) + aside + frame(BINARY, b'\x03bob,"offset":9}')


def tail(*turns: tuple[int, ...]) -> Tail:
    """A tail of these turns."""
    made = Tail()
    for offsets in turns:
        made.add(Position("e", offsets[-1]), stream(*offsets), 0.0)
    return made


def test_it_has_the_messages_after_a_position() -> None:
    """In order, as they were relayed; what is before the position is left out."""
    heard = tail((1, 2), (3,), (4, 5))
    assert heard.messages_after(Position("e", 2)) == [note(3), note(4), note(5)]
    assert heard.messages_after(Position("e", 5)) == []
    assert heard.messages_after(Position("e", 7)) == []


def test_it_does_not_bridge_a_hole() -> None:
    """When something between the position and its end is not there, it says so, as for another epoch."""
    assert tail((3,), (4,)).messages_after(Position("e", 1)) is None
    assert tail((1,), (3,)).messages_after(Position("e", 0)) is None
    assert tail((1,)).messages_after(Position("other", 0)) is None
    assert Tail().messages_after(Position("e", 0)) is None


def test_it_is_bounded_in_time_and_bytes() -> None:
    """The oldest streams go first."""
    heard = tail((1,))
    heard.add(Position("e", 2), stream(2), TAIL_S + 1)
    assert heard.messages_after(Position("e", 0)) is None
    assert heard.messages_after(Position("e", 1)) == [note(2)]
    heard.add(Position("e", 3), frame(TEXT, note(3, TAIL_BYTES)), TAIL_S + 1)
    assert heard.messages_after(Position("e", 2)) is None
    heard.add(Position("f", 4), stream(4), TAIL_S + 1)
    assert heard.messages_after(Position("f", 3)) == [note(4)]
