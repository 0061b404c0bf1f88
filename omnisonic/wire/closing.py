"""Close codes of the WebSocket: what each means, and what to do about it (SPEC 5.3, RFC 6455 7.4). Sans-IO.

To add a code, add it to `CloseCode` and a row to `CLOSE_TABLE`. The tables in the documentation, the `reason` of
`presence.leave`, and the client's decision to reconnect are derived from it.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

REASON_BYTES: Final = 123
"""A control frame carries at most 125 bytes (RFC 6455 5.5), two of them the code."""


class CloseCode(IntEnum):
    """The codes this server closes with."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    INVALID_UTF8 = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    REPLACED = 4001
    KICKED = 4003
    ROOM_CLOSED = 4004
    TOO_SLOW = 4008
    RATE_LIMIT = 4009
    NO_PONG = 4010


@dataclass(frozen=True, slots=True)
class CloseRow:
    """One row of the table.

    Args:
        word: Stable word, used in logs and as the `reason` of `presence.leave`.
        meaning: What happened, for the documentation.
        reconnect: Whether the client may reconnect by itself.
        remedy: What an operator does who sees many of them, for the documentation.
    """

    word: str
    meaning: str
    reconnect: bool
    remedy: str = "Nothing."


CLOSE_TABLE: Final[dict[CloseCode, CloseRow]] = {
    CloseCode.NORMAL: CloseRow("left", "The member left.", reconnect=False),
    CloseCode.GOING_AWAY: CloseRow(
        "going_away",
        'The server is stopping. The reason is {"reconnectMs": n}: wait n milliseconds.',
        reconnect=True,
        remedy="The gateway is stopping. If nobody stopped it, look at the log.",
    ),
    CloseCode.PROTOCOL_ERROR: CloseRow(
        "protocol_error",
        "A frame violated the WebSocket protocol.",
        reconnect=True,
        remedy="A client is broken, or a proxy changes what it passes on.",
    ),
    CloseCode.INVALID_UTF8: CloseRow(
        "invalid_utf8", "A text message was not UTF-8.", reconnect=True, remedy="A client is broken."
    ),
    CloseCode.POLICY: CloseRow(
        "policy",
        "The member was not admitted; the error message before the close says why.",
        reconnect=False,
        remedy="Rooms are full: raise `MAX_MEMBERS_PER_ROOM`. Or a client asks for what it may not.",
    ),
    CloseCode.TOO_BIG: CloseRow(
        "too_big",
        "A message was over 1 MiB.",
        reconnect=True,
        remedy="A client is broken: files are uploaded, not said.",
    ),
    CloseCode.INTERNAL_ERROR: CloseRow(
        "internal_error",
        "The room or the connection failed on the server.",
        reconnect=True,
        remedy="Look for `room.closed` and `connection.crashed` in the log, and report the traceback.",
    ),
    CloseCode.TRY_AGAIN_LATER: CloseRow(
        "unfinished",
        "A message was not complete 8 s after its first byte, or too many messages were incomplete.",
        reconnect=True,
        remedy="Their network is slow. If it is many at once, somebody sends messages that never end.",
    ),
    CloseCode.REPLACED: CloseRow(
        "replaced",
        "Another connection with the same memberId took over.",
        reconnect=False,
        remedy="Nothing; if it is always the same member, two clients share one `memberId`.",
    ),
    CloseCode.KICKED: CloseRow("kicked", "The member was removed from the room.", reconnect=False),
    CloseCode.ROOM_CLOSED: CloseRow("room_closed", "The room was closed.", reconnect=False),
    CloseCode.TOO_SLOW: CloseRow(
        "too_slow",
        "The member read too slowly, and its send queue was full.",
        reconnect=True,
        remedy="Their network is slow, or the client busy. If it is everyone, rooms say more than their lines carry.",
    ),
    CloseCode.RATE_LIMIT: CloseRow(
        "rate_limit",
        "The member kept sending faster than allowed.",
        reconnect=True,
        remedy="A runaway client; or raise `MEMBER_RATE_PER_S` and `MEMBER_BURST`.",
    ),
    CloseCode.NO_PONG: CloseRow(
        "no_pong",
        "The member did not answer a ping in time.",
        reconnect=True,
        remedy="Their network is gone. If it is everyone, a proxy holds pings back.",
    ),
}


def close_table() -> str:
    """What each code means to a client, as a Markdown table for the documentation."""
    rows = [
        f"| {code.value} | `{row.word}` | {row.meaning} | {'yes' if row.reconnect else 'no'} |"
        for code, row in CLOSE_TABLE.items()
    ]
    titles = ["| code | word | meaning | reconnect |", "| --- | --- | --- | --- |"]
    return "\n".join([*titles, *rows]) + "\n"


def remedy_table() -> str:
    """What an operator does about many of each code, as a Markdown table for the documentation."""
    rows = [f"| {code.value} | `{row.word}` | {row.remedy} |" for code, row in CLOSE_TABLE.items()]
    return "\n".join(["| code | word | when there are many of them |", "| --- | --- | --- |", *rows]) + "\n"


@dataclass(frozen=True, slots=True)
class Closing:
    """The code and reason of a close frame. `reason` is for people, or JSON where the table says so."""

    code: CloseCode
    reason: str = ""

    @property
    def word(self) -> str:
        """The stable word for the code, as in `presence.leave`."""
        return CLOSE_TABLE[self.code].word

    @property
    def is_final(self) -> bool:
        """Whether the member is gone for good: the client does not reconnect by itself."""
        return not CLOSE_TABLE[self.code].reconnect

    def payload(self) -> bytes:
        """The body of the close frame. A long reason is cut between characters to `REASON_BYTES`."""
        reason = (self.reason or self.word).encode()[:REASON_BYTES].decode(errors="ignore")
        return struct.pack("!H", self.code) + reason.encode()


def is_valid_close_body(body: bytes) -> bool:
    """Whether a peer may send this body of a close frame (RFC 6455 5.5.1 and 7.4; 1012 to 1014 are IANA's)."""
    if not body:
        return True
    if len(body) == 1:
        return False
    code = int.from_bytes(body[:2], "big")
    known = 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
    return known and is_utf8(body[2:])


def is_utf8(data: bytes) -> bool:
    """Whether `data` is UTF-8. Fast for ASCII."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
