"""Coming back to a room: a position in its order, and what a member who returns is told (SPEC 5.2). Sans-IO."""

import re
from typing import Final, NamedTuple

import msgspec

from omnisonic.errors import InvalidInput
from omnisonic.wire.frames import TEXT, frame

_POSITION: Final = re.compile(r"([\x21-\x39\x3b-\x7e]{1,64}):(0|[1-9][0-9]{0,14})")


class Position(NamedTuple):
    """A place in the order of a room: the number of a message, and the epoch that names the count."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"


class HistoryGap(msgspec.Struct, rename={"from_": "from"}):
    """The payload of `history.gap`: messages `from_` to `to` of this epoch are lost.

    `to` and `lost`, their number, are None when nobody knows how many there were.
    """

    epoch: str
    from_: int
    to: int | None
    lost: int | None


def parse_position(text: str) -> Position:
    """Read `EPOCH:OFFSET`, as in the query field `since`.

    Raises:
        InvalidInput: `invalid_since`.
    """
    match = _POSITION.fullmatch(text)
    if match is None:
        raise InvalidInput("since must be EPOCH:OFFSET, as the room's messages say.", code="invalid_since")
    return Position(match[1], int(match[2]))


def gap_frame(gap: HistoryGap) -> bytes:
    """`history.gap`: what a member who came back has missed for good."""
    return frame(TEXT, b'{"type":"history.gap","payload":' + msgspec.json.encode(gap) + b"}")
