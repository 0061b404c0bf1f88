"""The message types that mean something, one row each: who says it, with what payload, and what it does (SPEC 5.2).

Both the table in `docs/realtime.md` (`messages_table`) and the AsyncAPI document (`omnisonic.wire.asyncapi`) are made
of these rows, and the payloads are the very structs that are written to the wire. Nothing here runs while rooms do.
"""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import msgspec.structs

from omnisonic.models import Member, Upload
from omnisonic.wire.messages import Ack, Error, Leave, PresenceSet
from omnisonic.wire.payloads import ExportGone, Progress, Pulse, SessionGone, SharedSession, UploadGone, Welcomed


@dataclass(frozen=True, slots=True)
class MessageType:
    """One row. `payload` is what the sender puts there, None for anything; the server's, where both say it.

    `direction` is for people. `numbered`: it comes by the room's order, with `from` null and an `offset`. `like` takes
    the place of a payload too long for a table.
    """

    name: str
    sender: Literal["server", "client", "both"]
    direction: str
    meaning: str
    payload: type[msgspec.Struct] | None = None
    numbered: bool = False
    like: str = ""

    def shape(self) -> str:
        """The payload as a table shows it, such as `{memberId, reason}`; what may be missing has a question mark."""
        if self.payload is None or self.like:
            return self.like
        fields = msgspec.structs.fields(self.payload)
        return "{" + ", ".join(name_of(field) + "?" * self.may_lack(field) for field in fields) + "}"

    def may_lack(self, field: msgspec.structs.FieldInfo) -> bool:
        """Whether a payload need not have it."""
        assert self.payload is not None
        leaves_out = self.sender == "client" or self.payload.__struct_config__.omit_defaults
        return (leaves_out and not field.required) or field.default is msgspec.UNSET


CATALOGUE: Final[tuple[MessageType, ...]] = (
    MessageType(
        "welcome",
        "server",
        "to the newcomer, first",
        "`members` are `{memberId, displayName, status, account?}`; `offset` is the last one given out, `epoch` names "
        "that count; `serverTime` is milliseconds since 1970. `transport` is `null` and `recovered` is `false`: there "
        "is no shared transport and no history yet.",
        Welcomed,
    ),
    MessageType(
        "presence.join", "server", "to the others", "Somebody came in, by a socket or over REST.", payload=Member
    ),
    MessageType("presence.update", "server", "to all", "Somebody is shown differently now.", payload=Member),
    MessageType(
        "presence.leave",
        "server",
        "to the others",
        "The reason is a word of the [table of close codes](#close-codes); `lost`, for a connection that was just "
        "gone; `expired` or `removed`, for a presence given over REST.",
        Leave,
    ),
    MessageType(
        "presence.set",
        "client",
        "from a client",
        "Changes how you are shown. Everyone gets a `presence.update`.",
        PresenceSet,
    ),
    MessageType(
        "heartbeat",
        "both",
        "both ways",
        "What comes back for any payload: the server's clock in milliseconds since 1970, and what you sent.",
        Pulse,
    ),
    MessageType("ack", "server", "to the sender", "The message with your `id` was taken.", Ack),
    MessageType(
        "error", "server", "to one", "A stable code, a sentence, and the `id` of the message it is about.", Error
    ),
    MessageType(
        "signal.*",
        "client",
        "with `to`",
        "WebRTC offers, answers, candidates: passed on untouched to one member. Without `to` it is an error.",
    ),
    MessageType("transport.set", "client", "from a client", "Refused with `unsupported_type` for now."),
    MessageType("transport.state", "server", "from the server", "Reserved. Nothing sends it yet."),
    MessageType("history.gap", "server", "from the server", "Reserved. Nothing sends it yet."),
    MessageType("room.degraded", "server", "from the server", "Reserved. Nothing sends it yet."),
    MessageType("room.restored", "server", "from the server", "Reserved. Nothing sends it yet."),
    MessageType(
        "export.progress",
        "server",
        "to the room",
        "A mixdown was asked for, is so far (`progress` in percent, at most ten times a second), is made (`url` is "
        "where the web serves it), or has failed and why.",
        Progress,
        numbered=True,
    ),
    MessageType(
        "export.removed",
        "server",
        "to the room",
        "A mixdown was removed, or will not be made.",
        ExportGone,
        numbered=True,
    ),
    MessageType(
        "upload.added",
        "server",
        "to the room",
        "The file that somebody brought, as `GET /api/upload/{id}` gives it.",
        Upload,
        numbered=True,
        like="an upload",
    ),
    MessageType(
        "upload.changed",
        "server",
        "to the room",
        "The file as it is now: it sits otherwise in the mix, or was listened to.",
        Upload,
        numbered=True,
        like="an upload",
    ),
    MessageType("upload.removed", "server", "to the room", "The file is gone.", UploadGone, numbered=True),
    MessageType("session.updated", "server", "to the room", "The session as it is now.", SharedSession, numbered=True),
    MessageType(
        "session.deleted",
        "server",
        "to the room",
        "The session is gone, and the room closes.",
        SessionGone,
        numbered=True,
    ),
)


def name_of(field: msgspec.structs.FieldInfo) -> str:
    """What a field is called on the wire."""
    return field.encode_name


def messages_table() -> str:
    """All rows as a Markdown table, for the documentation."""
    rows = [f"| `{row.name}` | {row.direction} | {_told(row)} |" for row in CATALOGUE]
    return "\n".join(["| type | direction | payload, and what it does |", "| --- | --- | --- |", *rows]) + "\n"


def _told(row: MessageType) -> str:
    if row.like or row.payload is None:
        return row.meaning
    return f"`{row.shape()}`. {row.meaning}"
