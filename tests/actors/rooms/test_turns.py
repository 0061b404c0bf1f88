"""A turn of a room as a whole: what a room class hears, what a crash leaves, and who gets what, at random."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.rooms.mailbox import ClientMessages
from omnisonic.actors.rooms.state import RoomState
from omnisonic.models import Member
from omnisonic.wire.frames import TEXT, Frame
from omnisonic.wire.messages import Envelope
from tests.actors.handles import binary, sent, text
from tests.actors.room_stage import Poisoned, Stage

bounded = settings(max_examples=150)
NAMES = ("ada", "bob", "cyd")
KINDS = ("note", "ack", "binary", "to", "presence", "heartbeat", "nonsense")


class Picky(RoomState):
    """A room that keeps secrets back, and writes down what it heard."""

    def on_message(self, member: Member, envelope: Envelope) -> bool:
        self.log = [*getattr(self, "log", []), (member.member_id, envelope.type)]
        return envelope.type != "secret"


def test_a_room_class_hears_messages_before_the_others_do() -> None:
    """And may keep them back; heartbeats and refused messages are none of its business."""
    stage = Stage("ada", "bob", room_class=Picky)
    words = [
        text("a"),
        text("secret", id=1),
        text("secret", to="bob"),
        text("b", to="bob"),
        text("heartbeat"),
        text("ack"),
    ]
    stage.turn(sent(stage.connections["ada"], *words, binary(b"-")))
    seen = stage.received()
    assert isinstance(stage.room, Picky)
    assert stage.room.log == [("ada", "a"), ("ada", "secret"), ("ada", "secret"), ("ada", "b")]
    assert [each if isinstance(each, bytes) else each["type"] for each in seen["bob"]] == ["a", "b", b"\x03ada-"]
    assert [message["type"] for message in seen["ada"]] == ["ack", "heartbeat", "error"]


@bounded
@given(
    st.integers(0, 4), st.lists(st.sampled_from(("note", "heartbeat", "nonsense", "presence", "to", "ack")), max_size=5)
)
def test_a_crash_leaves_whole_frames_for_everyone(before: int, words: list[str]) -> None:
    """Whatever was handled before the poison is sent: `Stage` checks that the batch agrees with itself."""
    stage = Stage("ada", "bob", "cyd", room_class=Poisoned)
    frames = [_word(word, number) for number, word in enumerate(words)]
    mails = [sent(stage.connections["bob"], text(f"before {number}")) for number in range(before)]
    with pytest.raises(ValueError, match="poison"):
        stage.turn(*mails, sent(stage.connections["ada"], *frames, text("poison"), text("after")))
    seen = stage.received()
    relayed = before + sum(word in ("note", "ack") for word in words)
    assert [each["offset"] for each in seen["cyd"] if "offset" in each] == list(range(1, relayed + 1))
    assert stage.room.offset == relayed
    assert not any(message["type"] in ("poison", "after") for each in seen.values() for message in each)


def _word(word: str, number: int) -> Frame:
    return {
        "note": text("note"),
        "heartbeat": text("heartbeat"),
        "nonsense": (TEXT, b"nonsense"),
        "presence": text("presence.set", {"displayName": f"A{number}"}),
        "to": text("note", to="bob"),
        "ack": text("note", id=number),
    }[word]


def test_only_the_poison_and_what_is_behind_it_is_left_of_a_mail() -> None:
    """The mail knows which frame it was, for the dead mails."""
    stage = Stage("ada", "bob", room_class=Poisoned)
    mail = sent(stage.connections["ada"], text("a"), text("poison"), text("b"))
    with pytest.raises(ValueError, match="poison"):
        stage.turn(mail)
    assert mail.current == text("poison")
    assert list(mail.rest) == [text("b")]


@bounded
@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.lists(st.sampled_from(KINDS), max_size=4)), max_size=8), st.booleans()
)
def test_everyone_hears_what_a_room_that_sends_one_by_one_would_send(
    script: list[tuple[str, list[str]]], listens: bool
) -> None:
    """All of a turn goes out at once, yet for each member nothing is lost, doubled or out of order."""
    stage = Stage(*NAMES, room_class=Poisoned if listens else RoomState)
    expected: dict[str, list[str]] = {name: [] for name in NAMES}
    mails: list[ClientMessages] = []
    for number, (name, kinds) in enumerate(script):
        frames: list[Frame] = []
        for position, kind in enumerate(kinds):
            tag = f"{number}.{position}"
            frames.append(_tagged(kind, tag))
            others = [each for each in NAMES if each != name]
            hearers = {"to": ["cyd"], "presence": list(NAMES), "heartbeat": [name], "nonsense": [name]}.get(
                kind, others
            )
            for each in hearers:
                expected[each].append(f"{kind} {tag}")
            if kind == "ack":
                expected[name].append(f"acked {tag}")
        mails.append(sent(stage.connections[name], *frames))
    stage.turn(*mails)
    for name, messages in stage.received().items():
        assert sorted(map(_label, messages)) == sorted(map(_without_tag_of_errors, expected[name]))
        relayed = [
            _label(message) for message in messages if _label(message).startswith(("note", "ack ", "binary", "to"))
        ]
        assert relayed == [each for each in expected[name] if each.startswith(("note", "ack ", "binary", "to"))]
        offsets = [each["offset"] for each in messages if isinstance(each, dict) and "offset" in each]
        assert offsets == sorted(set(offsets))


def _tagged(kind: str, tag: str) -> Frame:
    match kind:
        case "binary":
            return binary(tag.encode())
        case "to":
            return text("to", tag, to="cyd")
        case "presence":
            return text("presence.set", {"displayName": tag})
        case "heartbeat":
            return text("heartbeat", tag)
        case "nonsense":
            return TEXT, b"nonsense"
        case "ack":
            return text("ack ", tag, id=tag)
        case _:
            return text("note", tag)


def _label(message: Any) -> str:
    if isinstance(message, bytes):
        return "binary " + message[4:].decode()
    payload = message["payload"]
    match message["type"]:
        case "ack":
            return f"acked {payload['id']}"
        case "heartbeat":
            return f"heartbeat {payload['echo']}"
        case "presence.update":
            return f"presence {payload['displayName']}"
        case "error":
            return "nonsense"
        case type_:
            return f"{type_.strip()} {payload}"


def _without_tag_of_errors(label: str) -> str:
    return "nonsense" if label.startswith("nonsense") else label
