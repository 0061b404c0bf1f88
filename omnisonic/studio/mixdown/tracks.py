"""The stems on their way into the mix: `Track` is one stem, `Submix` the sum of several that share a rate. Blocking.

Tracks of the same rate are summed before they are resampled to the mix's rate: once, instead of once each. The result
is the same, because resampling is linear, if the tracks' positions differ by whole samples of their own rate. A
position in the mix is a whole sample of the mix's rate; relative to a track's own samples, the same position recurs
after `cycle` frames. So there is one submix for each rate and each such position; most sessions have one or two in all.

Broken files: whatever can be decoded is mixed. One thread at a time.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import BinaryIO, Final, TypeAlias

import numpy as np

from omnisonic.studio.media.decoding import LONGEST_S, NoSound
from omnisonic.studio.media.sound import Sound
from omnisonic.studio.mixdown import RATE_HZ, Stem, UnusableStem
from omnisonic.studio.mixdown.blocks import BLOCK_FRAMES, Block, Resampler, Samples, downmix, read_blocks
from omnisonic.studio.mixdown.clips import Clip, ClippedSource, frame_at

RATES_HZ: Final = range(1_000, 800_001)
"""Plausible sample rates."""
ENDLESS: Final = 2**62
"""The length of a sound whose end does not matter."""

Source: TypeAlias = Callable[[int], Samples]
"""Returns the next frames of a sound, in two rows; fewer, or none, only at its end."""


def pan_gains(channels: int, gain_db: float, pan: float) -> tuple[float, float]:
    """The factors for the left and the right side of a stem with one channel or two. Pure.

    The power of both sides together is the same for every pan: sin² + cos² = 1. One channel is 3 dB down on either side
    when it is in the middle. Two channels are unchanged in the middle; towards a side, that side gains up to 3 dB while
    the other one fades out.

    Args:
        channels: 1 or 2.
        gain_db: The stem's gain.
        pan: From -1 (left) to 1 (right); values beyond count as these.
    """
    angle = (min(max(pan, -1.0), 1.0) + 1) * math.pi / 4
    factor = 10 ** (gain_db / 20) * math.sqrt(channels)
    return math.cos(angle) * factor, math.sin(angle) * factor


class Track:
    """The sound of `file` with the mix settings of `stem`, at the rate of the file. Close it.

    Raises `UnusableStem` when it is created without any sound, and later when the sound turns out to be endless.
    """

    def __init__(self, stem: Stem, file: BinaryIO, *, longest_s: float = LONGEST_S) -> None:
        self._stem = stem
        self._longest_s = longest_s
        self.begins = frame_at(stem.offset_s)
        """Where in the mix, in the mix's frames."""
        self.clip: Clip | None = None
        """What is heard of it; None for all."""
        self._whole: Track | None = None
        if stem.is_clipped:
            self._set_clip(file)
        self._silence = 0
        try:
            self._sound = Sound(file)
        except NoSound:
            raise self._no_sound() from None
        self.declared_frames = self.begins + round(self._sound.length_s * RATE_HZ)
        """Where it ends in the mix, if the file is right about its length."""
        self._is_incomplete = False
        blocks = self._decode_blocks(read_blocks(self._sound))
        first = next(blocks, None)
        if first is None:
            self._sound.close()
            raise self._no_sound()
        self.rate_hz = first.rate_hz
        self._pieces = resample_to_first(first, blocks)
        self._rest = np.zeros((1, 0), np.float32)
        self._frames = 0

    def delay(self, frames: int) -> None:
        """Begin with that much silence, in frames of the file's rate. Before the first `read`."""
        self._silence = frames

    def read(self, frames: int) -> Samples:
        """The next frames at the file's rate, in two rows; fewer, or none, only at the end."""
        block = np.empty((2, frames), np.float32)
        filled = min(self._silence, frames)
        block[:, :filled] = 0
        self._silence -= filled
        while filled < frames and self._fill_rest():
            part = self._rest[:, : frames - filled]
            self._rest = self._rest[:, part.shape[1] :]
            for side, factor in enumerate(pan_gains(len(part), self._stem.gain_db, self._stem.pan)):
                np.multiply(part[side % len(part)], np.float32(factor), out=block[side, filled:][: part.shape[1]])
            filled += part.shape[1]
        return block[:, :filled]

    def pieces(self) -> Iterator[Samples]:
        """What is left of its sound at the file's rate, in one row or two, without the mix settings."""
        while self._fill_rest():
            piece, self._rest = self._rest, self._rest[:, :0]
            yield piece

    def missing(self, name: str | None = None) -> str | None:
        """A sentence about `name`, or the stem's, on what of the file is missing; None for nothing. For the end."""
        name = name or self._stem.quoted_name
        if self._whole is not None:  # this one may not be decoded to its end
            return self._whole.missing(name)
        if self._is_incomplete:
            return f"{name} ends where its sound changes to a kind that cannot be mixed."
        return self._sound.missing(name)

    def close(self) -> None:
        """Close the decoder."""
        self._sound.close()

    def _set_clip(self, file: BinaryIO) -> None:
        """Find what is heard. Where its end matters, the file is decoded for that: it may be wrong about its length."""
        frames = ENDLESS
        if self._stem.trim_end_s or self._stem.fade_in_s or self._stem.fade_out_s:
            self._whole = Track(Stem(self._stem.name), file, longest_s=self._longest_s)
            with closing(self._whole):
                frames = self._whole.count_frames()
            file.seek(0)
        self.clip = Clip.of(self._stem, frames)

    def count_frames(self) -> int:
        """Decode what is left of its sound, and count its frames in the mix."""
        resampler = Resampler(self.rate_hz, RATE_HZ, 1)
        frames = sum(len(resampler.process(piece[:1])[0]) for piece in self.pieces())
        return frames + len(resampler.finish()[0])

    def _fill_rest(self) -> bool:
        """Decode more when `_rest` is empty. False at the end."""
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

    def _decode_blocks(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The blocks up to the first one that cannot be decoded or has an implausible rate."""
        while True:
            try:
                block = next(blocks, None)
            except ValueError:
                self._is_incomplete = True
                return
            if block is None:
                return
            if block.rate_hz not in RATES_HZ:
                self._is_incomplete = True
                return
            yield block

    def _no_sound(self) -> UnusableStem:
        return UnusableStem(f"There is no sound in {self._stem.quoted_name} that can be mixed. Remove it or mute it.")


def resample_to_first(first: Block, others: Iterator[Block]) -> Generator[Samples]:
    """Downmix the blocks to one row or two, and resample them to the rate of the first."""
    resampler = None
    for block in chain([first], others):
        mixed = downmix(block.samples, block.channels)
        if resampler is None or resampler.input_shape != (block.rate_hz, len(mixed)):
            if resampler is not None:
                yield resampler.finish()
            resampler = Resampler(block.rate_hz, first.rate_hz, len(mixed))
        yield resampler.process(mixed)
    if resampler is not None:
        yield resampler.finish()


class Sum:
    """The sum of several sources, always added in the same order. One task owns it."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = list(sources)

    def read(self, frames: int) -> Samples:
        """The next frames, in two rows; fewer, or none, only at the end of the longest. Raises as the sources."""
        blocks = [source(frames) for source in self._sources]
        pairs = zip(self._sources, blocks, strict=True)
        self._sources = [source for source, block in pairs if block.shape[1] == frames]
        if len(blocks) == 1:
            return blocks[0]
        length = max((block.shape[1] for block in blocks), default=0)
        total = np.zeros((2, length), np.float32)
        for block in blocks:
            total[:, : block.shape[1]] += block
        return total


class Submix:
    """The sum of `sources`, all at `rate_hz`, from `begins` in the mix. One task owns it."""

    def __init__(self, rate_hz: int, begins: int, sources: Sequence[Source]) -> None:
        self._resampler: Resampler | None = Resampler(rate_hz, RATE_HZ, 2)
        self._rest = np.zeros((2, begins), np.float32)
        self._sum = Sum(sources)

    def read(self, frames: int) -> Samples:
        """The next frames of the mix, in two rows; fewer, or none, only at the end. Raises as the tracks."""
        pieces, length = [self._rest], self._rest.shape[1]
        while length < frames and self._resampler is not None:
            block = self._sum.read(BLOCK_FRAMES)
            pieces.append(self._resampler.process(block))
            length += pieces[-1].shape[1]
            if block.shape[1] < BLOCK_FRAMES:
                pieces.append(self._resampler.finish())
                self._resampler = None
        joined = np.concatenate(pieces, axis=1)
        self._rest = joined[:, frames:]
        return joined[:, :frames]


def make_sources(tracks: Sequence[Track]) -> list[Source]:
    """A submix for each rate and position between two samples, and one of its own for each track with a clip.

    A clip is cut and faded at the mix's rate, as the browser does it: a cut before the resampler would ring.
    """
    groups: defaultdict[tuple[int, int], list[Track]] = defaultdict(list)
    clips = list[Source]()
    for track in tracks:
        if track.clip is not None:
            alone = Submix(track.rate_hz, 0, [track.read])
            clips.append(ClippedSource(alone.read, track.begins, track.clip).read)
            continue
        begins = track.begins % (RATE_HZ // math.gcd(RATE_HZ, track.rate_hz))
        track.delay((track.begins - begins) * track.rate_hz // RATE_HZ)
        groups[track.rate_hz, begins].append(track)
    submixes = [
        Submix(rate_hz, begins, [track.read for track in members]) for (rate_hz, begins), members in groups.items()
    ]
    return [submix.read for submix in submixes] + clips
