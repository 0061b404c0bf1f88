"""The protocol of `/inspect`: the questions of an operator, and the answers of a gateway (docs/inspecting.md). Sans-IO.

Each is one JSON object in one text message. It has a `type`, and the `id` of the question, so that several questions
share a connection. A tap, and a question with `everyS`, is a stream: it is answered again and again until `stop`, or
until it ends by itself. Its last answer is `end`. Times are ISO 8601 (UTC); the name of a duration ends in its unit.

To add a question, add a struct to `Question` and a row to docs/inspecting.md; a test compares the two.
"""

from datetime import datetime
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from omnisonic.errors import InvalidInput
from omnisonic.wire.inspection_lines import (
    ChildLine,
    ClosedRoom,
    ClusterLine,
    GatewayLine,
    LetterLine,
    RoomDetail,
    RoomLine,
)

QUESTION_BYTES: Final = 4096
"""A longer question closes the connection (1009)."""
ERROR_CODES: Final = {
    "bad_request": "The question is not valid; the message says why.",
    "duplicate_id": "A stream with that id is already running.",
    "too_many_streams": "This connection has the maximum number of streams.",
    "too_many_taps": "That room, or the gateway, has the maximum number of taps.",
    "unknown_room": "There is no such room now.",
    "owned_elsewhere": "The room is at another gateway; the message says at which.",
    "owner_silent": "The gateway that owns the room, or Redis, did not answer in time.",
    "owner_refused": "The gateway that owns the room has no ADMIN_TOKEN, or another one.",
    "owner_busy": "The gateway that owns the room answers the maximum number of questions.",
    "unknown_member": "There is no such member in that room now.",
    "not_connected": "The member is present over REST only: there is no connection to close.",
    "restarting": "The room crashed and is being restarted at this moment.",
    "unknown_letter": "There is no such dead letter, or it is no longer kept.",
    "sender_gone": "The sender is no longer connected to that room.",
    "already_replayed": "The letter was sent to its room again before.",
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
    """List all rooms, in parts; once, or every `everyS` seconds."""

    every_s: EveryS | None = None


class AskRoom(_Question, frozen=True, tag="room"):
    """Show one room with its members; once, or every `everyS` seconds.

    As in other questions about a room, its owner is asked, wherever that is; with `here` only this gateway is.
    """

    room: Name
    every_s: EveryS | None = None
    here: bool = False


class AskTree(_Question, frozen=True, tag="tree"):
    """Show the gateway and what it supervises, without the rooms; once, or every `everyS` seconds."""

    every_s: EveryS | None = None


class AskTap(_Question, frozen=True, tag="tap"):
    """Show the messages of a room as they pass: for `forS` seconds, at most `most`, and at most `perS` a second."""

    room: Name
    for_s: Annotated[float, Meta(gt=0, le=600)] = 30.0
    most: Annotated[int, Meta(ge=1, le=10_000)] = 100
    per_s: Annotated[int, Meta(ge=1, le=100)] = 20
    payload: bool = False
    here: bool = False


class AskKick(_Question, frozen=True, tag="kick"):
    """Remove a member from a room (4003)."""

    room: Name
    member: Name
    here: bool = False


class AskClose(_Question, frozen=True, tag="close"):
    """Close a room: everybody in it is removed (4004)."""

    room: Name
    here: bool = False


class AskRestart(_Question, frozen=True, tag="restart"):
    """Restart a room: it loses its state and keeps its members."""

    room: Name
    here: bool = False


class AskDeadLetters(_Question, frozen=True, tag="deadLetters"):
    """List the dead letters of one room, or of all; with `payload`, the messages themselves."""

    room: Name | None = None
    payload: bool = False


class AskReplay(_Question, frozen=True, tag="replay"):
    """Send a dead letter to its room again, in the name of its sender; once."""

    letter: int


class AskStop(_Question, frozen=True, tag="stop"):
    """End the stream whose id is `stream`."""

    stream: Id


Stream: TypeAlias = AskRooms | AskRoom | AskTree | AskTap
Action: TypeAlias = AskKick | AskClose | AskRestart | AskReplay
RoomQuestion: TypeAlias = AskRoom | AskTap | AskKick | AskClose | AskRestart
"""What is asked about one room, of its owner."""
Question: TypeAlias = Stream | Action | AskDeadLetters | AskStop


class _Answer(msgspec.Struct, frozen=True, rename="camel", tag_field="type"):
    id: str


class Rooms(_Answer, frozen=True, tag="rooms"):
    """A part of all rooms. The last one has `more` false, the gateway's line, and recently closed rooms.

    `problems` has a sentence for each process of the gateway that did not answer.
    """

    rooms: tuple[RoomLine, ...]
    more: bool
    gateway: GatewayLine | None = None
    closed: tuple[ClosedRoom, ...] = ()
    problems: tuple[str, ...] = ()


class RoomAnswer(_Answer, frozen=True, tag="room"):
    """One room. `owner` is the gateway that has answered, when the one that was asked does not own the room."""

    room: RoomDetail
    owner: str | None = None


class Tree(_Answer, frozen=True, tag="tree"):
    """The gateway and what it supervises, without the rooms. `cluster`: with several gateways, how it is among them; a
    line for each of its processes.
    """

    gateway: GatewayLine
    children: tuple[ChildLine, ...]
    closed: tuple[ClosedRoom, ...]
    cluster: tuple[ClusterLine, ...] = ()


class Passed(_Answer, frozen=True, tag="passed", omit_defaults=True):
    """A message on its way to a room. `missed` counts the messages since the last one that were over `perS`."""

    at: datetime
    kind: str
    sender: str | None
    size: int
    message: str | None = None
    to: str | None = None
    payload: str | None = None
    missed: int = 0


class DeadLetterAnswer(_Answer, frozen=True, tag="deadLetters"):
    """Dead letters, oldest first, and how many there were in total."""

    letters: tuple[LetterLine, ...]
    total: int


class Done(_Answer, frozen=True, tag="done"):
    """The action is done."""


class End(_Answer, frozen=True, tag="end", omit_defaults=True):
    """A stream has ended: `stopped`, `time`, `most`, `room gone`. The end of a tap has its counts."""

    reason: str
    passed: int = 0
    missed: int = 0


class NotAnswering(_Answer, frozen=True, tag="notAnswering"):
    """The gateway's event loop did not answer in time.

    `room` has kept it busy for `forS` seconds; None when it is not a room. `at` is where in the code, innermost first.
    """

    room: str | None
    for_s: float
    at: str


class Failed(_Answer, frozen=True, tag="error"):
    """The question failed. `id` is empty when the question had none that could be read."""

    code: str
    message: str


Answer: TypeAlias = Rooms | RoomAnswer | Tree | Passed | DeadLetterAnswer | Done | End | NotAnswering | Failed

_questions: Final = msgspec.json.Decoder(Question)
_answers: Final = msgspec.json.Decoder(Answer)
_encoder: Final = msgspec.json.Encoder()


class _Identified(msgspec.Struct):
    id: str = ""


def read_question(text: str | bytes) -> Question:
    """Decode a question.

    Raises:
        InvalidInput: `bad_request`.
    """
    try:
        question: Question = _questions.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        raise InvalidInput(f"This is no question: {str(wrong).rstrip('.')}.", code="bad_request") from None
    return question


def read_id(text: str | bytes) -> str:
    """Read the `id` of a message that is not a valid question, for the answer; empty when it has none."""
    try:
        return msgspec.json.decode(text, type=_Identified).id[:64]
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""


def read_answer(text: str | bytes) -> Answer:
    """Decode an answer.

    Raises:
        msgspec.DecodeError: It is not an answer; the gateway may be of another version.
    """
    try:
        answer: Answer = _answers.decode(text)
    except UnicodeDecodeError as problem:
        raise msgspec.DecodeError(str(problem)) from problem
    return answer


def encode(message: Question | Answer) -> str:
    """Encode a question or an answer as the text of a message."""
    return _encoder.encode(message).decode()
