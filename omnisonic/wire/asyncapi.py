"""The realtime protocol as an AsyncAPI 3.0 document, built from the tables of message types and close codes (SPEC 5).

`python -m omnisonic.wire.asyncapi` prints it; the web serves it at `/api/asyncapi.json`. In the words of AsyncAPI the
gateway is the application that is described: it *receives* what clients send, and *sends* the rest.

To add a type, add a row to `omnisonic.wire.message_types`. Building the document takes milliseconds.
"""

import json
import sys
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import msgspec.structs

from omnisonic import __version__
from omnisonic.models import DISPLAY_NAME_LENGTH, ID_LENGTH, STATUSES
from omnisonic.wire.closing import CLOSE_TABLE
from omnisonic.wire.json_limits import DEPTH
from omnisonic.wire.message_types import MESSAGE_TYPES, MessageType, wire_name
from omnisonic.wire.messages import MESSAGE_BYTES, REPLY_ID_LENGTH, TYPE_LENGTH

ASYNCAPI: Final = "3.0.0"
DEFAULT_URL: Final = "ws://127.0.0.1:8080/"
"""Where a gateway listens without settings."""
JSON_TYPE: Final = "application/json"
BINARY_TYPE: Final = "application/octet-stream"

_REF: Final = "#/components/schemas/{name}"
_ANYTHING: Final[dict[str, Any]] = {"description": "Any JSON; it is passed on as the bytes that were sent."}
_TYPE: Final = {"type": "string", "minLength": 1, "maxLength": TYPE_LENGTH}
_REPLY_ID: Final = {
    "oneOf": [{"type": "string", "maxLength": REPLY_ID_LENGTH}, {"type": "integer"}],
    "description": "Asks for an `ack`, and comes back in it.",
}
_KEEP: Final = {
    "type": "boolean",
    "description": "The message is written down, and acknowledged then. It needs an `id`, and the room of a session.",
}
_KEPT_ID: Final = _REPLY_ID | {"description": "The `id` of a message that is kept, as its sender gave it."}
_TO: Final = {"type": "string", "description": "A `memberId`: the message goes to that member only."}
_OFFSET: Final = {"type": "integer", "minimum": 1, "description": "Its place in the room's order."}
_SAID: Final = "said"
_RELAYED: Final = "relayed"
_BINARY: Final = "binary"
_FROM_CLIENT: Final = "x-from-client"

Schema = dict[str, Any]


def asyncapi_document(url: str = DEFAULT_URL) -> Schema:
    """Build the document for a gateway at `url`, `ws://` or `wss://`."""
    messages = _messages()
    references = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    client_names = [name for name, message in messages.items() if message.pop(_FROM_CLIENT)]
    server_names = [name for name in messages if name not in client_names]
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Omnisonic Studio, realtime",
            "version": __version__,
            "description": "Rooms over WebSocket. One connection is one member in one room. "
            f"A message is at most {MESSAGE_BYTES} bytes, nested at most {DEPTH} deep.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": JSON_TYPE,
        "servers": {"gateway": _server(url)},
        "channels": {"room": _channel(references)},
        "operations": {
            "hear": _operation("receive", "What clients say.", [*client_names, _BINARY]),
            "tell": _operation("send", "What members are told.", server_names),
        },
        "components": {"messages": messages, "schemas": _schemas()},
    }


def _server(url: str) -> Schema:
    parts = urlsplit(url)
    return {
        "host": parts.netloc,
        "protocol": parts.scheme,
        "pathname": parts.path or "/",
        "description": "The gateway.",
    }


def _channel(references: dict[str, Schema]) -> Schema:
    return {
        "title": "A room",
        "description": "Entered by the query of the WebSocket's address, or by a ticket.",
        "address": "/",
        "servers": [{"$ref": "#/servers/gateway"}],
        "messages": references,
        "bindings": {"ws": {"method": "GET", "query": _query(), "bindingVersion": "0.1.0"}},
        "x-close-codes": {
            str(code.value): {"word": row.word, "meaning": row.meaning, "reconnect": row.reconnect}
            for code, row in CLOSE_TABLE.items()
        },
    }


def _query() -> Schema:
    name = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH}
    return {
        "type": "object",
        "properties": {
            "roomId": name | {"description": "The room, which is made when the first one enters."},
            "memberId": name | {"description": "Who you are, over all your reconnections."},
            "displayName": name | {"maxLength": DISPLAY_NAME_LENGTH, "description": "What the others see."},
            "status": {"type": "string", "enum": list(STATUSES)},
            "ticket": {"type": "string", "description": "Better as the subprotocol `ticket.<ticket>`."},
        },
        "required": ["roomId", "memberId", "displayName"],
    }


def _operation(action: str, summary: str, names: list[str]) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/room"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/room/messages/{name}"} for name in names],
    }


def _messages() -> dict[str, Schema]:
    """Each message by its name. `_FROM_CLIENT` marks what clients send; a type that both send is two messages."""
    messages = {
        _key(row): _server_message(row) if row.sender == "server" else _client_message(row) for row in MESSAGE_TYPES
    }
    for row in MESSAGE_TYPES:
        if row.sender == "both":
            messages[f"{_key(row)}.answer"] = _server_message(row)
    messages[_SAID] = {
        "name": _SAID,
        "summary": "Anything else that a client says: it is relayed, untouched, to everybody else in the room.",
        "payload": _envelope(_TYPE, _ANYTHING, {"to": _TO, "id": _REPLY_ID, "keep": _KEEP}),
        _FROM_CLIENT: True,
    }
    messages[_RELAYED] = {
        "name": _RELAYED,
        "summary": "What another member said, or, with `from` null, somebody outside the room.",
        "payload": _envelope(
            _TYPE, _ANYTHING, {"from": _sender(), "offset": _OFFSET, "id": _KEPT_ID}, "payload", "from"
        ),
        _FROM_CLIENT: False,
    }
    messages[_BINARY] = {
        "name": _BINARY,
        "summary": "Bytes, relayed with the sender's name in front: a byte with its length, and its UTF-8.",
        "contentType": BINARY_TYPE,
        "payload": {"type": "string", "format": "binary"},
        _FROM_CLIENT: False,
    }
    return messages


def _server_message(row: MessageType) -> Schema:
    """A message that the server sends."""
    more: Schema = {"from": {"type": "null"}, "offset": _OFFSET} if row.numbered else {}
    payload = _ANYTHING if row.payload is None else {"$ref": _REF.format(name=row.payload.__name__)}
    return _describe(row, _envelope(_type_schema(row), payload, more, "payload", *more), from_client=False)


def _client_message(row: MessageType) -> Schema:
    """A message that clients send."""
    has_schema = row.payload is not None and row.sender == "client"
    payload = {"$ref": _REF.format(name=row.payload.__name__)} if has_schema and row.payload else _ANYTHING
    required = ["to"] if row.name.endswith("*") else []
    envelope = _envelope(_type_schema(row), payload, {"to": _TO, "id": _REPLY_ID}, *required)
    return _describe(row, envelope, from_client=True)


def _describe(row: MessageType, envelope: Schema, *, from_client: bool) -> Schema:
    return {
        "name": row.name,
        "title": row.name,
        "summary": _plain(row.meaning),
        "payload": envelope,
        "x-direction": row.direction,
        _FROM_CLIENT: from_client,
    }


def _type_schema(row: MessageType) -> Schema:
    if row.name.endswith("*"):
        return _TYPE | {"pattern": f"^{row.name[:-1].replace('.', '[.]')}"}
    return {"const": row.name}


def _envelope(type_: Schema, payload: Schema, more: Schema, *required: str) -> Schema:
    return {
        "type": "object",
        "properties": {"type": type_, "payload": payload, **more},
        "required": ["type", *required],
    }


def _sender() -> Schema:
    return {"type": ["string", "null"], "description": "The sender's `memberId`; null for what came from outside."}


def _key(row: MessageType) -> str:
    """The key of a message in an object: letters, digits and dots only (AsyncAPI 3.0, Components Object)."""
    return row.name.removesuffix(".*")


def _schemas() -> dict[str, Schema]:
    """The schemas of all payloads, and of the structs in them. The server sends each field that is not optional."""
    rows = [row for row in MESSAGE_TYPES if row.payload is not None]
    payloads = list(dict.fromkeys(row.payload for row in rows if row.payload is not None))
    _, components = msgspec.json.schema_components(payloads, ref_template=_REF)
    optional = {
        row.payload.__name__: {
            wire_name(field) for field in msgspec.structs.fields(row.payload) if row.is_optional(field)
        }
        for row in rows
        if row.payload is not None
    }
    for name, component in components.items():
        properties = component.get("properties", {})
        component["required"] = [field for field in properties if field not in optional.get(name, ())]
        for described in properties.values():
            described.pop("default", None)
    return components


def _plain(markdown: str) -> str:
    """The text without links into the page it is from."""
    return markdown.replace("[table of close codes](#close-codes)", "table of close codes")


def main() -> None:
    """Print the document."""
    sys.stdout.write(json.dumps(asyncapi_document(), indent=2) + "\n")


if __name__ == "__main__":
    main()
