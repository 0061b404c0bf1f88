"""The AsyncAPI document is valid, and true of what goes over the wire (SPEC 5)."""

import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import msgspec
import pytest

from omnisonic.models import Export, Member, Person, Upload
from omnisonic.models.activity import ActivityEvent, Actor, Undo
from omnisonic.models.comments import Comment
from omnisonic.models.markers import Marker
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.studio.exports import progress_event, removal_event
from omnisonic.wire import messages
from omnisonic.wire.asyncapi import asyncapi_document
from omnisonic.wire.closing import CLOSE_TABLE
from omnisonic.wire.frames import TEXT, frame
from omnisonic.wire.message_types import (
    GATEWAY_TYPES,
    HANDLED_TYPES,
    MESSAGE_TYPES,
    SERVER_TYPES,
    SIGNAL_PREFIX,
    STATE_TYPES,
)
from omnisonic.wire.messages import Envelope
from omnisonic.wire.payloads import CommentGone, MarkerGone, SessionGone, SharedSession, UploadGone
from omnisonic.wire.recovery import HistoryGap, gap_frame
from omnisonic.wire.shared_state import state_changed_frame, state_entry_json
from omnisonic.wire.transport import Loop, Transport, transport_frame
from tests.wire.json_values import read_frame

OFFICIAL: Final = Path(__file__).with_name("asyncapi-3.0.0.json.gz")
"""Its origin and licence: asyncapi-3.0.0.NOTICE.md."""
DEADLINE_S: Final = 30.0
NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MEMBER: Final = Member("ada", "Ada")
EXPORT: Final = Export("e", "s", "u", "wav", "processing", 40, None, "Night jam.wav", None, None, None, None, NOW, None)
UPLOAD: Final = Upload(
    "u", "p", "s", "a.wav", 9, "audio/x-wav", "00", None, None, None, 0, 0, False, 0, "a", 1, "u", True, 0, 0, 0, 0, NOW
)  # fmt: skip
EVENT: Final = ActivityEvent(
    "a", "s", NOW, Actor("p", "Ada"), "upload.changed", "gainDb", "u", "a.wav", 0, -6, "b", Actor(None, "Bo"),
    Undo("/api/sessions/s/activity/a/undo", ["p"]),
)  # fmt: skip
COMMENT: Final = Comment(
    "c", "s", None, Actor(None, "Bo"), "Louder.", 64, 32, None, "e", "Night jam.wav", True, Actor("p", "Ada"), NOW, NOW,
    NOW,
)  # fmt: skip
SHARED: Final = SharedSession("s", "Night jam", 120, 4, Person("p", "Ada", None, None), NOW, NOW)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as a program reads it."""
    document: dict[str, Any] = json.loads(json.dumps(asyncapi_document()))
    return document


def validator(document: dict[str, Any], name: str) -> Any:
    """A validator for messages of this name that allows no field which the document does not describe."""
    schema = document["components"]["messages"][name]["payload"]
    return jsonschema_rs.validator_for(_strict(schema | {"components": document["components"]}))


def event_message(event: RoomSaid) -> dict[str, Any]:
    """The message that members get for an event."""
    return read_frame(frame(TEXT, messages.external_content(Envelope(event.type, event.payload), 7)))


def session_message(type_: str, payload: msgspec.Struct) -> dict[str, Any]:
    return event_message(RoomSaid("s", type_, msgspec.Raw(msgspec.json.encode(payload))))


def server_messages() -> list[dict[str, Any]]:
    """Messages of the server, at least one of each type."""
    line = messages.member_line(MEMBER)
    state = b"{" + state_entry_json("key", b"[1]", 2, "ada") + b"}"
    welcome = messages.Welcome("jam", "ada", 60, "epoch", 3, 1_700_000_000_000)
    return [
        read_frame(messages.welcome_frame(welcome, [line, line], state, msgspec.json.encode(Transport()))),
        read_frame(messages.join_frame(line)),
        read_frame(messages.update_frame(line)),
        read_frame(messages.leave_frame("ada", "left")),
        read_frame(messages.heartbeat_frame(1, msgspec.Raw(b'{"sent": 1}'))),
        read_frame(messages.ack_frame("a", 1)),
        read_frame(messages.ack_frame(7, 1)),
        read_frame(messages.error_frame("too_deep", "No.")),
        read_frame(messages.error_frame("too_deep", "No.", 7)),
        read_frame(messages.error_frame("state_conflict", "No.", 7, 3)),
        read_frame(gap_frame(HistoryGap("epoch", 3, 7, 5))),
        read_frame(gap_frame(HistoryGap("epoch", 3, None, None))),
        read_frame(state_changed_frame("key", b'{"any": 1}', 3, "ada")),
        read_frame(state_changed_frame("key", b"null", 4, None)),
        read_frame(transport_frame(Transport(playing=True, anchor_beat=4.5, anchor_time=1_700, loop=Loop(0.0, 8.0)))),
        read_frame(messages.DEGRADED_FRAME),
        read_frame(messages.RESTORED_FRAME),
        event_message(progress_event(EXPORT)),
        event_message(progress_event(msgspec.structs.replace(EXPORT, status="completed"))),
        event_message(progress_event(msgspec.structs.replace(EXPORT, status="failed", error_message="It was silent."))),
        event_message(removal_event(EXPORT)),
        session_message("upload.added", UPLOAD),
        session_message("upload.changed", UPLOAD),
        session_message("upload.removed", UploadGone("u", "s")),
        session_message("comment.added", COMMENT),
        session_message("comment.changed", msgspec.structs.replace(COMMENT, text=None, resolved_by=None)),
        session_message("comment.removed", CommentGone("c", "s", None)),
        session_message("marker.added", Marker("m", "s", "Chorus", 64, 96, NOW, NOW)),
        session_message("marker.changed", Marker("m", "s", "Chorus", 64, None, NOW, NOW)),
        session_message("marker.removed", MarkerGone("m", "s")),
        session_message("activity.added", EVENT),
        session_message(
            "activity.added", msgspec.structs.replace(EVENT, field=None, before=None, after=None, undo=None)
        ),
        session_message("session.updated", SHARED),
        session_message("session.deleted", SessionGone("s")),
    ]


def test_it_is_valid(document: dict[str, Any]) -> None:
    """By the official schema, which does refuse a document that is wrong."""
    official = jsonschema_rs.validator_for(json.loads(gzip.decompress(OFFICIAL.read_bytes())))
    official.validate(document)
    assert not official.is_valid(document | {"operations": {"hear": {"action": "listen"}}})


def test_every_reference_can_be_resolved(document: dict[str, Any]) -> None:
    """A schema cannot check that."""
    found: list[str] = []
    _collect(document, found)
    assert len(found) > 40
    for reference in found:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_each_type_has_one_row_and_one_side() -> None:
    """Whatever the table has: no type is refused from clients and handled for them."""
    assert len({row.name for row in MESSAGE_TYPES}) == len(MESSAGE_TYPES)
    assert SERVER_TYPES.isdisjoint(HANDLED_TYPES)
    assert {"presence.set", "heartbeat", "transport.set"} <= HANDLED_TYPES
    assert STATE_TYPES == GATEWAY_TYPES
    assert not any(type_.startswith(SIGNAL_PREFIX) for type_ in SERVER_TYPES | HANDLED_TYPES)


@pytest.mark.parametrize("message", server_messages(), ids=lambda message: str(message["type"]))
def test_messages_of_the_server_are_as_described(document: dict[str, Any], message: dict[str, Any]) -> None:
    """No field is undescribed, and no required field is missing."""
    name = "heartbeat.answer" if message["type"] == "heartbeat" else message["type"]
    validator(document, name).validate(message)
    for field in set(message["payload"] or ()) if name != "error" else {"code"}:
        if field in document["components"]["schemas"][_schema_of(document, name)]["required"]:
            reduced = {key: value for key, value in message["payload"].items() if key != field}
            assert not validator(document, name).is_valid(message | {"payload": reduced})


def test_every_type_is_among_the_messages_above() -> None:
    """None is missing."""
    assert {message["type"] for message in server_messages()} == SERVER_TYPES | {"heartbeat"}


@pytest.mark.parametrize(("name", "message", "is_right"), [
    ("said", {"type": "chat"}, True),
    ("said", {"type": "chat", "payload": [1], "to": "bo", "id": 7}, True),
    ("said", {"type": "chat", "id": 1.5}, False),
    ("said", {"payload": 1}, False),
    ("presence.set", {"type": "presence.set", "payload": {"status": "away"}}, True),
    ("presence.set", {"type": "presence.set", "payload": {"mood": "blue"}}, False),
    ("signal", {"type": "signal.offer", "payload": "v=0", "to": "bo"}, True),
    ("signal", {"type": "signal.offer", "payload": "v=0"}, False),
    ("heartbeat", {"type": "heartbeat"}, True),
    ("relayed", {"type": "chat", "payload": None, "from": "ada", "offset": 1}, True),
    ("relayed", {"type": "chat", "payload": None, "from": None}, True),
    ("relayed", {"type": "chat", "payload": None}, False),
])  # fmt: skip
def test_what_clients_say_is_described(
    document: dict[str, Any], name: str, message: dict[str, Any], is_right: bool
) -> None:
    """What rooms take and relay."""
    assert validator(document, name).is_valid(message) is is_right


def test_the_gateway_receives_what_clients_say_and_sends_the_rest(document: dict[str, Any]) -> None:
    """Each message is in one direction, but for bytes, which go both ways."""
    hear, tell = (
        {reference["$ref"].rpartition("/")[2] for reference in document["operations"][name]["messages"]}
        for name in ("hear", "tell")
    )
    assert hear == HANDLED_TYPES | {"signal", "said", "binary"}
    assert hear & tell == {"binary"}
    assert hear | tell == set(document["components"]["messages"])


def test_it_has_every_close_code(document: dict[str, Any]) -> None:
    """With its word, and whether to reconnect."""
    codes = document["channels"]["room"]["x-close-codes"]
    assert {int(code): (row["word"], row["reconnect"]) for code, row in codes.items()} == {
        code.value: (row.word, row.reconnect) for code, row in CLOSE_TABLE.items()
    }


def test_it_names_the_gateway_that_it_is_asked_for() -> None:
    """Behind a proxy, too."""
    server = asyncapi_document("wss://studio.example/rooms")["servers"]["gateway"]
    assert (server["protocol"], server["host"], server["pathname"]) == ("wss", "studio.example", "/rooms")


def test_a_command_prints_it(document: dict[str, Any]) -> None:
    """For those who generate clients from it."""
    ran = subprocess.run(
        [sys.executable, "-m", "omnisonic.wire.asyncapi"], capture_output=True, timeout=DEADLINE_S, check=True
    )
    assert json.loads(ran.stdout) == document


def _schema_of(document: dict[str, Any], name: str) -> str:
    reference: str = document["components"]["messages"][name]["payload"]["properties"]["payload"]["$ref"]
    return reference.rpartition("/")[2]


def _strict(schema: Any) -> Any:
    """The schema without additional properties."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    return strict | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else strict


def _collect(part: Any, found: list[str]) -> None:
    if isinstance(part, dict):
        found.extend(value for key, value in part.items() if key == "$ref")
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _collect(each, found)
