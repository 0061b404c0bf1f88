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
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.studio.exports import progress_event, removal_event
from omnisonic.wire import messages
from omnisonic.wire.asyncapi import asyncapi_document
from omnisonic.wire.catalogue import CATALOGUE
from omnisonic.wire.closing import CLOSE_TABLE
from omnisonic.wire.messages import SERVER_TYPES, SIGNAL_PREFIX, Envelope
from omnisonic.wire.payloads import SessionGone, SharedSession, UploadGone
from tests.wire.json_values import heard

OFFICIAL: Final = Path(__file__).with_name("asyncapi-3.0.0.json.gz")
"""Its origin and licence: asyncapi-3.0.0.NOTICE.md."""
DEADLINE_S: Final = 30.0
NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MEMBER: Final = Member("ada", "Ada")
EXPORT: Final = Export("e", "s", "u", "wav", "processing", 40, None, "Night jam.wav", None, None, None, None, NOW, None)
UPLOAD: Final = Upload("u", "p", "s", "a.wav", 9, "audio/x-wav", "00", None, None, None, 0, 0, False, 0, NOW)
SHARED: Final = SharedSession("s", "Night jam", 120, 4, Person("p", "Ada", None, None), NOW, NOW)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """As a program gets it."""
    document: dict[str, Any] = json.loads(json.dumps(asyncapi_document()))
    return document


def validator(document: dict[str, Any], name: str) -> Any:
    """What takes only messages of this name, and with no field that the document does not tell of."""
    schema = document["components"]["messages"][name]["payload"]
    return jsonschema_rs.validator_for(_strict(schema | {"components": document["components"]}))


def told(said: RoomSaid) -> dict[str, Any]:
    """What a room's members hear of news."""
    return heard(messages.outside_frame(Envelope(said.type, said.payload), 7))


def news(type_: str, payload: msgspec.Struct) -> dict[str, Any]:
    return told(RoomSaid("s", type_, msgspec.Raw(msgspec.json.encode(payload))))


def spoken() -> list[dict[str, Any]]:
    """Whatever the server says, at least once of each type."""
    line = messages.member_line(MEMBER)
    welcome = messages.Welcome("jam", "ada", 60, "epoch", 3, 1_700_000_000_000)
    return [
        heard(messages.welcome_frame(welcome, [line, line])),
        heard(messages.join_frame(line)),
        heard(messages.update_frame(line)),
        heard(messages.leave_frame("ada", "left")),
        heard(messages.heartbeat_frame(1, msgspec.Raw(b'{"sent": 1}'))),
        heard(messages.ack_frame("a", 1)),
        heard(messages.ack_frame(7, 1)),
        heard(messages.error_frame("too_deep", "No.")),
        heard(messages.error_frame("too_deep", "No.", 7)),
        told(progress_event(EXPORT)),
        told(progress_event(msgspec.structs.replace(EXPORT, status="completed"))),
        told(progress_event(msgspec.structs.replace(EXPORT, status="failed", error_message="It was silent."))),
        told(removal_event(EXPORT)),
        news("upload.added", UPLOAD),
        news("upload.changed", UPLOAD),
        news("upload.removed", UploadGone("u", "s")),
        news("session.updated", SHARED),
        news("session.deleted", SessionGone("s")),
    ]


def test_it_is_valid(document: dict[str, Any]) -> None:
    """By the schema of those who make AsyncAPI; which is no schema that takes everything."""
    official = jsonschema_rs.validator_for(json.loads(gzip.decompress(OFFICIAL.read_bytes())))
    official.validate(document)
    assert not official.is_valid(document | {"operations": {"hear": {"action": "listen"}}})


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Which a schema cannot see."""
    found: list[str] = []
    _collect(document, found)
    assert len(found) > 40
    for reference in found:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_the_catalogue_has_every_type_that_means_something() -> None:
    """Those that only the server may say are the ones that it refuses from clients."""
    assert {row.name for row in CATALOGUE if row.sender == "server"} == SERVER_TYPES
    assert [row.name for row in CATALOGUE if row.sender == "client"] == [
        "presence.set",
        f"{SIGNAL_PREFIX}*",
        "transport.set",
    ]
    assert len({row.name for row in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize("message", spoken(), ids=lambda message: str(message["type"]))
def test_what_the_server_says_is_as_it_is_described(document: dict[str, Any], message: dict[str, Any]) -> None:
    """Every field is told of, and every one that is said to be there is there."""
    name = "heartbeat.answer" if message["type"] == "heartbeat" else message["type"]
    validator(document, name).validate(message)
    for field in set(message["payload"]) if name != "error" else {"code"}:
        if field in document["components"]["schemas"][_schema_of(document, name)]["required"]:
            lacking = {key: value for key, value in message["payload"].items() if key != field}
            assert not validator(document, name).is_valid(message | {"payload": lacking})


def test_every_type_that_is_said_is_tried_above() -> None:
    """But for those that nothing sends yet."""
    reserved = {row.name for row in CATALOGUE if row.meaning.startswith("Reserved.")}
    assert {message["type"] for message in spoken()} == SERVER_TYPES - reserved | {"heartbeat"}


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
    assert hear == {"presence.set", "heartbeat", "signal", "transport.set", "said", "binary"}
    assert hear & tell == {"binary"}
    assert hear | tell == set(document["components"]["messages"])


def test_it_tells_of_every_close_code(document: dict[str, Any]) -> None:
    """With its word, and whether to come back."""
    codes = document["channels"]["room"]["x-close-codes"]
    assert {int(code): (row["word"], row["reconnect"]) for code, row in codes.items()} == {
        code.value: (row.word, row.reconnect) for code, row in CLOSE_TABLE.items()
    }


def test_it_names_the_gateway_that_it_is_asked_for() -> None:
    """Behind a proxy, too."""
    server = asyncapi_document("wss://studio.example/rooms")["servers"]["gateway"]
    assert (server["protocol"], server["host"], server["pathname"]) == ("wss", "studio.example", "/rooms")


def test_a_command_prints_it(document: dict[str, Any]) -> None:
    """For whoever makes clients of it."""
    ran = subprocess.run(
        [sys.executable, "-m", "omnisonic.wire.asyncapi"], capture_output=True, timeout=DEADLINE_S, check=True
    )
    assert json.loads(ran.stdout) == document


def _schema_of(document: dict[str, Any], name: str) -> str:
    reference: str = document["components"]["messages"][name]["payload"]["properties"]["payload"]["$ref"]
    return reference.rpartition("/")[2]


def _strict(schema: Any) -> Any:
    """The schema, with no room for what it does not tell of."""
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
