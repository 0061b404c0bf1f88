"""Messages into a room from outside: without a sender, in the room's order, and with a reply (SPEC 3, rooms rows)."""

import msgspec

from omnisonic.actors.rooms.mailbox import Dismiss, ExternalMessage, Join, Leave, PutLease
from omnisonic.actors.rooms.state import RoomState
from omnisonic.stores.bus.events import Reply
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.messages import MESSAGE_BYTES, Envelope
from tests.actors.handles import FakeConnection, member, sent, text
from tests.actors.room_stage import Stage


class Replies(list[Reply]):
    """What became of what was said."""

    def reported(self, type_: str, payload: bytes = b"null", to: str | None = None) -> ExternalMessage:
        """A message from the web side."""
        return ExternalMessage(Envelope(type_, msgspec.Raw(payload), to), self.append)


def test_everyone_hears_it_from_nobody_in_the_rooms_order() -> None:
    """It counts like any other message, and the payload's bytes are untouched."""
    stage, replies = Stage("ada", "bob"), Replies()
    stage.turn(
        sent(stage.connections["ada"], text("note")),
        replies.reported("cue", b'{"bar": 1e2}'),
        sent(stage.connections["bob"], text("ok")),
    )
    cue = {"type": "cue", "payload": {"bar": 100}, "from": None, "offset": 2}
    seen = stage.received()
    assert seen["ada"] == [cue, {"type": "ok", "payload": None, "from": "bob", "offset": 3}]
    assert seen["bob"] == [{"type": "note", "payload": None, "from": "ada", "offset": 1}, cue]
    assert replies == [Reply(2)]


def test_the_servers_own_types_are_said_from_outside() -> None:
    """`session.updated` and the like come from the web side, which lets no user say them."""
    stage, replies = Stage("ada"), Replies()
    stage.turn(replies.reported("session.updated", b"{}"))
    assert stage.types() == {"ada": ["session.updated"]}


def test_to_one_member_nobody_else_hears_it_and_it_has_no_offset() -> None:
    """As members' own messages to one."""
    stage, replies = Stage("ada", "bob"), Replies()
    stage.turn(replies.reported("cue", b"7", to="bob"))
    assert stage.received() == {"ada": [], "bob": [{"type": "cue", "payload": 7, "from": None}]}
    assert replies == [Reply(0)]


def test_a_member_who_is_not_connected_is_unknown() -> None:
    """Be they nobody at all, or here by a lease."""
    stage, replies = Stage("ada"), Replies()
    stage.turn(PutLease(member("eve"), 1e9))
    stage.turn(replies.reported("cue", to="eve"), replies.reported("cue", to="nobody"))
    assert [reply.code for reply in replies] == ["unknown_member"] * 2
    assert stage.types() == {"ada": ["presence.join"]}


def test_a_payload_that_is_too_large_is_refused() -> None:
    """The limit is the one of members."""
    stage, replies = Stage("ada"), Replies()
    stage.turn(replies.reported("cue", b'"' + b"x" * MESSAGE_BYTES + b'"'))
    assert [reply.code for reply in replies] == ["too_large"]
    assert stage.types() == {"ada": []}


def test_a_room_without_connections_is_silent() -> None:
    """Another gateway may have that room with people in it: that one replies."""
    stage, replies = Stage("ada"), Replies()
    stage.turn(PutLease(member("eve"), 1e9), Leave(stage.connections["ada"], "left"), replies.reported("cue"))
    assert replies == []
    assert stage.room.offset == 0


def test_a_goodbye_is_heard_before_the_room_closes() -> None:
    """`session.deleted`, then 4004, in one turn."""
    stage, replies = Stage("ada"), Replies()
    connection = FakeConnection("bob")
    stage.turn(
        Join(connection, member("bob")), replies.reported("session.deleted"), Dismiss(Closing(CloseCode.ROOM_CLOSED))
    )
    assert connection.types() == ["welcome", "session.deleted"]
    assert connection.closing == Closing(CloseCode.ROOM_CLOSED)


class Picky(RoomState):
    """A room that keeps back what it is told of type `secret`."""

    def on_external(self, envelope: Envelope) -> bool:
        return envelope.type != "secret"


def test_a_room_may_keep_back_what_it_is_told() -> None:
    """The hook decides, and who said it is told that it was taken."""
    stage, replies = Stage("ada", room_class=Picky), Replies()
    stage.turn(replies.reported("secret"), replies.reported("cue"))
    assert stage.types() == {"ada": ["cue"]}
    assert replies == [Reply(0), Reply(1)]
