"""Messages of the server are JSON as SPEC 5.2 says, in frames that a client reads."""

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.models import Member
from omnisonic.wire import messages
from omnisonic.wire.message_types import SERVER_TYPES
from tests.wire.json_values import names, read_frame, values

bounded = settings(max_examples=100)
members = st.builds(Member, names, st.text(max_size=64), st.sampled_from(("active", "away")))


def as_json(member: Member) -> dict[str, object]:
    shown = {"memberId": member.member_id, "displayName": member.display_name, "status": member.status}
    return {**shown, "connected": True}


@bounded
@given(members)
def test_join_and_update_show_the_member(member: Member) -> None:
    """Both have the payload of SPEC 5.2."""
    line = messages.member_line(member)
    assert read_frame(messages.join_frame(line)) == {"type": "presence.join", "payload": as_json(member)}
    assert read_frame(messages.update_frame(line)) == {"type": "presence.update", "payload": as_json(member)}


@bounded
@given(names, st.lists(members, max_size=5), names, st.integers(0, 1 << 53))
def test_welcome_lists_who_is_there(member_id: str, others: list[Member], room_id: str, offset: int) -> None:
    """Every field of SPEC 5.2, and the members as they are shown."""
    welcome = messages.Welcome(room_id, member_id, 60, "epoch", offset, 1_700_000_000_000)
    message = read_frame(
        messages.welcome_frame(welcome, [messages.member_line(each) for each in others], b"{}", b"null")
    )
    assert message == {
        "type": "welcome",
        "payload": {
            "roomId": room_id,
            "memberId": member_id,
            "ttl": 60,
            "epoch": "epoch",
            "offset": offset,
            "serverTime": 1_700_000_000_000,
            "recovered": False,
            "members": [as_json(each) for each in others],
            "state": {},
            "transport": None,
        },
    }


@bounded
@given(names)
def test_leave_names_the_member_and_the_reason(member_id: str) -> None:
    """`presence.leave` has both."""
    message = read_frame(messages.leave_frame(member_id, "left"))
    assert message == {"type": "presence.leave", "payload": {"memberId": member_id, "reason": "left"}}


@bounded
@given(values)
def test_heartbeat_echoes_what_the_client_sent(echo: object) -> None:
    """The server's clock, and the client's payload untouched."""
    message = read_frame(messages.heartbeat_frame(17, msgspec.Raw(json.dumps(echo).encode())))
    assert message == {"type": "heartbeat", "payload": {"ts": 17, "echo": echo}}


@bounded
@given(st.one_of(st.integers(), st.text()), st.integers(0, 1 << 53))
def test_ack_says_which_and_where(reply_id: str | int, offset: int) -> None:
    """The id comes back unchanged, however large."""
    assert read_frame(messages.ack_frame(reply_id, offset)) == {
        "type": "ack",
        "payload": {"id": reply_id, "offset": offset},
    }


def test_error_leaves_out_an_id_that_was_not_given() -> None:
    """A message without an `id` gets an error without one."""
    assert read_frame(messages.error_frame("c", "m."))["payload"] == {"code": "c", "message": "m."}
    assert read_frame(messages.error_frame("c", "m.", 0))["payload"] == {"code": "c", "message": "m.", "id": 0}
    assert read_frame(messages.error_frame("c", "m.", ""))["payload"] == {"code": "c", "message": "m.", "id": ""}


@bounded
@given(names)
def test_a_message_to_one_carries_no_offset(sender: str) -> None:
    """It has no place in the room's order."""
    text = messages.relay_prefix("signal.offer") + b"[1]" + messages.directed_suffix(sender)
    assert json.loads(text) == {"type": "signal.offer", "payload": [1], "from": sender}


@bounded
@given(st.text(min_size=1, max_size=63))
def test_a_binary_message_begins_with_its_sender(sender: str) -> None:
    """One byte of length, then the id in UTF-8."""
    head = messages.binary_head(sender)
    assert head[0] == len(head) - 1
    assert head[1:].decode() == sender


def test_the_servers_types_are_those_of_the_contract() -> None:
    """A client that could send one of them could deceive the others."""
    assert {"welcome", "ack", "error", "presence.join", "presence.update", "presence.leave"} <= SERVER_TYPES
    assert {"presence.set", "heartbeat", "transport.set"}.isdisjoint(SERVER_TYPES)
