"""Segments: an upload in pieces of exactly 10 s, for playing many stems together in little memory (SPEC 3).

A segment is a FLAC file at 48 kHz; only the last one of an upload may be shorter. Decoded one after the other they are,
sample for sample, what the mixdown reads of the file (`omnisonic.studio.mixdown.tracks`), before gain, pan and offset.
So what encoders add before and after the sound (AAC, Opus, MP3) is removed once, here, and not in each browser in its
own way.

- **16 bits where they are enough, else 24.** They are enough when every sample is a whole step of 16 bits: a file of 16
  bits at 48 kHz. Resampling, downmixing and lossy codecs give finer values, which 16 bits would round audibly.
- **No dither.** Rounding to 24 bits is 144 dB down, and rounding of what fits into 16 bits changes nothing.
- **One channel or two.** One when the whole file has one. Where that changes, one is in both at -3 dB, as it is mixed.
- **`gain`.** FLAC has no samples over full scale; files of floats and of lossy codecs have, and the mixdown keeps them.
  All segments of such a file are divided by a power of two, which is exact.

They are made once for each upload (`.segment_worker`): for a stem of a session right after its analysis, because
whoever opens the session wants to hear it at once; for everything else, uploads from before this feature included,
when somebody asks for them. They take more room than most files do, and most of those are never played in segments.

All segments of an upload are one object, so they are there together or not at all. They go with their upload, and count
towards nobody's quota; what they may take in all is bounded by it (`.segment_limit`).
"""

from typing import Final

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.stores.storage import Key

FORMAT: Final = 1
"""Raised whenever the samples of segments change: older segments are then made again."""
SEGMENT_S: Final = 10
MEDIA_TYPE: Final = "audio/flac"
FOLDER: Final = "segments"
"""The folder of the keys."""
NO_SOUND: Final = "There is no sound in this file that can be played."


class SegmentsPending(OmnisonicError):
    """The segments are not made yet."""

    code = "segments_pending"

    def __init__(self) -> None:
        super().__init__("This file is being prepared for playing. Ask again in a moment.")


class NoSegments(OmnisonicError):
    """There are no segments of this file. There will be none, or not while their uploader has no room for them."""

    code = "no_segments"

    def __init__(self, message: str = NO_SOUND) -> None:
        super().__init__(message)


class NoSuchSegment(OmnisonicError):
    """The file has fewer segments."""

    code = "no_such_segment"

    def __init__(self, count: int) -> None:
        there = "There is only segment 0" if count == 1 else f"There are segments 0 to {count - 1}"
        super().__init__(f"The sound ends before that. {there}.")


class CannotCut(OmnisonicError):
    """No segments were made, and nothing says that the file is to blame."""

    code = "cannot_cut"


class Cut(msgspec.Struct, frozen=True):
    """What all segments of a file have in common.

    `frames` are those of all segments together. Samples are to be multiplied by `gain`. `warning` is a sentence on what
    of the file is missing.
    """

    frames: int
    channels: int
    bits: int
    gain: int
    warning: str | None = None


class MadeSegments(msgspec.Struct, frozen=True):
    """The segments of an upload as one object at `key`. `ends` are the bytes at which each of them ends."""

    key: Key
    sha256: str
    ends: list[int]
    cut: Cut


class Segments(msgspec.Struct, frozen=True, rename="camel"):
    """The segments of an upload: `count`, numbered from 0. Each has ten seconds of sound, but for the last one.

    `frames` is the length of the whole sound in samples of each channel at `sampleRate`. Decoded samples are to be
    multiplied by `gain`, a power of two: 1, unless the file is louder than full scale. `version` is that of the
    segments' bytes, for `v`. `warning` is a sentence on what of the file is missing in them, null for nothing.
    """

    version: str
    count: int
    frames: int
    channels: int
    sample_rate: int
    bits_per_sample: int
    gain: int
    warning: str | None


class StoredSegment(msgspec.Struct, frozen=True):
    """A segment: the bytes from `begin` to before `end` of the object at `key`."""

    key: Key
    begin: int
    end: int
    version: str
