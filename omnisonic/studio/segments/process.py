"""`python -m omnisonic.studio.segments.process < FILE`: cuts the sound of a file into segments, and prints them.

What a file makes its decoder do is unknown, so this runs in the sandbox (`omnisonic.process.sandbox`). Its output is a
stream of messages (`omnisonic.studio.segments.messages`). The file is decoded twice: first to measure what its segments
need, then to write them. Memory: one segment, whatever the length of the file.

Broken files: what the mixdown reads of them is cut. Overload: too much time on processors ends the process with
SIGXCPU; too much memory is reported. Whoever reads slowly is waited for. Crash: a signal means that the file is at
fault; any other exit code than 0 is an error of this program. Shutdown: end the process.
"""

import io
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import BinaryIO, Final, NamedTuple

import msgspec
import numpy as np

from omnisonic.process.sandbox import Limits, SandboxFailed, enter_sandbox
from omnisonic.studio.media.decoding import LONGEST_S
from omnisonic.studio.mixdown import RATE_HZ, Bits, Stem, UnusableStem
from omnisonic.studio.mixdown.blocks import Resampler, Samples
from omnisonic.studio.mixdown.file_writers import FFmpegWriter, Integers, flac_format, pack_flac
from omnisonic.studio.mixdown.tracks import Track, pan_gains
from omnisonic.studio.segments import SEGMENT_S, Cut, NoSegments
from omnisonic.studio.segments.messages import HEADER, MessageType

LIMITS: Final = Limits(
    cpu_s=600,  # four hours of stereo take a fifth of it
    memory_bytes=1_073_741_824,
    descriptors=16,
    written_bytes=0,  # of a file: pipes do not count
)
SEGMENT_FRAMES: Final = SEGMENT_S * RATE_HZ
ENDLESS: Final = f"The sound in this file goes on for more than {LONGEST_S // 3600} hours: too long to be played here."
TOO_LARGE: Final = "Decoding this file takes more memory than there is, so it cannot be played here."
FILE: Final = "This file"


class Needs(NamedTuple):
    """What the segments of a file must have."""

    channels: int
    bits: Bits
    gain: int


def cut_file(file: BinaryIO, write: Callable[[bytes], object]) -> Cut:
    """Cut the sound of `file`, which must be seekable, and pass each segment to `write`. Blocking.

    Raises:
        NoSegments: The file has no sound, or too much of it.
    """
    needs = _measure(file)
    with closing(_open_track(file)) as track:
        frames = 0
        for samples in _in_segments(_read_sound(track, needs.channels), needs.channels):
            frames += samples.shape[1]
            write(encode_flac(quantise(samples, needs.bits, needs.gain), needs.bits))
        return Cut(frames, *needs, track.missing(FILE))


def _measure(file: BinaryIO) -> Needs:
    """What the segments of `file` need: one channel as long as the file has no more. Raises `NoSegments`."""
    for channels in (1, 2):
        peak, fits_16_bits, frames = 0.0, True, 0
        with closing(_open_track(file)) as track:
            try:
                for samples in _read_sound(track, channels):
                    if samples.size:
                        frames += samples.shape[1]
                        peak = max(peak, float(samples.max()), -float(samples.min()))
                        fits_16_bits = fits_16_bits and _fits_16_bits(samples)
            except _NeedsTwoChannels:
                continue
        if not frames:
            raise NoSegments
        gain = 2 ** math.ceil(math.log2(peak)) if peak > 1 else 1
        return Needs(channels, 16 if fits_16_bits and gain == 1 else 24, gain)
    raise AssertionError("two channels are enough for all sound")


class _NeedsTwoChannels(Exception):
    """There is more than one channel in the sound."""


def _open_track(file: BinaryIO) -> Track:
    file.seek(0)
    try:
        return Track(Stem(FILE), file)
    except UnusableStem:
        raise NoSegments from None


def _read_sound(track: Track, channels: int) -> Iterator[Samples]:
    """The sound at 48 kHz, in `channels` rows. Raises `_NeedsTwoChannels`, and `NoSegments` when it is endless."""
    resampler = Resampler(track.rate_hz, RATE_HZ, channels)
    try:
        for piece in track.pieces():
            if len(piece) > channels:
                raise _NeedsTwoChannels
            yield resampler.process(_spread(piece, channels))
    except UnusableStem:
        raise NoSegments(ENDLESS) from None
    yield resampler.finish()


def _spread(piece: Samples, channels: int) -> Samples:
    """One channel in two, as the mixdown has it in the middle. Two then keep that for every pan, as one does."""
    if len(piece) == channels:
        return piece
    factors = np.array(pan_gains(1, 0.0, 0.0), np.float32)
    spread: Samples = factors[:, np.newaxis] * piece
    return spread


def _fits_16_bits(samples: Samples) -> bool:
    steps = samples * np.float32(32_768)
    return bool((steps == np.rint(steps)).all() and steps.max() < 32_768)


def _in_segments(blocks: Iterator[Samples], channels: int) -> Iterator[Samples]:
    """The same sound in segments, which are only valid until the next one."""
    segment, filled = np.empty((channels, SEGMENT_FRAMES), np.float32), 0
    for block in blocks:
        begin = 0
        while begin < block.shape[1]:
            part = block[:, begin : begin + SEGMENT_FRAMES - filled]
            segment[:, filled : filled + part.shape[1]] = part
            begin += part.shape[1]
            filled += part.shape[1]
            if filled == SEGMENT_FRAMES:
                yield segment
                filled = 0
    if filled:
        yield segment[:, :filled]


def quantise(samples: Samples, bits: Bits, gain: int) -> Integers:
    """The nearest integers, after division by `gain`. Pure."""
    full_scale = 2 ** (bits - 1)
    # In double precision: a step of 24 bits is the last bit of a float.
    exact = np.multiply(samples, full_scale / gain, dtype=np.float64)
    np.clip(np.rint(exact, out=exact), -full_scale, full_scale - 1, out=exact)
    rounded: Integers = exact.astype(np.int32)
    return rounded


def encode_flac(samples: Integers, bits: Bits) -> bytes:
    """A FLAC file at 48 kHz with these samples, in one row or two. Pure."""
    output = io.BytesIO()
    layout = "mono" if len(samples) == 1 else "stereo"
    file = FFmpegWriter(output, "flac", "flac", flac_format(bits), layout=layout)
    file.write(pack_flac(samples, bits), samples.shape[1])
    file.finish()
    return output.getvalue()


def main() -> None:
    """Enter the sandbox, cut standard input, and print the messages."""
    output = sys.stdout.buffer

    def send(kind: MessageType, body: bytes) -> None:
        output.write(HEADER.pack(kind, len(body)) + body)
        output.flush()

    try:
        enter_sandbox(LIMITS)
        cut = cut_file(sys.stdin.buffer, lambda segment: send(MessageType.SEGMENT, segment))
        send(MessageType.DONE, msgspec.json.encode(cut))
    except SandboxFailed as problem:
        send(MessageType.FAILED, problem.message.encode())
    except NoSegments as none:
        send(MessageType.UNUSABLE, none.message.encode())
    except MemoryError:
        send(MessageType.UNUSABLE, TOO_LARGE.encode())


if __name__ == "__main__":
    main()
