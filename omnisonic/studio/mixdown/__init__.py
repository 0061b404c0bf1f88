"""Mixdowns: what the stems of a session sound like together, as one file. This module has the words; who wants a mix
asks `omnisonic.studio.mixdown.mixer`, which has it made in a process of its own (`omnisonic.studio.mixdown.process`).
"""

from typing import Final, Literal, TypeAlias

import msgspec

from omnisonic.errors import OmnisonicError

RATE_HZ: Final = 48_000
"""Of every mix."""
Bits: TypeAlias = Literal[16, 24]
"""Of a sample in WAV and FLAC."""


class Stem(msgspec.Struct, frozen=True):
    """How a file sits in the mix. Muted ones are left out by whoever asks for it.

    `pan` goes from -1 (left) to 1 (right) (`omnisonic.studio.mixdown.panning`). `offset_s`, at least 0, is where the
    file begins.
    """

    name: str
    gain_db: float = 0.0
    pan: float = 0.0
    offset_s: float = 0.0

    @property
    def quoted_name(self) -> str:
        """Its name as it stands in a sentence: as people wrote it, in whatever script."""
        return f"'{self.name}'"


class Project(msgspec.Struct, frozen=True):
    """What is to be mixed. Without stems: eight bars of click."""

    tempo_bpm: float
    beats_per_bar: int
    stems: list[Stem] = []


class Mixed(msgspec.Struct, frozen=True):
    """What became of it: `loudness_lufs` is the integrated loudness (ITU-R BS.1770-5), None when the mix is too quiet
    or too short to have one; `peak_dbfs` the highest sample, None when all is digital silence; `warning`, in sentences,
    what of the files is missing, None when nothing is.
    """

    duration_s: float
    loudness_lufs: float | None
    peak_dbfs: float | None
    warning: str | None = None


class UnusableStem(OmnisonicError):
    """It is a file's fault that there is no mix. The message names it where that is known, and says what to do."""

    code = "unusable_stem"


class TooLong(OmnisonicError):
    """The mix was not done in time."""

    code = "mix_too_long"


class MixFailed(OmnisonicError):
    """There is no mix, and no file is to blame."""

    code = "mix_failed"
