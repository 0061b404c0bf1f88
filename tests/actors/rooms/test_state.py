"""A room, message by message: what each one does, who gets it, in which order (SPEC 5.2)."""

from typing import Any

import pytest

from omnisonic.actors.rooms.batch import KNOWN_TYPES, Batch, RelayPrefixes
from omnisonic.actors.rooms.mailbox import Join
from omnisonic.actors.rooms.state import RoomState
from omnisonic.errors import InvalidInput
from omnisonic.models import Member
from omnisonic.wire.closing import CloseCode
from omnisonic.wire.frames import TEXT, Frame
from omnisonic.wire.json_limits import DEPTH
from omnisonic.wire.message_types import SERVER_TYPES
from omnisonic.wire.messages import MESSAGE_BYTES, TYPE_LENGTH
from tests.actors.handles import FakeConnection, binary, member, sent, text
from tests.actors.room_stage import Poisoned, Stage


def refusal(frame: Frame) -> dict[str, Any]:
    """The error that this message gets; nobody else hears anything, and it takes no place in the order."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], frame))
    seen = stage.received()
    assert seen["bob"] == []
    assert stage.room.offset == 0
    (error,) = seen["ada"]
    assert error["type"] == "error"
    payload = error["payload"]
    assert payload["message"].endswith(".")
    assert isinstance(payload, dict)
    return payload


def test_a_message_is_relayed_to_everyone_but_its_sender() -> None:
    """The payload as it came, the sender's real id, and a place in the order."""
    stage = Stage("ada", "bob", "cyd")
    stage.turn(sent(stage.connections["ada"], text("note", {"pitch": 60})))
    message = {"type": "note", "payload": {"pitch": 60}, "from": "ada", "offset": 1}
    assert stage.received() == {"ada": [], "bob": [message], "cyd": [message]}


def test_a_client_cannot_speak_for_another() -> None:
    """A forged `from` or `offset`, beside the payload or doubled, is not what the others see."""
    stage = Stage("ada", "bob")
    forged = b'{"type":"x","from":"bob","offset":99,"payload":{"from":"eve"},"from":"cyd"}'
    stage.turn(sent(stage.connections["ada"], (TEXT, forged), text("y", None, **{"from": "bob"})))
    seen = stage.received()["bob"]
    assert [(message["from"], message["offset"]) for message in seen] == [("ada", 1), ("ada", 2)]


def test_a_binary_message_is_relayed_behind_its_senders_name() -> None:
    """`[1 byte length][sender][bytes]`, in the same order as text, but not in its count: it is not remembered."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("a"), binary(b"\x90\x3c\x7f"), text("b")))
    first, midi, last = stage.received()["bob"]
    assert (first["offset"], midi, last["offset"]) == (1, b"\x03ada\x90\x3c\x7f", 2)


def test_everything_said_in_a_turn_comes_in_one_order() -> None:
    """Each hears the others, in the order of the offsets."""
    stage = Stage("ada", "bob", "cyd")
    ada, bob = stage.connections["ada"], stage.connections["bob"]
    stage.turn(sent(ada, text("a1"), text("a2")), sent(bob, text("b1")), sent(ada, text("a3")))
    assert stage.types() == {"ada": ["b1"], "bob": ["a1", "a2", "a3"], "cyd": ["a1", "a2", "b1", "a3"]}


def test_what_somebody_without_a_seat_says_is_not_heard() -> None:
    """Replaced or sent out, with words still in the mailbox."""
    stage = Stage("ada", "bob")
    stage.turn(sent(FakeConnection("stranger"), text("note")))
    assert stage.received() == {"ada": [], "bob": []}


def test_a_message_with_a_to_reaches_one_member_only() -> None:
    """It carries no offset, for it has no place in the room's order; its ack tells where the room is."""
    stage = Stage("ada", "bob", "cyd")
    stage.turn(sent(stage.connections["ada"], text("note"), text("signal.offer", [1], to="bob", id="i")))
    seen = stage.received()
    assert seen["bob"][1] == {"type": "signal.offer", "payload": [1], "from": "ada"}
    assert [message["type"] for message in seen["cyd"]] == ["note"]
    assert seen["ada"] == [{"type": "ack", "payload": {"id": "i", "offset": 1}}]


def test_a_message_to_oneself_comes_back() -> None:
    """A client may use it to measure its way."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("note", 1, to="ada")))
    assert stage.received() == {"ada": [{"type": "note", "payload": 1, "from": "ada"}], "bob": []}


@pytest.mark.parametrize("reply_id", ["i", "", 0, -1, 1 << 70])
def test_an_id_is_acknowledged_with_the_offset(reply_id: str | int) -> None:
    """Whatever id the client chose; the others do not see it."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("note"), text("note", None, id=reply_id)))
    seen = stage.received()
    assert seen["ada"] == [{"type": "ack", "payload": {"id": reply_id, "offset": 2}}]
    assert all("id" not in message for message in seen["bob"])


def test_a_heartbeat_is_answered_and_not_relayed() -> None:
    """With the server's clock and the client's payload."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("heartbeat", {"t": 1}, id=5)))
    assert stage.received() == {
        "ada": [
            {"type": "heartbeat", "payload": {"ts": 17, "echo": {"t": 1}}},
            {"type": "ack", "payload": {"id": 5, "offset": 0}},
        ],
        "bob": [],
    }


def test_a_presence_that_is_set_is_seen_by_all() -> None:
    """The speaker too; the words around it keep their place."""
    stage = Stage("ada", "bob")
    ada = stage.connections["ada"]
    stage.turn(sent(ada, text("a"), text("presence.set", {"status": "away", "displayName": "A"}, id=1), text("b")))
    seen = stage.received()
    shown = {"memberId": "ada", "displayName": "A", "status": "away", "connected": True}
    assert [message["type"] for message in seen["bob"]] == ["a", "presence.update", "b"]
    assert [message["type"] for message in seen["ada"]] == ["presence.update", "ack"]
    assert seen["ada"][0]["payload"] == seen["bob"][1]["payload"] == shown
    assert stage.shown()[0] == Member("ada", "A", "away")


def test_a_presence_that_changes_nothing_is_not_told() -> None:
    """What is absent stays, and what stays is no news."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("presence.set", {"status": "active"}), text("presence.set", {})))
    assert stage.received() == {"ada": [], "bob": []}


@pytest.mark.parametrize("type_", sorted(SERVER_TYPES))
def test_the_servers_types_are_reserved(type_: str) -> None:
    """Even to one member, and the error says which message it was."""
    assert refusal(text(type_, {}, id=1)) == {
        "code": "reserved_type",
        "message": f"Only the server says {type_}.",
        "id": 1,
    }
    assert refusal(text(type_, {}, to="bob"))["code"] == "reserved_type"


@pytest.mark.parametrize(("frame", "code"), [
    ((TEXT, b"hello"), "invalid_json"),
    ((TEXT, b"[]"), "invalid_message"),
    ((TEXT, b'{"type":1}'), "invalid_message"),
    ((TEXT, b"{}"), "invalid_message"),
    (text(""), "invalid_message"),
    (text("t" * (TYPE_LENGTH + 1)), "invalid_message"),
    ((TEXT, b'{"type":"x","payload":' + b"[" * DEPTH + b"]" * DEPTH + b"}"), "too_deep"),
    ((TEXT, b'{"":' + b"[" * DEPTH + b"]" * DEPTH + b',"type":"x"}'), "too_deep"),
    (text("x", "-" * MESSAGE_BYTES), "too_large"),
    (binary(b"-" * (MESSAGE_BYTES + 1)), "too_large"),
    (text("presence.set", {"status": "gone"}), "invalid_status"),
    (text("presence.set", {"displayName": " "}), "invalid_display_name"),
    (text("presence.set", {"displayName": "a\nb"}), "invalid_display_name"),
    (text("presence.set", []), "invalid_message"),
    (text("transport.set", {}), "invalid_transport"),
    (text("state.set", {}), "invalid_message"),
    (text("state.set", {"key": "k", "value": 1}, to="bob"), "invalid_message"),
    (text("signal.offer", {}), "to_required"),
    (text("note", None, to="eve"), "unknown_member"),
    (text("note", None, to=""), "unknown_member"),
])  # fmt: skip
def test_what_cannot_be_done_is_answered_with_a_code(frame: Frame, code: str) -> None:
    """One error to the sender; nobody else hears of it."""
    assert refusal(frame)["code"] == code


@pytest.mark.parametrize("room_class", [RoomState, Poisoned])
@pytest.mark.parametrize("size", [0, MESSAGE_BYTES - 1, MESSAGE_BYTES])
def test_a_binary_message_of_the_largest_size_is_relayed(size: int, room_class: type[RoomState]) -> None:
    """To the last byte, whether the room listens or not; one more is refused."""
    stage = Stage("ada", "bob", room_class=room_class)
    data = bytes(number % 251 for number in range(size))
    stage.turn(sent(stage.connections["ada"], binary(data)))
    assert stage.received() == {"ada": [], "bob": [b"\x03ada" + data]}


@pytest.mark.parametrize("code_of", ["transport.set", "signal.answer", "presence.set", "welcome"])
def test_an_error_names_the_message_it_is_about(code_of: str) -> None:
    """By the `id` it had; there is no ack then."""
    assert refusal(text(code_of, 1, id="mine"))["id"] == "mine"


def test_a_refused_message_does_not_hold_up_the_others() -> None:
    """The rest of a read is relayed as if it had not been there."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], text("a"), (TEXT, b"nonsense"), text("welcome"), text("b")))
    seen = stage.received()
    assert [(message["type"], message["offset"]) for message in seen["bob"]] == [("a", 1), ("b", 2)]
    assert [message["payload"]["code"] for message in seen["ada"]] == ["invalid_json", "reserved_type"]


def test_a_member_present_by_a_lease_only_cannot_be_written_to() -> None:
    """Nobody would read it."""
    stage = Stage("ada")
    stage.room.roster.put_lease(member("eve"), 1e9)
    stage.turn(sent(stage.connections["ada"], text("note", to="eve")))
    assert stage.received()["ada"][0]["payload"]["code"] == "unknown_member"


def test_text_that_is_not_utf8_ends_the_connection() -> None:
    """What was said before it is relayed, what comes behind it is not, and the others see the member leave."""
    stage = Stage("ada", "bob")
    ada = stage.connections["ada"]
    stage.turn(sent(ada, text("a"), (TEXT, b'{"type":"\xff"}'), text("b")))
    assert ada.closing is not None
    assert ada.closing.code is CloseCode.INVALID_UTF8
    assert ada.received() == []
    seen = stage.connections["bob"].received()
    assert [message["type"] for message in seen] == ["a", "presence.leave"]
    assert seen[1]["payload"] == {"memberId": "ada", "reason": "invalid_utf8"}


def test_a_stranger_cannot_fill_the_memory_with_types() -> None:
    """Heads are kept for so many types; others work all the same."""
    relay_prefixes = RelayPrefixes()
    for number in range(KNOWN_TYPES + 100):
        assert relay_prefixes[f"type {number}"] == f'{{"type":"type {number}","payload":'.encode()
    assert len(relay_prefixes) == KNOWN_TYPES
    with pytest.raises(InvalidInput):
        relay_prefixes[""]


def test_a_letter_without_frames_changes_nothing() -> None:
    """A read may hold nothing but a part of a frame."""
    stage = Stage("ada", "bob")
    batch = stage.turn(sent(stage.connections["ada"]))
    assert (batch.size, batch.edits) == (0, {})


def test_a_room_does_not_touch_a_payload() -> None:
    """Numbers, spaces and escapes are the sender's."""
    stage = Stage("ada")
    batch = Batch()
    stage.room.handle(Join(FakeConnection("bob"), member("bob")), Batch())
    payload = b'[1.0, 1e3,  "\\u0041", {"a":1,"a":2}]'
    stage.room.handle(sent(stage.connections["ada"], (TEXT, b'{"type":"x","payload":' + payload + b"}")), batch)
    assert batch.stream().endswith(b'{"type":"x","payload":' + payload + b',"from":"ada","offset":1}')
