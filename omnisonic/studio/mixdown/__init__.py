"""Mixdowns: the stems of a session mixed into one file. Models, errors, and the messages between the two processes.

`omnisonic.studio.mixdown.mixer` starts a process for each mix (`omnisonic.studio.mixdown.process`). It sends one
`MixRequest` as JSON and receives `Report`s, one JSON object a line.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import AudioFormat

RATE_HZ: Final = 48_000
"""Sample rate of every mix."""
Bits: TypeAlias = Literal[16, 24]
"""Bits of a sample in WAV and FLAC."""


class Stem(msgspec.Struct, frozen=True):
    """The mix settings of a file. Muted files, and takes that are not chosen, are left out by the caller.

    `pan` goes from -1 (left) to 1 (right) (`omnisonic.studio.mixdown.tracks.pan_gains`). `offset_s`, at least 0, is
    where the file begins. Of its sound `trim_start_s` and `trim_end_s` are cut, and the rest is faded in and out
    (`omnisonic.studio.mixdown.clips`).
    """

    name: str
    gain_db: float = 0.0
    pan: float = 0.0
    offset_s: float = 0.0
    trim_start_s: float = 0.0
    trim_end_s: float = 0.0
    fade_in_s: float = 0.0
    fade_out_s: float = 0.0

    @property
    def is_clipped(self) -> bool:
        """Whether it is not heard as a whole, as it is."""
        return any((self.trim_start_s, self.trim_end_s, self.fade_in_s, self.fade_out_s))

    @property
    def quoted_name(self) -> str:
        """Its name as it stands in a sentence: as people wrote it, in whatever script."""
        return f"'{self.name}'"


class Project(msgspec.Struct, frozen=True):
    """What is to be mixed. A project without stems gives eight bars of click."""

    tempo_bpm: float
    beats_per_bar: int
    stems: list[Stem] = []


class Mixed(msgspec.Struct, frozen=True):
    """The measurements of a finished mix.

    `loudness_lufs` is the integrated loudness (ITU-R BS.1770-5), None when the mix is too quiet or too short to have
    one. `peak_dbfs` is the highest sample, None for digital silence. `warning` says in sentences what of the files is
    missing, None when nothing is.
    """

    duration_s: float
    loudness_lufs: float | None
    peak_dbfs: float | None
    warning: str | None = None


class UnusableStem(OmnisonicError):
    """There is no mix because of a file. The message names the file where it is known, and says what to do."""

    code = "unusable_stem"


class TooLong(OmnisonicError):
    """The mix was not done in time."""

    code = "mix_too_long"


class MixFailed(OmnisonicError):
    """There is no mix, and nothing says that a file is to blame."""

    code = "mix_failed"


class MixRequest(msgspec.Struct, frozen=True):
    """Asks the process for a mix. `files` and `output` are descriptors; `files` in the order of the project's stems."""

    project: Project
    format: AudioFormat
    bits: Bits
    files: list[int]
    output: int


class Progress(msgspec.Struct, frozen=True, tag_field="report", tag="progress"):
    """The part that is done, from 0 to 1."""

    done: float


class Done(msgspec.Struct, frozen=True, tag_field="report", tag="mixed"):
    """The mix is in its file. The last report."""

    mixed: Mixed


class Unusable(msgspec.Struct, frozen=True, tag_field="report", tag="unusable"):
    """There is no mix because of a file. The last report."""

    sentence: str


class Failed(msgspec.Struct, frozen=True, tag_field="report", tag="failed"):
    """There is no mix, and no file is to blame. The last report."""

    sentence: str


Report: TypeAlias = Progress | Done | Unusable | Failed
