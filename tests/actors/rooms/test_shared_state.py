"""The state that members share: versions, limits, and what newcomers see (SPEC 5.2)."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.rooms.mailbox import ExternalMessage, Join, Leave, Mail
from omnisonic.actors.rooms.shared_state import KEYS, STATE_BYTES, VALUE_BYTES
from omnisonic.stores.bus.events import Reply
from omnisonic.wire.frames import Frame
from omnisonic.wire.messages import decode
from tests.actors.handles import FakeConnection, Setting, member, sent, text
from tests.actors.room_stage import Poisoned, Stage

bounded = settings(max_examples=150)


def set_(key: str, value: object, **fields: Any) -> Frame:
    """A `state.set`."""
    id_ = fields.pop("id", None)
    return text("state.set", {"key": key, "value": value, **fields}, **({} if id_ is None else {"id": id_}))


def state_of(stage: Stage, name: str = "newcomer") -> dict[str, Any]:
    """The state as a newcomer gets it."""
    connection = FakeConnection(name)
    stage.turn(Join(connection, member(name)))
    state: dict[str, Any] = connection.received()[0]["payload"]["state"]
    stage.turn(Leave(connection, "left"))
    return state


def test_everyone_hears_of_a_change_the_sender_too() -> None:
    """With a version, and by whom; a newcomer finds it in the welcome."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], set_("take", {"n": 3})))
    changed = {"type": "state.changed", "payload": {"key": "take", "value": {"n": 3}, "version": 1, "by": "ada"}}
    assert stage.received() == {"ada": [changed], "bob": [changed]}
    assert state_of(stage) == {"take": {"value": {"n": 3}, "version": 1, "by": "ada"}}


def test_null_deletes_and_a_version_is_never_used_again() -> None:
    """A conditional write cannot take a new value for an old one."""
    stage = Stage("ada")
    stage.turn(sent(stage.connections["ada"], set_("a", 1), set_("a", None)))
    assert state_of(stage) == {}
    stage.turn(sent(stage.connections["ada"], set_("a", 2)))
    assert state_of(stage)["a"]["version"] == 3


def test_an_ack_has_the_version_of_its_own_change_and_comes_after_it() -> None:
    """Also when a later change hides it from everybody, and when the message is sent again."""
    stage = Stage("ada", "bob")
    ada, bob = stage.connections["ada"], stage.connections["bob"]
    first = set_("a", 1, id="x")
    stage.turn(sent(ada, first), sent(bob, set_("b", 1)), sent(bob, set_("a", 2)))
    acked = {"type": "ack", "payload": {"id": "x", "offset": 0, "version": 1}}
    heard = ada.received()
    assert heard[0] == acked
    assert [(each["payload"]["key"], each["payload"]["version"]) for each in heard[1:]] == [("b", 2), ("a", 3)]
    stage.turn(sent(ada, first))
    assert ada.received() == [acked]
    stage.turn(sent(ada, text("note", id=1), set_("a", 3, id=2), text("note", id=3)))
    assert [(each["type"], each["payload"].get("version")) for each in ada.received()] == [
        ("ack", None),
        ("state.changed", 4),
        ("ack", 4),
        ("ack", None),
    ]
    assert [each["type"] for each in bob.received()][-3:] == ["note", "state.changed", "note"]


def test_a_conditional_change_that_comes_too_late_is_told_the_version() -> None:
    """Nothing changes, and the error has what is there."""
    stage = Stage("ada", "bob")
    stage.turn(sent(stage.connections["ada"], set_("a", 1)))
    stage.received()
    stage.turn(sent(stage.connections["bob"], set_("a", 2, ifVersion=7, id="x")))
    (error,) = stage.connections["bob"].received()
    assert (error["payload"]["code"], error["payload"]["version"], error["payload"]["id"]) == ("state_conflict", 1, "x")
    stage.turn(sent(stage.connections["bob"], set_("a", 2, ifVersion=1), set_("b", 1, ifVersion=0)))
    assert {key: each["value"] for key, each in state_of(stage).items()} == {"a": 2, "b": 1}


def test_of_two_conditional_changes_at_once_one_wins() -> None:
    """The room's order decides."""
    stage = Stage("ada", "bob")
    stage.turn(*(sent(stage.connections[name], set_("a", name, ifVersion=0)) for name in ("ada", "bob")))
    assert state_of(stage)["a"]["value"] == "ada"
    assert "error" in stage.types()["bob"]


def test_of_several_changes_in_one_turn_the_last_is_sent() -> None:
    """Where it was made among the other messages; everyone gets the same stream."""
    stage = Stage("ada", "bob", "cy")
    ada, bob = stage.connections["ada"], stage.connections["bob"]
    stage.turn(
        sent(ada, set_("fader", 1), text("note", "a"), set_("fader", 2)),
        sent(bob, text("note", "b"), set_("other", 1), set_("fader", 3), text("note", "c")),
    )
    received = stage.received()
    assert [(m["type"], m["payload"]) for m in received["cy"] if m["type"] == "note"] == [
        ("note", "a"),
        ("note", "b"),
        ("note", "c"),
    ]
    for name, own in (("ada", ["a"]), ("bob", ["b", "c"]), ("cy", list[str]())):
        changes = [m["payload"]["value"] for m in received[name] if m["type"] == "state.changed"]
        assert changes == [1, 3]
        seen = [m["payload"] for m in received[name] if m["type"] == "note"]
        assert seen == [each for each in ("a", "b", "c") if each not in own]


@bounded
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y"]), st.sampled_from(["set", "note", "join"])),
            max_size=8,
        ),
        max_size=6,
    )
)
def test_whoever_follows_the_changes_has_the_rooms_state(turns: list[list[tuple[str, str, str]]]) -> None:
    """Any interleaving of changes, messages and newcomers: snapshot and changes together are the state."""
    stage = Stage("a", "b", "c")
    views: dict[str, dict[str, int]] = {name: {} for name in "abc"}
    seen: dict[str, list[int]] = {name: [] for name in "abc"}
    for turn in turns:
        mails: list[Mail] = []
        for name, key, what in turn:
            if what == "join":
                stage.connections[name] = FakeConnection(name)
                mails.append(Join(stage.connections[name], member(name)))
            else:
                frame = set_(key, 1) if what == "set" else text("note")
                mails.append(sent(stage.connections[name], frame))
        stage.turn(*mails)
        for name, messages in stage.received().items():
            for message in messages:
                payload = message["payload"]
                if message["type"] == "welcome":
                    views[name] = {key: each["version"] for key, each in payload["state"].items()}
                    seen[name] = []
                elif message["type"] == "state.changed":
                    views[name][payload["key"]] = payload["version"]
                elif message["type"] == "note":
                    seen[name].append(message["offset"])
    state = {key: value.version for key, value in stage.room.memory.shared_state.items()}
    assert all(view == state for view in views.values())
    assert all(offsets == sorted(offsets) for offsets in seen.values())


def test_ephemeral_keys_go_with_their_member() -> None:
    """Not while a broken connection is waited for, and not those that somebody else has set since."""
    stage = Stage("ada", "bob", setting=Setting(grace_s=15.0))
    ada = stage.connections.pop("ada")
    stage.turn(sent(ada, set_("cursor", 4, ephemeral=True), set_("shared", 4, ephemeral=True), set_("kept", 4)))
    stage.turn(sent(stage.connections["bob"], set_("shared", 5, ephemeral=True)))
    stage.turn(Leave(ada, "lost", is_final=False))
    assert set(state_of(stage)) == {"cursor", "shared", "kept"}
    stage.received()
    again = FakeConnection("ada")
    stage.turn(Join(again, member("ada")), Leave(again, "left"))
    assert set(state_of(stage)) == {"shared", "kept"}
    changed = [m["payload"] for m in stage.connections["bob"].received() if m["type"] == "state.changed"]
    assert changed == [{"key": "cursor", "value": None, "version": 5, "by": "ada"}]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"key": "", "value": 1}, "invalid_state_key"),
        ({"key": "k" * 129, "value": 1}, "invalid_state_key"),
        ({"key": "a\nb", "value": 1}, "invalid_state_key"),
        ({"key": "a", "value": "x" * VALUE_BYTES}, "state_too_large"),
        ({"key": "a"}, "invalid_message"),
        ({"key": 5, "value": 1}, "invalid_message"),
        ([], "invalid_message"),
    ],
)
def test_what_does_not_fit_is_refused(payload: object, code: str) -> None:
    """And changes nothing."""
    stage = Stage("ada")
    stage.turn(sent(stage.connections["ada"], text("state.set", payload)))
    assert stage.connections["ada"].received()[0]["payload"]["code"] == code
    assert state_of(stage) == {}


def test_the_map_is_bounded_in_keys_and_bytes() -> None:
    """A key that is there can change, and a deletion makes room."""
    stage = Stage("ada")
    ada = stage.connections["ada"]
    stage.turn(sent(ada, *[set_(str(number), 1) for number in range(KEYS + 1)]))
    assert [m["payload"]["code"] for m in ada.received() if m["type"] == "error"] == ["state_too_large"]
    stage.turn(sent(ada, set_("0", 2), set_("1", None), set_("new", 1)))
    assert "error" not in ada.types()
    stage.turn(sent(ada, *[set_(str(number), "x" * 8_000) for number in range(10)]))
    assert ada.types().count("error") == 10 - 8
    assert stage.room.memory.shared_state.size <= STATE_BYTES


def test_it_can_be_changed_from_outside() -> None:
    """`by` is null; an ephemeral key needs a member."""
    stage = Stage("ada")
    replies: list[Reply] = []
    for payload in ('{"key":"a","value":1}', '{"key":"b","value":1,"ephemeral":true}'):
        envelope = decode(b'{"type":"state.set","payload":%b}' % payload.encode())
        stage.turn(ExternalMessage(envelope, replies.append))
    assert [reply.code for reply in replies] == ["", "invalid_message"]
    assert state_of(stage) == {"a": {"value": 1, "version": 1, "by": None}}


def test_a_room_that_decides_about_messages_decides_about_the_state() -> None:
    """What a hook keeps back is not set."""

    class Silent(Poisoned):
        def on_message(self, member: object, envelope: object) -> bool:
            return False

    stage = Stage("ada", room_class=Silent)
    stage.turn(sent(stage.connections["ada"], set_("a", 1), text("transport.set", {"playing": True})))
    assert stage.connections["ada"].received() == []
    assert state_of(stage) == {}
