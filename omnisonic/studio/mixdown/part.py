"""Some of the stems of a mix, which are read apart from the others: here (`Part`), or in a process of their own
(`omnisonic.studio.mixdown.reader`). Blocking. One task owns it.
"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import BinaryIO, Protocol, TypeAlias

from omnisonic.studio.mixdown import Stem
from omnisonic.studio.mixdown.blocks import Samples
from omnisonic.studio.mixdown.submix import Sum, submixes
from omnisonic.studio.mixdown.track import Track

Stems: TypeAlias = Sequence[tuple[Stem, BinaryIO]]
"""Each with the file that has its sound."""


class Readable(Protocol):
    """Some stems, summed. Errors: both methods may raise `UnusableStem`."""

    def frames_said(self) -> int:
        """How long they last, in the mix's frames, if their files are right about themselves. Once, and first."""
        ...

    def read(self, frames: int) -> Samples:
        """The next so many frames, in two rows; fewer, or none, only at the end."""
        ...

    def missing(self) -> list[str | None]:
        """For each stem a sentence on what of its file is missing; None for nothing. Once, and last."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


class Part:
    """Stems that are read where they are asked for."""

    def __init__(self, stems: Stems) -> None:
        self._stems = stems
        self._open = ExitStack()
        self._sum = Sum([])
        self._tracks = list[Track]()

    def frames_said(self) -> int:
        """Opens the files."""
        self._tracks = tracks = [self._open.enter_context(closing(Track(stem, file))) for stem, file in self._stems]
        self._sum = Sum([bus.read for bus in submixes(tracks)])
        return max((track.frames_said for track in tracks), default=0)

    def read(self, frames: int) -> Samples:
        """Decode and resample."""
        return self._sum.read(frames)

    def missing(self) -> list[str | None]:
        """As the tracks say."""
        return [track.missing() for track in self._tracks]

    def close(self) -> None:
        """Let go of the files."""
        self._open.close()


_fits: type[Readable] = Part
