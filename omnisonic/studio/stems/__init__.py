"""Stems: the tracks of a session as files that other programs place (SPEC 3). Models, and the message to the process.

`.exporter` starts a process for each export (`.process`), which renders every track as a WAV from bar 1 on, all of one
length (`.rendering`), and writes a DAWproject (`.dawproject`) and a Reaper project (`.reaper`) that place them.

The WAVs have what was recorded, cut and faded as in the session, without its gain and pan: those are in the projects,
where a mixing engineer can change them.
"""

import math
from datetime import datetime
from typing import Final

import msgspec

from omnisonic.studio.mixdown import RATE_HZ, Stem

BITS: Final = 24
SAMPLE_BYTES: Final = BITS // 8
FLOAT_BYTES: Final = 4
"""Of a sample in the scratch file."""
BEAT_UNIT: Final = 4
"""What a beat is in a time signature: a quarter note."""


class SongTrack(msgspec.Struct, frozen=True):
    """A track of the session. Muted tracks are exported as well, and say so in the projects."""

    stem: Stem
    is_muted: bool = False


class SongMarker(msgspec.Struct, frozen=True):
    """A marker at a beat, counted from 0; a section when it has an end."""

    name: str
    at_beat: float
    end_beat: float | None = None


class Song(msgspec.Struct, frozen=True):
    """What is exported. `name` is safe as the name of a file; `made_at` is the time that the files bear."""

    name: str
    made_at: datetime
    tempo_bpm: float
    beats_per_bar: int
    tracks: list[SongTrack]
    markers: list[SongMarker] = []

    def seconds_at(self, beat: float) -> float:
        """When this beat is."""
        return beat * 60 / self.tempo_bpm


class TrackFile(msgspec.Struct, frozen=True):
    """The WAV of a track, as the projects place it: from bar 1 on. `gain` is a factor, `pan` from -1 to 1."""

    name: str
    file_name: str
    channels: int
    gain: float
    pan: float
    is_muted: bool


class Arrangement(msgspec.Struct, frozen=True):
    """A song and the WAVs of its tracks, which have `frames` at `RATE_HZ` each."""

    song: Song
    files: list[TrackFile]
    frames: int

    @property
    def duration_s(self) -> float:
        return self.frames / RATE_HZ


class StemsRequest(msgspec.Struct, frozen=True):
    """Asks the process for an export. `files`, in the order of the tracks, `scratch` and `output` are descriptors."""

    song: Song
    files: list[int]
    scratch: int
    output: int


def factor_of(gain_db: float) -> float:
    """A gain as a factor."""
    return math.pow(10, gain_db / 20)


def decimal(value: float) -> str:
    """A number without an exponent, which not every program reads."""
    return f"{value:.12f}".rstrip("0").rstrip(".")
