"""Reaper's project files (`.rpp`): lines of words, and blocks in `<` and `>`. Pure.

Cockos publishes no grammar; the names of the fields are those of Reaper's own files and of its API. A track's pan law
is written out, so a project sounds like the mix of the studio whatever the user's own setting is: a track with one
channel is 3 dB down in the middle, one with two is unchanged there, and both keep their power on the way to a side.
"""

from collections.abc import Iterator
from typing import Final

from omnisonic.models.names import without_controls
from omnisonic.studio.mixdown import RATE_HZ
from omnisonic.studio.stems import BEAT_UNIT, Arrangement, Song, TrackFile, decimal

ENDING: Final = ".rpp"
VERSION: Final = '0.1 "6.0"'
PAN_LAWS: Final = {1: 0.5**0.5, 2: 2**0.5}
"""Reaper's D_PANLAW for one channel and for two: -3 dB, and -3 dB with gain compensation."""
SINE_TAPER: Final = 0
BALANCE: Final = 3
"""The pan mode: balance for two channels, pan for one."""


def make_rpp(arrangement: Arrangement) -> bytes:
    """The file with this project."""
    return "".join(f"{line}\n" for line in _project(arrangement)).encode()


def quoted(text: str) -> str:
    """A text as one word. A word has no escapes: it is quoted with a mark that is not in it."""
    text = without_controls(text)
    mark = next((mark for mark in "\"'`" if mark not in text), "`")
    return f"{mark}{text.replace(mark, chr(39))}{mark}"


def _project(arrangement: Arrangement) -> Iterator[str]:
    song = arrangement.song
    yield f"<REAPER_PROJECT {VERSION} {int(song.made_at.timestamp())}"
    yield f"  PANMODE {BALANCE}"
    yield f"  SAMPLERATE {RATE_HZ} 1 0"
    yield f"  TEMPO {decimal(song.tempo_bpm)} {song.beats_per_bar} {BEAT_UNIT}"
    yield from _markers(song)
    for file in arrangement.files:
        yield from _track(file, arrangement.duration_s)
    yield ">"


def _markers(song: Song) -> Iterator[str]:
    """A section has two lines with the same number: its name and beginning, and its end."""
    for number, marker in enumerate(song.markers, 1):
        at_s = decimal(song.seconds_at(marker.at_beat))
        is_section = int(marker.end_beat is not None)
        yield f"  MARKER {number} {at_s} {quoted(marker.name)} {is_section}"
        if marker.end_beat is not None:
            yield f'  MARKER {number} {decimal(song.seconds_at(marker.end_beat))} "" 1'


def _track(file: TrackFile, duration_s: float) -> Iterator[str]:
    yield "  <TRACK"
    yield f"    NAME {quoted(file.name)}"
    yield f"    PANLAWFLAGS {SINE_TAPER}"
    yield f"    VOLPAN {decimal(file.gain)} {decimal(file.pan)} {decimal(PAN_LAWS[file.channels])} -1 1"
    yield f"    MUTESOLO {int(file.is_muted)} 0 0"
    yield "    NCHAN 2"
    yield "    <ITEM"
    yield "      POSITION 0"
    yield f"      LENGTH {decimal(duration_s)}"
    yield "      LOOP 0"
    yield f"      NAME {quoted(file.name)}"
    yield "      <SOURCE WAVE"
    yield f"        FILE {quoted(file.file_name)}"
    yield "      >"
    yield "    >"
    yield "  >"
