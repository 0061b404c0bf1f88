"""The table of message types: name, direction, payload, meaning (SPEC 5.2).

To add a type, add a row. These are derived from the table: which types a client may not send (`SERVER_TYPES`), which
ones a room handles itself (`HANDLED_TYPES`), which ones only the gateway sends (`GATEWAY_TYPES`), what the client
library reads (`STATE_TYPES`), the table in `docs/realtime.md` (`messages_table`), and the AsyncAPI document
(`omnisonic.wire.asyncapi`). The payloads are the structs that are written to the wire.
"""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import msgspec.structs

from omnisonic.models import Member, Upload
from omnisonic.models.activity import ActivityEvent
from omnisonic.models.comments import Comment
from omnisonic.models.markers import Marker
from omnisonic.wire.messages import Ack, Error, Leave, PresenceSet
from omnisonic.wire.payloads import (
    CommentGone,
    ExportGone,
    MarkerGone,
    Progress,
    Pulse,
    SessionGone,
    SharedSession,
    UploadGone,
    Welcomed,
)
from omnisonic.wire.recovery import HistoryGap
from omnisonic.wire.shared_state import StateChanged, StateSet
from omnisonic.wire.transport import Transport, TransportSet

SIGNAL_PREFIX: Final = "signal."
"""Types with this prefix go to one member only: they must have `to`."""


@dataclass(frozen=True, slots=True)
class MessageType:
    """One row of the table.

    Args:
        name: The `type` of the message; with `*` at the end, all types that start with what is before it.
        sender: Who sends it.
        direction: The direction in words, for the documents.
        meaning: What it means, for the documents (Markdown).
        payload: Shape of the payload; None for any JSON. Where both send it, the server's.
        numbered: Relayed in the room's order: `from` is null, and it has an `offset`.
        like: Words for a payload that is too long for the table in the documents.
    """

    name: str
    sender: Literal["server", "client", "both"]
    direction: str
    meaning: str
    payload: type[msgspec.Struct] | None = None
    numbered: bool = False
    like: str = ""

    def shape(self) -> str:
        """The payload as the table shows it: `{memberId, reason}`. A question mark: the field may be missing."""
        if self.payload is None or self.like:
            return self.like
        fields = msgspec.structs.fields(self.payload)
        return "{" + ", ".join(wire_name(field) + "?" * self.is_optional(field) for field in fields) + "}"

    def is_optional(self, field: msgspec.structs.FieldInfo) -> bool:
        """Whether the field may be missing."""
        assert self.payload is not None
        leaves_out = self.sender == "client" or self.payload.__struct_config__.omit_defaults
        return (leaves_out and not field.required) or field.default is msgspec.UNSET


MESSAGE_TYPES: Final[tuple[MessageType, ...]] = (
    MessageType(
        "welcome",
        "server",
        "to the newcomer, first",
        "`members` lists everyone in the room, you included, as `{memberId, displayName, status, connected, "
        "account?}`. `epoch` identifies the numbering of messages. `ttl` is `PRESENCE_TTL` in seconds. `serverTime` is "
        "in milliseconds since 1970. `state` is the [shared state](#shared-state), `transport` the "
        "[transport](#transport). `recovered`: you connected with `since`, and everything that you have missed "
        "follows (see [coming back](#coming-back)). `offset` is the number of the message before the first that "
        "follows.",
        Welcomed,
    ),
    MessageType(
        "presence.join", "server", "to the others", "A member joined, by a WebSocket or over REST.", payload=Member
    ),
    MessageType(
        "presence.update",
        "server",
        "to all",
        "A member's name or status changed, or their connection broke (`connected` is false) or is back.",
        payload=Member,
    ),
    MessageType(
        "presence.leave",
        "server",
        "to the others",
        "A member left. `reason` is a word from the [table of close codes](#close-codes), `lost` (the connection broke "
        "without a close frame), or, for a presence set over REST, `expired` or `removed`.",
        Leave,
    ),
    MessageType(
        "presence.set",
        "client",
        "from a client",
        "Changes your status or your display name. Everyone gets a `presence.update`.",
        PresenceSet,
    ),
    MessageType(
        "heartbeat",
        "both",
        "both ways",
        "Send any payload. The answer has the server's clock (`ts`, milliseconds since 1970) and your payload "
        "(`echo`).",
        Pulse,
    ),
    MessageType(
        "ack",
        "server",
        "to the sender",
        "The room accepted the message with this `id`. It comes after what the message has changed. `version` is what "
        "the key has got, after a `state.set`. `kept`: it is written down. `epoch`: the numbering that `offset` is of, "
        "when it is an earlier one (see [kept messages](#kept-messages)).",
        Ack,
    ),
    MessageType(
        "error", "server", "to one", "A stable code, a sentence, and the `id` of the message that failed.", Error
    ),
    MessageType(
        f"{SIGNAL_PREFIX}*",
        "client",
        "with `to`",
        "WebRTC offers, answers and candidates, relayed unchanged to one member. Without `to` you get an `error`.",
    ),
    MessageType(
        "state.set",
        "client",
        "from a client",
        "Changes one key of the [shared state](#shared-state). A `value` of null deletes it. With `ifVersion` only if "
        "the key has this version (0: is not there); otherwise the `error` `state_conflict` has the `version` that is "
        "there. An `ephemeral` key is deleted when you leave.",
        StateSet,
    ),
    MessageType(
        "state.changed",
        "server",
        "to all",
        "A key of the shared state changed. Of several changes at once only the last is sent. `by` is the memberId, or "
        "null for a change from outside.",
        StateChanged,
    ),
    MessageType(
        "transport.set",
        "client",
        "from a client",
        "Changes the [transport](#transport). What is absent stays as it is.",
        TransportSet,
    ),
    MessageType("transport.state", "server", "to all", "The transport as it is now.", Transport),
    MessageType(
        "history.gap",
        "server",
        "to one",
        "You connected with `since`, and the messages `from` to `to` of this epoch are lost. `lost` is how many, your "
        "own included; `to` and `lost` are null when nobody knows.",
        HistoryGap,
    ),
    MessageType(
        "room.degraded",
        "server",
        "to all",
        "Other gateways cannot be heard now: you hear only members who are connected to this one, and nothing is "
        "acknowledged. The payload is null.",
    ),
    MessageType(
        "room.restored",
        "server",
        "to all",
        "Everybody is heard again, and nothing was lost here. Otherwise a new `welcome` comes instead.",
    ),
    MessageType(
        "export.progress",
        "server",
        "to the room",
        "The state of a mixdown: requested, in progress (`progress` in percent, at most ten messages a second), "
        "finished (`url` is where the web serves the file), or failed (`errorMessage` says why).",
        Progress,
        numbered=True,
    ),
    MessageType(
        "export.removed",
        "server",
        "to the room",
        "A mixdown was deleted or cancelled.",
        ExportGone,
        numbered=True,
    ),
    MessageType(
        "upload.added",
        "server",
        "to the room",
        "A file was uploaded, or brought back from the bin. The payload is the upload, as in `GET /api/upload/{id}`.",
        Upload,
        numbered=True,
        like="an upload",
    ),
    MessageType(
        "upload.changed",
        "server",
        "to the room",
        "The mix settings of a file changed, or its analysis finished. The payload is the upload as it is now.",
        Upload,
        numbered=True,
        like="an upload",
    ),
    MessageType("upload.removed", "server", "to the room", "A file was put into the bin.", UploadGone, numbered=True),
    MessageType(
        "comment.added",
        "server",
        "to the room",
        "Somebody wrote a [comment](comments.md). The payload is the comment, as in `GET /api/sessions/{id}/comments`.",
        Comment,
        numbered=True,
        like="a comment",
    ),
    MessageType(
        "comment.changed",
        "server",
        "to the room",
        "A comment was changed, resolved or reopened, or removed while it has replies (`text` is null). The payload is "
        "the comment as it is now.",
        Comment,
        numbered=True,
        like="a comment",
    ),
    MessageType("comment.removed", "server", "to the room", "A comment was removed.", CommentGone, numbered=True),
    MessageType(
        "marker.added",
        "server",
        "to the room",
        "A [marker](comments.md#markers) was added, or brought back. The payload is the marker, as in "
        "`GET /api/sessions/{id}/markers`.",
        Marker,
        numbered=True,
        like="a marker",
    ),
    MessageType(
        "marker.changed",
        "server",
        "to the room",
        "A marker was renamed or moved. The payload is the marker as it is now.",
        Marker,
        numbered=True,
        like="a marker",
    ),
    MessageType("marker.removed", "server", "to the room", "A marker was removed.", MarkerGone, numbered=True),
    MessageType(
        "activity.added",
        "server",
        "to the room",
        "Somebody did something, or went on with it: then the event has the `id` of one before. The payload is the "
        "event, as in `GET /api/sessions/{id}/activity`.",
        ActivityEvent,
        numbered=True,
        like="an event",
    ),
    MessageType(
        "session.updated",
        "server",
        "to the room",
        "The session changed. The payload is the session as it is now.",
        SharedSession,
        numbered=True,
    ),
    MessageType(
        "session.deleted",
        "server",
        "to the room",
        "The session was deleted. The room closes.",
        SessionGone,
        numbered=True,
    ),
)


def _select_names(*senders: str) -> frozenset[str]:
    return frozenset(row.name for row in MESSAGE_TYPES if row.sender in senders and not row.name.endswith("*"))


SERVER_TYPES: Final = _select_names("server")
"""Only the server sends these. A client that does gets the error `reserved_type`."""
HANDLED_TYPES: Final = _select_names("client", "both")
"""Clients send these to the room itself, which handles and does not relay them."""
GATEWAY_TYPES: Final = _select_names("server", "both") - {row.name for row in MESSAGE_TYPES if row.numbered}
"""Only the gateway sends these: clients trust them, so no room of a program may send them either."""
SHARED_TYPES: Final = frozenset({"state.set", "transport.set"})
"""What changes what the members share. Hooks decide about them as about other messages."""
STATE_TYPES: Final = GATEWAY_TYPES
"""What a client reads to know its room: the roster, answers, the server's clock."""


def wire_name(field: msgspec.structs.FieldInfo) -> str:
    """The name of a field on the wire."""
    return field.encode_name


def messages_table() -> str:
    """All rows as a Markdown table, for the documentation."""
    rows = [f"| `{row.name}` | {row.direction} | {_describe(row)} |" for row in MESSAGE_TYPES]
    return "\n".join(["| type | direction | payload and meaning |", "| --- | --- | --- |", *rows]) + "\n"


def _describe(row: MessageType) -> str:
    if row.like or row.payload is None:
        return row.meaning
    return f"`{row.shape()}`. {row.meaning}"
