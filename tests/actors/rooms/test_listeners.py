"""Listeners in a room: they hear and talk, and change nothing (SPEC 3, 5.2)."""

from dataclasses import replace
from typing import Any

from omnisonic.actors.rooms.mailbox import ChangeRole, Join
from omnisonic.actors.rooms.state import RoomState
from omnisonic.wire.frames import BINARY, Frame
from tests.actors.handles import FakeConnection, member, sent, text
from tests.actors.room_stage import Stage

PLAY: Frame = text("transport.set", {"playing": True}, id=1)


def set_(key: str, value: object, **fields: Any) -> Frame:
    """A `state.set`."""
    return text("state.set", {"key": key, "value": value, **fields})


def stage_with_listener() -> tuple[Stage, FakeConnection]:
    """Ada, who may change things, and Lee, who listens."""
    stage = Stage("ada")
    lee = FakeConnection("lee")
    stage.turn(Join(lee, member("lee"), is_listener=True))
    stage.connections["lee"] = lee
    stage.received()
    return stage, lee


def refusals(connection: FakeConnection) -> list[str]:
    """The codes of the errors that came."""
    return [message["payload"]["code"] for message in connection.received() if message["type"] == "error"]


def test_a_listener_talks_like_everybody() -> None:
    """To all and to one, acknowledged, with a signal, a heartbeat and another name."""
    stage, lee = stage_with_listener()
    call = text("signal.offer", {}, to="ada")
    talk = text("chat", {"text": "nice"}, id="x")
    stage.turn(sent(lee, talk, call, text("heartbeat", None), text("presence.set", {"displayName": "L"})))
    heard = stage.types()
    assert sorted(heard["ada"]) == ["chat", "presence.update", "signal.offer"]
    assert sorted(heard["lee"]) == ["ack", "heartbeat", "presence.update"]


def test_a_listener_changes_nothing_that_others_hear() -> None:
    """Not the transport, no shared key, nothing played: each is refused with its `id`, and nobody hears of it."""
    stage, lee = stage_with_listener()
    stage.turn(sent(stage.connections["ada"], set_("take", 3), set_("ada", 1, ephemeral=True)))
    stage.received()
    foreign = [set_("take", 4), set_("take", None), set_("new", 1), set_("take", 4, ephemeral=True)]
    foreign += [set_("ada", 2, ephemeral=True), set_("ada", None, ephemeral=True)]
    foreign += [set_(key, 1, ephemeral=True) for key in ("click", "lee", "place.ada", "place.b.lee", "place.lee.")]
    stage.turn(sent(lee, PLAY, *foreign, (BINARY, b"\x90\x40\x7f")))
    assert stage.connections["ada"].received() == []
    errors = lee.received()
    assert [error["payload"]["code"] for error in errors] == ["listeners_change_nothing"] * 13
    assert errors[0]["payload"]["id"] == 1
    assert not stage.room.memory.transport.playing


def test_a_listener_has_ephemeral_keys_of_their_own() -> None:
    """Where they are is theirs to show, to move and to hide."""
    stage, lee = stage_with_listener()
    for value in (1, 2, None):
        stage.turn(sent(lee, set_("at.lee", value, ephemeral=True)))
    changed = [message["payload"]["value"] for message in stage.connections["ada"].received()]
    assert changed == [1, 2, None]


def test_a_role_that_changes_is_followed_at_once_and_outlives_a_crash() -> None:
    """Made an editor, Lee plays; made a listener again, no more, also in the room that starts after a crash."""
    stage, lee = stage_with_listener()
    stage.turn(ChangeRole(lee, is_listener=False), sent(lee, PLAY))
    assert stage.types()["ada"] == ["transport.state"]
    stage.turn(sent(lee, (BINARY, b"\x90")))
    assert stage.received()["ada"] == [b"\x03lee\x90"]
    batch = stage.turn(ChangeRole(lee, is_listener=True), sent(lee, set_("take", 1)))
    assert batch.roster_changed
    assert refusals(lee) == ["listeners_change_nothing"]
    stage.room = RoomState(replace(stage.room.context, entries=stage.room.roster.entries()))
    stage.turn(sent(lee, set_("take", 1)), ChangeRole(FakeConnection("gone"), is_listener=False))
    assert refusals(lee) == ["listeners_change_nothing"]


def test_whoever_takes_the_seat_over_has_the_rights_that_they_came_with() -> None:
    """The same person comes back, and is an editor by now."""
    stage, lee = stage_with_listener()
    again = FakeConnection("again")
    stage.turn(Join(again, member("lee")), sent(lee, set_("take", 1)), sent(again, set_("take", 2)))
    assert stage.connections["ada"].received()[-1]["payload"]["value"] == 2
