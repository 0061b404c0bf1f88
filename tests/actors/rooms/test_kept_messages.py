"""Kept messages in a room's state: relayed at once, handed to the writer, acknowledged when it says so (SPEC 5.2)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from omnisonic.actors.rooms.mailbox import Join, KeepResult, KeepResults
from omnisonic.actors.rooms.state import RoomState
from omnisonic.errors import InvalidInput
from omnisonic.models import Member
from omnisonic.studio.messages import Kept, MessageToKeep
from omnisonic.wire.messages import Envelope
from omnisonic.wire.recovery import Position
from tests.actors.handles import FakeConnection, Setting, member, sent, text
from tests.actors.room_stage import Stage

USER = "11111111-1111-4111-8111-111111111111"


@dataclass
class Taking:
    """A writer that takes what it is given, while it has a place."""

    taken: list[MessageToKeep] = field(default_factory=list)
    is_full: bool = False

    def __call__(self, message: MessageToKeep) -> bool:
        if not self.is_full:
            self.taken.append(message)
        return not self.is_full


def stage_with(writer: Taking | None, *names: str, **options: Any) -> Stage:
    return Stage(*(names or ("ada", "bob")), setting=Setting(keep=writer), **options)


def committed(*messages: MessageToKeep) -> KeepResults:
    """All of them are committed, at the places that they have."""
    results = (KeepResult(each.member_id, each.client_id, Kept(each.epoch, each.offset)) for each in messages)
    return KeepResults(tuple(results))


def test_a_kept_message_is_relayed_at_once_and_acknowledged_after_the_commit() -> None:
    """The others hear it in the room's order, with the id that its sender gave it."""
    writer = Taking()
    stage = stage_with(writer)
    stage.turn(sent(stage.connections["ada"], text("note"), text("chat", {"a": [1, 2]}, id="m1", keep=True)))
    heard = stage.received()
    assert heard["ada"] == []
    assert heard["bob"][1] == {"type": "chat", "payload": {"a": [1, 2]}, "id": "m1", "from": "ada", "offset": 2}
    stage.turn(committed(*writer.taken))
    assert stage.received() == {
        "ada": [{"type": "ack", "payload": {"id": "m1", "offset": 2, "kept": True}}],
        "bob": [],
    }


def test_what_is_written_is_who_said_what_when_and_where() -> None:
    """The user, and the name as it is shown now; the payload as the bytes that were sent."""
    writer = Taking()
    stage = stage_with(writer, "bob")
    ada = stage.connections["ada"] = FakeConnection("ada")
    stage.turn(Join(ada, Member("ada", "Countess"), USER))
    frame = text("chat", "caf\u00e9", id=7, keep=True)
    stage.turn(sent(ada, frame))
    (taken,) = writer.taken
    assert taken == MessageToKeep(
        room="jam",
        epoch="epoch",
        offset=1,
        member_id="ada",
        client_id="7",
        person=USER,
        display_name="Countess",
        type="chat",
        payload='"caf\\u00e9"',
        said_at=datetime.fromtimestamp(0.017, UTC),
    )
    stage.turn(committed(taken))
    assert ada.received()[-1]["payload"]["id"] == 7


def test_a_message_sent_again_is_said_once_and_given_to_the_writer_again() -> None:
    """The writer knows whether it is written down. It gets the first place, and the ack comes from there."""
    writer = Taking()
    stage = stage_with(writer)
    ada = stage.connections["ada"]
    stage.turn(sent(ada, text("chat", "x", id="m1", keep=True), text("chat", "x", id="m1", keep=True)))
    stage.turn(sent(ada, text("chat", "x", id="m1", keep=True)))
    assert [message["offset"] for message in stage.received()["bob"]] == [1]
    assert [each.offset for each in writer.taken] == [1, 1, 1]
    assert len({each._replace() for each in writer.taken}) == 1
    stage.turn(sent(ada, text("chat", "x", id="m1")))
    assert stage.received()["ada"] == [{"type": "ack", "payload": {"id": "m1", "offset": 1}}]


def test_what_was_said_before_can_still_be_kept() -> None:
    """Said without `keep`, then again with it: nobody hears it twice."""
    writer = Taking()
    stage = stage_with(writer)
    ada = stage.connections["ada"]
    stage.turn(sent(ada, text("chat", "x", id="m1")), sent(ada, text("chat", "x", id="m1", keep=True)))
    assert [message.get("offset") for message in stage.received()["bob"]] == [1]
    assert [each.offset for each in writer.taken] == [1]


def test_the_ack_finds_its_member_on_the_connection_of_now() -> None:
    """Whoever has come back meanwhile gets it there; for who is not here it is dropped, whoever they are."""
    writer = Taking()
    stage = stage_with(writer)
    stage.turn(sent(stage.connections["ada"], text("chat", id="m1", keep=True)))
    old, new = stage.connections["ada"], FakeConnection("ada")
    stage.turn(Join(new, member("ada")))
    new.received()
    stage.turn(committed(*writer.taken), KeepResults((KeepResult("gone", "1", Kept("epoch", 1)),)))
    assert [message["type"] for message in new.received()] == ["ack"]
    assert "ack" not in old.types()


def test_an_offset_of_an_earlier_epoch_says_so() -> None:
    """After a crash of the gateway a message may be written down already, in the order of then."""
    writer = Taking()
    stage = stage_with(writer)
    stage.turn(KeepResults((KeepResult("ada", '"m1"', Kept("before", 70)),)))
    assert stage.received()["ada"] == [
        {"type": "ack", "payload": {"id": "m1", "offset": 70, "kept": True, "epoch": "before"}}
    ]


def test_a_message_that_cannot_be_kept_is_an_error_to_its_sender() -> None:
    """With its id, once the writer says so."""
    stage = stage_with(Taking())
    refused = InvalidInput("This was not kept.", code="keep_failed")
    stage.turn(KeepResults((KeepResult("ada", '"m1"', refused),)))
    assert stage.received() == {
        "ada": [{"type": "error", "payload": {"code": "keep_failed", "message": "This was not kept.", "id": "m1"}}],
        "bob": [],
    }


def test_a_full_queue_refuses_before_anything_is_said() -> None:
    """Nobody hears it, no offset is used; sent again later, it is a message like any other."""
    writer = Taking(is_full=True)
    stage = stage_with(writer)
    ada = stage.connections["ada"]
    stage.turn(sent(ada, text("chat", id="m1", keep=True)))
    heard = stage.received()
    assert [message["payload"]["code"] for message in heard["ada"]] == ["keep_busy"]
    assert heard["bob"] == []
    writer.is_full = False
    stage.turn(sent(ada, text("chat", id="m1", keep=True)))
    assert [message["offset"] for message in stage.received()["bob"]] == [1]
    assert [each.offset for each in writer.taken] == [1]


def test_what_was_relayed_is_not_refused_by_a_full_queue() -> None:
    """It waits there itself: its sender gets the answer when it is written, on whichever connection."""
    writer = Taking()
    stage = stage_with(writer)
    ada = stage.connections["ada"]
    stage.turn(sent(ada, text("chat", id="m1", keep=True)))
    stage.received()
    writer.is_full = True
    again = stage.enter("ada")
    again.received()
    stage.turn(sent(again, text("chat", id="m1", keep=True)))
    assert (again.received(), stage.received()["bob"]) == ([], [])
    stage.turn(committed(*writer.taken))
    assert again.received() == [{"type": "ack", "payload": {"id": "m1", "offset": 1, "kept": True}}]


@pytest.mark.parametrize(
    ("type_", "fields", "code"),
    [
        ("chat", {}, "id_required"),
        ("chat", {"id": "m1", "to": "bob"}, "invalid_message"),
        ("heartbeat", {"id": "m1"}, "invalid_message"),
        ("presence.set", {"id": "m1"}, "invalid_message"),
        ("state.set", {"id": "m1"}, "invalid_message"),
        ("transport.set", {"id": "m1"}, "invalid_message"),
        ("signal.offer", {"id": "m1", "to": "bob"}, "invalid_message"),
        ("signal.offer", {"id": "m1"}, "to_required"),
        ("welcome", {"id": "m1"}, "reserved_type"),
        ("nul\0l", {"id": "m1"}, "invalid_message"),
    ],
)
def test_only_what_goes_to_everyone_and_has_an_id_is_kept(type_: str, fields: dict[str, Any], code: str) -> None:
    """The sender is told, and nobody else hears of it."""
    writer = Taking()
    stage = stage_with(writer)
    stage.turn(sent(stage.connections["ada"], text(type_, {}, keep=True, **fields)))
    heard = stage.received()
    (error,) = heard["ada"]
    assert (error["type"], error["payload"]["code"]) == ("error", code)
    assert heard["bob"] == []
    assert writer.taken == []


def test_where_nothing_is_kept_the_message_is_refused() -> None:
    """It is not said either: who wants it kept decides what to do."""
    stage = stage_with(None)
    stage.turn(sent(stage.connections["ada"], text("chat", id="m1", keep=True), text("chat", id="m2", keep=False)))
    heard = stage.received()
    assert [message["payload"].get("code") for message in heard["ada"]] == ["keep_unavailable", None]
    assert [message["offset"] for message in heard["bob"]] == [1]


def test_keep_that_is_no_yes_or_no_is_no_message() -> None:
    """The sender gets `invalid_message`."""
    stage = stage_with(Taking())
    for wrong in (1, "yes", None):
        stage.turn(sent(stage.connections["ada"], text("chat", id="m1", keep=wrong)))
        assert stage.received()["ada"][0]["payload"]["code"] == "invalid_message"


class Moderated(RoomState):
    """A room that drops what is rude, and makes the rest quieter."""

    def on_message(self, member: Member, envelope: Envelope) -> bool:
        envelope.payload = msgspec.Raw(bytes(envelope.payload).lower())
        return envelope.type != "rude"


def test_what_a_hook_drops_is_not_kept_and_what_it_changes_is_kept_as_it_is_said() -> None:
    """What is written down is what the others hear."""
    writer = Taking()
    stage = stage_with(writer, room_class=Moderated)
    ada = stage.connections["ada"]
    stage.turn(sent(ada, text("rude", "HA", id="m1", keep=True), text("chat", "HELLO", id="m2", keep=True)))
    heard = stage.received()
    assert [message["payload"] for message in heard["ada"]] == [{"id": "m1", "offset": 0}]
    assert [message["payload"] for message in heard["bob"]] == ["hello"]
    assert [each.payload for each in writer.taken] == ['"hello"']


def test_kept_messages_are_replayed_like_others_and_not_to_their_sender() -> None:
    """With their ids; one's own are left out, as without `keep`."""
    writer = Taking()
    stage = stage_with(writer)
    for name in ("ada", "bob"):
        stage.turn(sent(stage.connections[name], text("chat", name, id="m1", keep=True)))
    back = FakeConnection("bob")
    stage.turn(Join(back, member("bob"), since=Position("epoch", 0)))
    _, *missed = back.received()
    assert missed == [{"type": "chat", "payload": "ada", "id": "m1", "from": "ada", "offset": 1}]
