"""The room's transport: how a `transport.set` changes it. Pure (SPEC 5.2, DESIGN 7).

A start, and a jump while it plays, take effect `START_MS` later, so that everybody hears of it before it begins. When a
member changes the tempo, the beat stays where it is. When the session's tempo is changed, the second stays: stems have
their seconds, and what sounds goes on. Nothing here has a timer.
"""

from math import isfinite
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from omnisonic.errors import InvalidInput
from omnisonic.models import BEATS_PER_BAR, TEMPO_BPM, MemberId
from omnisonic.wire.transport import (
    LAST_BEAT,
    SHORTEST_LOOP_BEATS,
    Loop,
    Milliseconds,
    Tempo,
    Transport,
    TransportSet,
)

START_MS: Final = 150
"""How far ahead a start lies."""
CLOCKS_APART_MS: Final = 1_000
"""By more than this the clocks of two gateways are taken for different."""


def change_transport(before: Transport, wanted: TransportSet, by: MemberId | None, now_ms: Milliseconds) -> Transport:
    """The transport after `wanted`. `by`: the member who wants it; None when it comes from outside the room.

    Raises:
        InvalidInput: `invalid_transport`: a tempo, meter, position or loop out of its range, or nothing to change.
    """
    _check(wanted)
    return _change(before, wanted, by, now_ms)


def _change(before: Transport, wanted: TransportSet, by: MemberId | None, now_ms: Milliseconds) -> Transport:
    playing = before.playing if wanted.playing is UNSET else wanted.playing
    tempo_bpm = before.tempo_bpm if wanted.tempo_bpm is UNSET else wanted.tempo_bpm
    beat, time_ms = before.beat_at(now_ms), now_ms
    if before.playing and before.anchor_time > now_ms:  # its start has been said, and is not here yet
        time_ms = before.anchor_time
    if wanted.at_beat is not UNSET:
        beat = wanted.at_beat
    elif by is None:
        beat = _beat_of_second(before, beat, tempo_bpm)
    if playing and (not before.playing or wanted.at_beat is not UNSET):
        time_ms = now_ms + START_MS
    return Transport(
        playing,
        float(tempo_bpm),
        before.beats_per_bar if wanted.beats_per_bar is UNSET else wanted.beats_per_bar,
        beat,
        time_ms if playing else now_ms,
        before.loop if wanted.loop is UNSET else wanted.loop,
        before.version + 1,
        by,
    )


def _beat_of_second(before: Transport, beat: float, tempo_bpm: float) -> float:
    """The beat that has the second of `beat` in another tempo. What goes round in a loop stays in it."""
    moved, loop = min(LAST_BEAT, beat * tempo_bpm / before.tempo_bpm), before.loop
    if loop is None or beat >= loop.end_beat or moved < loop.end_beat:
        return moved
    return loop.start_beat + (moved - loop.end_beat) % (loop.end_beat - loop.start_beat)


def begin_transport(kept: Transport, tempo: Tempo, now_ms: Milliseconds, *, is_left: bool) -> Transport:
    """The transport of a room that somebody enters first: it has the session's tempo and meter.

    What plays keeps the tempo that its members have given it, because they come back after a restart, and still hear
    it. But when everybody had left (`is_left`) before the room was forgotten, nobody does, and the room was not told
    of another tempo of the session: it is applied now, as if it had been.
    """
    if (kept.tempo_bpm, kept.beats_per_bar) == tempo or (kept.playing and not is_left):
        return kept
    if not kept.version:
        return replace(kept, tempo_bpm=float(tempo.bpm), beats_per_bar=tempo.beats_per_bar)
    wanted = TransportSet(tempo_bpm=tempo.bpm, beats_per_bar=tempo.beats_per_bar)
    return _change(kept, wanted, None, now_ms)


def move_to_clock(kept: Transport, ahead_ms: Milliseconds) -> Transport:
    """A transport of another gateway, on this one's clock, which is ahead by so much; behind, when it is below 0.

    Up to `CLOCKS_APART_MS` the clocks count as equal: those that are set by NTP differ by less, and nobody knows the
    difference more exactly.
    """
    if abs(ahead_ms) <= CLOCKS_APART_MS or not kept.version:
        return kept
    return replace(kept, anchor_time=kept.anchor_time + ahead_ms)


def resume_transport(kept: Transport, now_ms: Milliseconds) -> Transport:
    """A kept transport, as a room that starts again has it: past the last possible beat it stands still."""
    beat = kept.beat_at(now_ms)
    if kept.playing and beat > LAST_BEAT:
        return replace(kept, playing=False, anchor_beat=0.0, anchor_time=now_ms)
    return kept


def _check(wanted: TransportSet) -> None:
    if all(getattr(wanted, name) is UNSET for name in wanted.__struct_fields__):
        raise _invalid("Say what to change: playing, atBeat, tempoBpm, beatsPerBar or loop.")
    if wanted.at_beat is not UNSET:
        _check_range("atBeat", wanted.at_beat, 0.0, LAST_BEAT)
    if wanted.tempo_bpm is not UNSET:
        _check_range("tempoBpm", wanted.tempo_bpm, *TEMPO_BPM)
    if wanted.beats_per_bar is not UNSET:
        _check_range("beatsPerBar", wanted.beats_per_bar, *BEATS_PER_BAR)
    if isinstance(wanted.loop, Loop):
        _check_range("loop.startBeat", wanted.loop.start_beat, 0.0, LAST_BEAT)
        _check_range("loop.endBeat", wanted.loop.end_beat, 0.0, LAST_BEAT)
        if wanted.loop.end_beat - wanted.loop.start_beat < SHORTEST_LOOP_BEATS:
            raise _invalid(f"A loop must have at least {SHORTEST_LOOP_BEATS:g} beats.")


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not (isfinite(value) and least <= value <= most):
        raise _invalid(f"{name} must be from {least:g} to {most:g}.")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, code="invalid_transport")
