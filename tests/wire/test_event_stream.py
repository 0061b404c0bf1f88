"""The realtime protocol as server-sent events: ids are positions, and the end says when to come back."""

import json

import pytest

from omnisonic.wire.event_stream import EventFormatter, close_event, opened_event
from omnisonic.wire.frames import BINARY, CLOSE, PING, TEXT
from omnisonic.wire.recovery import Position


def text(type_: str, payload: object = None, **more: object) -> bytes:
    return json.dumps({"type": type_, "payload": payload, **more}).encode()


def id_of(event: bytes) -> str | None:
    """The id of an event; None when it has none."""
    lines = event.decode().split("\n")
    return next((line.removeprefix("id: ") for line in lines if line.startswith("id: ")), None)


def test_the_id_of_an_event_is_the_position_to_come_back_from() -> None:
    """Of numbered messages, and of an ack that is further on and of this count; of nothing else."""
    formatter = EventFormatter(None)
    steps = [
        (text("welcome", {"epoch": "e", "offset": 5, "members": []}), "e:5"),
        (text("presence.join", {"memberId": "bo"}), None),
        (text("note", 1, offset=6), "e:6"),
        (text("psst", {"offset": 9}), None),
        (text("ack", {"id": 1, "offset": 8}), "e:8"),
        (text("ack", {"id": 2, "offset": 7}), None),
        (text("ack", {"id": 3, "offset": 90, "epoch": "another"}), None),
        (b'{"type":"note","offset":"x"}', None),
    ]
    for message, position in steps:
        assert id_of(formatter.format(TEXT, message)) == position, message


def test_a_gap_that_was_not_told_moves_nothing_on() -> None:
    """The welcome has no id then: it is the gap's."""
    welcome = {"epoch": "e", "offset": 50, "recovered": False}
    formatter = EventFormatter(Position("e", 3))
    assert id_of(formatter.format(TEXT, text("welcome", welcome))) is None
    assert id_of(formatter.format(TEXT, text("history.gap", {"epoch": "e", "from": 4}))) == "e:50"
    recovered = EventFormatter(Position("e", 3))
    assert id_of(recovered.format(TEXT, text("welcome", welcome | {"offset": 3, "recovered": True}))) == "e:3"


def test_a_gap_after_another_welcome_on_the_stream_is_waited_for() -> None:
    """The room has moved: also a member who came in without a position has one by then."""
    formatter = EventFormatter(None)
    assert id_of(formatter.format(TEXT, text("welcome", {"epoch": "e", "offset": 3, "recovered": False}))) == "e:3"
    moved = {"epoch": "f", "offset": 50, "recovered": False}
    assert id_of(formatter.format(TEXT, text("welcome", moved))) is None
    assert id_of(formatter.format(TEXT, text("history.gap", {"epoch": "e", "from": 4}))) == "f:50"
    assert id_of(formatter.format(TEXT, text("welcome", moved | {"offset": 51, "recovered": True}))) == "f:51"


@pytest.mark.parametrize(
    ("message", "position"),
    [
        (text("note", 1, offset=51), "f:51"),
        (text("presence.join", {"memberId": "bo"}), "f:50"),
        (text("ack", {"id": 1, "offset": 51}), "f:51"),
        (text("ack", {"id": 1, "offset": 5, "epoch": "e"}), "f:50"),
    ],
)
def test_a_gap_that_nobody_tells_is_not_waited_for(message: bytes, position: str) -> None:
    """It would come before anything else, but for `room.degraded`. One that comes later moves nothing back."""
    formatter = EventFormatter(None)
    formatter.format(TEXT, text("welcome", {"epoch": "e", "offset": 3, "recovered": False}))
    formatter.format(TEXT, text("welcome", {"epoch": "f", "offset": 50, "recovered": False}))
    assert id_of(formatter.format(TEXT, text("room.degraded"))) is None
    assert id_of(formatter.format(TEXT, message)) == position
    assert id_of(formatter.format(TEXT, text("history.gap", {"epoch": "e", "from": 4}))) is None


def test_each_frame_is_one_event() -> None:
    """Line breaks between the tokens of JSON are space; bytes are base64; pings are nothing."""
    formatter = EventFormatter(None)
    assert (
        formatter.format(TEXT, b'{"type":"note",\r\n"payload":"a\\nb"}')
        == b'data: {"type":"note",  "payload":"a\\nb"}\n\n'
    )
    assert formatter.format(BINARY, b"\x02bo\x00\xff") == b"event: binary\ndata: AmJvAP8=\n\n"
    assert formatter.format(PING, b"1") == b""
    assert opened_event("s") == b'retry: 1000\nevent: stream\ndata: {"stream":"s"}\n\n'


@pytest.mark.parametrize(
    ("body", "event"),
    [
        (b"\x0f\xa3kicked", b'event: close\ndata: {"code":4003,"reason":"kicked","reconnect":false}\n\n'),
        (b"\x0f\xa8", b'event: close\ndata: {"code":4008,"reason":"","reconnect":true}\n\n'),
        (b"\x0b\xb8", b'event: close\ndata: {"code":3000,"reason":"","reconnect":true}\n\n'),
        (b"", b'event: close\ndata: {"code":1005,"reason":"","reconnect":true}\n\n'),
    ],
)
def test_the_last_event_is_the_close(body: bytes, event: bytes) -> None:
    """With the code, the reason, and whether to come back."""
    assert EventFormatter(None).format(CLOSE, body) == event


def test_a_close_that_advises_a_delay_sets_it() -> None:
    """As `retry`, which browsers know. What cannot be read is no advice."""
    assert close_event(1001, '{"reconnectMs":1830}').startswith(b"retry: 1830\nevent: close\n")
    for reason in ("", "soon", '{"reconnectMs":"x"}'):
        assert close_event(1001, reason).startswith(b"event: close\n")
