"""The transport that members share: what plays, where, and how fast, on the server's clock (SPEC 5.2). Sans-IO.

Nothing runs here: a position is arithmetic on (beat, time, tempo). `beat_at` is what every client computes.
"""

from typing import Final, NamedTuple, TypeAlias

import msgspec

from omnisonic.errors import InvalidInput
from omnisonic.models import MemberId
from omnisonic.wire.frames import TEXT, frame

LAST_BEAT: Final = 1_000_000.0
"""The last beat that a position may have: 41 hours at 400 BPM."""
SHORTEST_LOOP_BEATS: Final = 0.25

Milliseconds: TypeAlias = float
"""Milliseconds since 1970, on the server's clock."""


class Tempo(NamedTuple):
    """Tempo and meter, as a session has them."""

    bpm: float
    beats_per_bar: int


class Loop(msgspec.Struct, frozen=True, rename="camel"):
    """The part that is repeated, in beats from the beginning."""

    start_beat: float
    end_beat: float


class TransportSet(msgspec.Struct, rename="camel"):
    """The payload of `transport.set`. A field that is absent stays as it is; a `loop` of null ends the loop."""

    playing: bool | msgspec.UnsetType = msgspec.UNSET
    at_beat: float | msgspec.UnsetType = msgspec.UNSET
    tempo_bpm: float | msgspec.UnsetType = msgspec.UNSET
    beats_per_bar: int | msgspec.UnsetType = msgspec.UNSET
    loop: Loop | msgspec.UnsetType | None = msgspec.UNSET


class Transport(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of `transport.state`, and `welcome.transport`.

    Attributes:
        playing: Whether it plays, from `anchor_time` on.
        tempo_bpm: Beats a minute.
        beats_per_bar: Beats in a bar.
        anchor_beat: The position at `anchor_time`, in beats from 0; where it stands, when it does not play.
        anchor_time: Milliseconds since 1970, on the server's clock.
        loop: The part that is repeated, or None.
        version: Counts the changes, from 0.
        by: Who changed it last; None for nobody, or from outside.
    """

    playing: bool = False
    tempo_bpm: float = 120.0
    beats_per_bar: int = 4
    anchor_beat: float = 0.0
    anchor_time: Milliseconds = 0
    loop: Loop | None = None
    version: int = 0
    by: MemberId | None = None

    def beat_at(self, time_ms: Milliseconds) -> float:
        """The position at this time, in beats. Before `anchor_time`, and when it does not play, it is `anchor_beat`."""
        if not self.playing or time_ms <= self.anchor_time:
            return self.anchor_beat
        beat = self.anchor_beat + (time_ms - self.anchor_time) * self.tempo_bpm / 60_000
        loop = self.loop
        if loop is None or self.anchor_beat >= loop.end_beat or beat < loop.end_beat:
            return beat
        return loop.start_beat + (beat - loop.end_beat) % (loop.end_beat - loop.start_beat)


_decode: Final = msgspec.json.Decoder(TransportSet).decode


def read_transport_set(payload: msgspec.Raw) -> TransportSet:
    """Decode the payload of a `transport.set`.

    Raises:
        InvalidInput: `invalid_message`.
    """
    try:
        return _decode(payload)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"This is no transport.set: {str(error).rstrip('.')}.", code="invalid_message") from None


def transport_frame(transport: Transport) -> bytes:
    """`transport.state`."""
    return frame(TEXT, b'{"type":"transport.state","payload":' + msgspec.json.encode(transport) + b"}")
