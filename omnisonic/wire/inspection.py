"""The words of `/inspect`, sans-IO: what an operator asks a gateway, and what it answers (docs/inspecting.md).

Each is one JSON object in one text message, with a `type` and the `id` of the question, so that several questions go
on one socket. A question with `everyS`, and a tap, is answered again and again until `stop`, or until it ends by
itself; then `end` is the last answer. Times are ISO 8601 (UTC), durations are in the unit that a name ends in.
"""

from datetime import datetime
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from omnisonic.errors import InvalidInput
from omnisonic.wire.inspection_lines import ChildLine, ClosedRoom, GatewayLine, LetterLine, RoomDetail, RoomLine

QUESTION_BYTES: Final = 4096
"""A longer question closes the connection (1009)."""
ERROR_CODES: Final = {
    "bad_request": "The question is not valid; the message says why.",
    "duplicate_id": "A stream with that id is already running.",
    "too_many_streams": "This connection has the maximum number of streams.",
    "too_many_taps": "That room, or the gateway, has the maximum number of taps.",
    "unknown_room": "There is no such room now.",
    "unknown_member": "There is no such member in that room now.",
    "not_connected": "The member is present over REST only: there is no connection to close.",
    "restarting": "The room crashed and is being restarted at this moment.",
    "unknown_letter": "There is no such dead letter, or it is no longer kept.",
    "sender_gone": "The sender is no longer connected to that room.",
    "not_replayable": "The crash was not caused by a message, so there is nothing to replay.",
    "unknown_stream": "No stream with that id is running.",
    "room_busy": "Too many messages wait in that room; try again later.",
    "internal": "The gateway failed; its log has the error.",
}
"""Every `code` of an `error`, and what it means."""

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Name: TypeAlias = Annotated[str, Meta(max_length=128)]
EveryS: TypeAlias = Annotated[float, Meta(ge=0.5, le=60)]


class _Question(msgspec.Struct, frozen=True, rename="camel", tag_field="type", forbid_unknown_fields=True):
    id: Id


class AskRooms(_Question, frozen=True, tag="rooms"):
    """All rooms, in parts; once, or every `everyS`."""

    every_s: EveryS | None = None


class AskRoom(_Question, frozen=True, tag="room"):
    """One room with its members; once, or every `everyS`."""

    room: Name
    every_s: EveryS | None = None


class AskTree(_Question, frozen=True, tag="tree"):
    """The gateway and what it supervises, but for the rooms; once, or every `everyS`."""

    every_s: EveryS | None = None


class AskTap(_Question, frozen=True, tag="tap"):
    """Watch what passes in a room: for `forS`, at most `most` messages, `perS` of them a second."""

    room: Name
    for_s: Annotated[float, Meta(gt=0, le=600)] = 30.0
    most: Annotated[int, Meta(ge=1, le=10_000)] = 100
    per_s: Annotated[int, Meta(ge=1, le=100)] = 20
    payload: bool = False


class AskKick(_Question, frozen=True, tag="kick"):
    """Send a member out (4003)."""

    room: Name
    member: Name


class AskClose(_Question, frozen=True, tag="close"):
    """Send everybody out of a room (4004)."""

    room: Name


class AskRestart(_Question, frozen=True, tag="restart"):
    """Throw a room's state away and start it again with everybody in it."""

    room: Name


class AskDeadLetters(_Question, frozen=True, tag="deadLetters"):
    """The dead letters of one room, or of all; with `payload` what was said."""

    room: Name | None = None
    payload: bool = False


class AskReplay(_Question, frozen=True, tag="replay"):
    """Say a dead letter again, as who said it."""

    letter: int


class AskStop(_Question, frozen=True, tag="stop"):
    """End the stream whose id is `stream`."""

    stream: Id


Stream: TypeAlias = AskRooms | AskRoom | AskTree | AskTap
Act: TypeAlias = AskKick | AskClose | AskRestart | AskReplay
Question: TypeAlias = Stream | Act | AskDeadLetters | AskStop


class _Answer(msgspec.Struct, frozen=True, rename="camel", tag_field="type"):
    id: str


class Rooms(_Answer, frozen=True, tag="rooms"):
    """A part of all rooms; the last one has `more` false, the gateway's own line, and rooms that were closed lately."""

    rooms: tuple[RoomLine, ...]
    more: bool
    gateway: GatewayLine | None = None
    closed: tuple[ClosedRoom, ...] = ()


class RoomAnswer(_Answer, frozen=True, tag="room"):
    """One room."""

    room: RoomDetail


class Tree(_Answer, frozen=True, tag="tree"):
    """What the gateway supervises. Its rooms are asked for by `rooms`."""

    gateway: GatewayLine
    children: tuple[ChildLine, ...]
    closed: tuple[ClosedRoom, ...]


class Passed(_Answer, frozen=True, tag="passed", omit_defaults=True):
    """A message on its way to a room. `missed`: those since the last one that were over `perS`."""

    at: datetime
    kind: str
    sender: str | None
    size: int
    message: str | None = None
    to: str | None = None
    payload: str | None = None
    missed: int = 0


class DeadLetterAnswer(_Answer, frozen=True, tag="deadLetters"):
    """Dead letters, oldest first, and how many there have been in all."""

    letters: tuple[LetterLine, ...]
    total: int


class Done(_Answer, frozen=True, tag="done"):
    """It is done."""


class End(_Answer, frozen=True, tag="end", omit_defaults=True):
    """A stream is over: `stopped`, `time`, `most`, `room gone`. Of a tap also what it counted."""

    reason: str
    passed: int = 0
    missed: int = 0


class NotAnswering(_Answer, frozen=True, tag="notAnswering"):
    """The gateway's loop did not answer in time. `room` keeps it busy, for `forS` by now; None: it is not a room.

    `at` is where in the code, innermost first.
    """

    room: str | None
    for_s: float
    at: str


class Failed(_Answer, frozen=True, tag="error"):
    """It was not done. `id` is empty when the question had none that could be read."""

    code: str
    message: str


Answer: TypeAlias = Rooms | RoomAnswer | Tree | Passed | DeadLetterAnswer | Done | End | NotAnswering | Failed

_questions: Final = msgspec.json.Decoder(Question)
_answers: Final = msgspec.json.Decoder(Answer)
_encoder: Final = msgspec.json.Encoder()


class _Identified(msgspec.Struct):
    id: str = ""


def read_question(text: str | bytes) -> Question:
    """The question in a message. Errors: `InvalidInput` (`bad_request`)."""
    try:
        question: Question = _questions.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        raise InvalidInput(f"This is no question: {str(wrong).rstrip('.')}.", code="bad_request") from None
    return question


def id_in(text: str | bytes) -> str:
    """The `id` of what is no question, to answer it by; empty when it has none."""
    try:
        return msgspec.json.decode(text, type=_Identified).id[:64]
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""


def read_answer(text: str | bytes) -> Answer:
    """The answer in a message. Errors: `msgspec.DecodeError`: another version speaks."""
    answer: Answer = _answers.decode(text)
    return answer


def written(words: Question | Answer) -> str:
    """A question or an answer as the text of a message."""
    return _encoder.encode(words).decode()
