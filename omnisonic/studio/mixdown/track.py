"""One stem on its way into the mix: decoded, folded to one or two channels, and as loud on either side as it is to be,
at the rate of its file. Blocking. One thread at a time.

Broken files: what can be decoded of them is mixed, if it is anything.
"""

from collections.abc import Generator, Iterator
from itertools import chain
from typing import BinaryIO, Final

import numpy as np

from omnisonic.studio.media.decoding import LONGEST_S, NoSound
from omnisonic.studio.media.sound import Sound
from omnisonic.studio.mixdown import RATE_HZ, Stem, UnusableStem
from omnisonic.studio.mixdown.blocks import Block, Samples, blocks_of
from omnisonic.studio.mixdown.channels import fold
from omnisonic.studio.mixdown.panning import gains
from omnisonic.studio.mixdown.resampling import Resampler

RATES_HZ: Final = range(1_000, 800_001)
"""Of sound. Other rates are somebody's joke."""


class Track:
    """The sound of `file` as `stem` wants it. Close it.

    Errors: `UnusableStem`, when it is made, and later when the sound turns out to be endless.
    """

    def __init__(self, stem: Stem, file: BinaryIO, *, longest_s: float = LONGEST_S) -> None:
        self._stem = stem
        self._longest_s = longest_s
        self.begins = round(stem.offset_s * RATE_HZ)
        """Where in the mix, in the mix's frames."""
        self._silence = 0
        try:
            self._sound = Sound(file)
        except NoSound:
            raise self._soundless() from None
        self.frames_said = self.begins + round(self._sound.length_s * RATE_HZ)
        """How long the mix will be for this track, if the file is right about itself."""
        self._is_given_up = False
        blocks = self._decodable(blocks_of(self._sound))
        first = next(blocks, None)
        if first is None:
            self._sound.close()
            raise self._soundless()
        self.rate_hz = first.rate_hz
        self._pieces = _at_one_rate(first, blocks)
        self._rest = np.zeros((1, 0), np.float32)
        self._frames = 0

    def delay(self, frames: int) -> None:
        """Begin with so much silence, in frames of the file's rate. Before the first `read`."""
        self._silence = frames

    def read(self, frames: int) -> Samples:
        """The next so many frames at the file's rate, in two rows; fewer, or none, only at the end."""
        block = np.empty((2, frames), np.float32)
        filled = min(self._silence, frames)
        block[:, :filled] = 0
        self._silence -= filled
        while filled < frames and self._goes_on():
            part = self._rest[:, : frames - filled]
            self._rest = self._rest[:, part.shape[1] :]
            for side, factor in enumerate(gains(len(part), self._stem.gain_db, self._stem.pan)):
                np.multiply(part[side % len(part)], np.float32(factor), out=block[side, filled:][: part.shape[1]])
            filled += part.shape[1]
        return block[:, :filled]

    def missing(self) -> str | None:
        """A sentence on what of the file is missing; None for nothing. Ask at the end."""
        name = self._stem.quoted_name
        if self._is_given_up:
            return f"{name} ends where its sound changes to a kind that cannot be mixed."
        return self._sound.missing(name)

    def close(self) -> None:
        """Let go of the decoder."""
        self._sound.close()

    def _goes_on(self) -> bool:
        """Whether there is anything in `_rest`, or can be had."""
        while not self._rest.shape[1]:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._rest = piece
            self._frames += piece.shape[1]
            if self._frames > self._longest_s * self.rate_hz:
                name, hours = self._stem.quoted_name, self._longest_s / 3600
                raise UnusableStem(f"The sound in {name} goes on for more than {hours:g} hours. Remove it or mute it.")
        return True

    def _decodable(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The blocks, up to where what comes cannot be decoded, or is nothing that sound can be."""
        while True:
            try:
                block = next(blocks, None)
            except ValueError:
                self._is_given_up = True
                return
            if block is None:
                return
            if block.rate_hz not in RATES_HZ:
                self._is_given_up = True
                return
            yield block

    def _soundless(self) -> UnusableStem:
        return UnusableStem(f"There is no sound in {self._stem.quoted_name} that can be mixed. Remove it or mute it.")


def _at_one_rate(first: Block, others: Iterator[Block]) -> Generator[Samples]:
    """The blocks in one row or two, at the rate of the first, whatever they change to in the middle."""
    resampler = None
    for block in chain([first], others):
        folded = fold(block.samples, block.channels)
        if resampler is None or resampler.like != (block.rate_hz, len(folded)):
            if resampler is not None:
                yield resampler.finish()
            resampler = Resampler(block.rate_hz, first.rate_hz, len(folded))
        yield resampler.go_on(folded)
    if resampler is not None:
        yield resampler.finish()
