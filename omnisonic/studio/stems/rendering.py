"""Rendering: every track as a WAV of 24 bits at 48 kHz, in one zip with the projects that place them. Blocking.

How long a file really is, and how loud, is known when it is decoded. So each track is decoded into a scratch file as
floats, one after the other; then the WAVs are written, all as long as the longest. Memory grows neither with the number
of tracks nor with their length.

A track with one channel stays one. Samples that 24 bits have exactly, such as those of a WAV at 48 kHz, come out as
they are; others are dithered. A track that is louder than full scale, which a file of floats can be, is turned down
just so far, and its fader up by as much.
"""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import BinaryIO, Final, NamedTuple

import numpy as np

from omnisonic.studio.archives.file_names import numbered
from omnisonic.studio.archives.zip_stream import MODE, dos_date
from omnisonic.studio.mixdown import RATE_HZ, Mixed, Stem, UnusableStem
from omnisonic.studio.mixdown.blocks import BLOCK_FRAMES, MINUS_3_DB, Resampler, Samples
from omnisonic.studio.mixdown.clips import Clip
from omnisonic.studio.mixdown.file_writers import Dither, Integers, pack_samples, wav_header
from omnisonic.studio.mixdown.tracks import Track
from omnisonic.studio.stems import (
    BITS,
    FLOAT_BYTES,
    SAMPLE_BYTES,
    Arrangement,
    Song,
    SongTrack,
    TrackFile,
    dawproject,
    factor_of,
    reaper,
)

FULL_SCALE: Final = 2 ** (BITS - 1)
MOST_BYTES: Final = 8 * 2**30
"""The most bytes of all WAVs together."""
DECODED: Final = 0.6
"""The part that is done when all is decoded."""
TOO_LARGE: Final = (
    f"The stems would take more than {MOST_BYTES // 2**30} GB. Remove tracks, or trim those that are long."
)
NO_SOUND: Final = "There is no track with sound in this session. Upload or record something, then ask again."


class Decoded(NamedTuple):
    """The whole sound of a track in the scratch file: `frames` from `at_bytes` on, `begins` frames after bar 1."""

    track: SongTrack
    channels: int
    begins: int
    frames: int
    peak: float
    at_bytes: int

    @property
    def clip(self) -> Clip:
        """What of it is heard."""
        return Clip.of(self.track.stem, self.frames)

    @property
    def heard_frames(self) -> int:
        """Its length without what is cut at the end; all of it when nothing is left between the cuts."""
        clip = self.clip
        return min(clip.end, self.frames) if clip.begin < clip.end else self.frames

    @property
    def loss(self) -> float:
        """The factor by which it is turned down to fit into integers."""
        return 1 / self.peak if self.peak > 1 else 1.0


class _Wider(Exception):
    """A sound that began with one channel goes on with two."""


def render_stems(
    song: Song,
    files: Sequence[BinaryIO],
    scratch: BinaryIO,
    output: BinaryIO,
    *,
    on_progress: Callable[[float], None],
) -> Mixed:
    """Write the archive. Call it only in the sandbox.

    Args:
        song: What is exported.
        files: The sound of each track, in their order.
        scratch: An empty file; its content is of no use afterwards.
        output: Written from its beginning; must be seekable.
        on_progress: Called with the part that is done, from 0 to 1, never less than before.

    Returns:
        The length, and what is missing in the files.

    Raises:
        UnusableStem: There is no sound in a track that is not muted, or too much in all.
        OSError: A file cannot be written.
    """
    decoded, warnings = list[Decoded](), list[str]()
    for number, (track, file) in enumerate(zip(song.tracks, files, strict=True)):

        def on_part(part: float, number: int = number) -> None:
            on_progress(DECODED * (number + min(part, 1.0)) / len(files))

        try:
            sound, warning = decode_track(track, file, scratch, on_part)
        except UnusableStem:
            if not track.is_muted:
                raise
            warnings.append(f"{track.stem.quoted_name} is not there: it has no sound that can be read.")
            continue
        decoded.append(sound)
        warnings += [warning] if warning else []
        _check_size(decoded)
    if not decoded:
        raise UnusableStem(NO_SOUND)
    arrangement = arrange(song, decoded)
    _write_archive(arrangement, decoded, scratch, output, on_progress)
    return Mixed(arrangement.duration_s, None, None, " ".join(warnings) or None)


def decode_track(
    track: SongTrack, file: BinaryIO, scratch: BinaryIO, on_part: Callable[[float], None]
) -> tuple[Decoded, str | None]:
    """Append the sound of a track to the scratch file, and say what of it is missing. Raises as `render_stems`.

    `on_part` is called with the part that is done, if the file is right about its length.
    """
    begin_bytes = scratch.seek(0, 2)
    try:
        return _decode(track, file, scratch, on_part, channels=None)
    except _Wider:
        scratch.seek(begin_bytes)
        scratch.truncate()
        return _decode(track, file, scratch, on_part, channels=2)


def _decode(
    track: SongTrack, file: BinaryIO, scratch: BinaryIO, on_part: Callable[[float], None], channels: int | None
) -> tuple[Decoded, str | None]:
    at_bytes, frames, peak = scratch.tell(), 0, 0.0
    # Without trims and fades: those depend on the length, which is known afterwards.
    whole = Stem(track.stem.name, offset_s=track.stem.offset_s)
    with closing(Track(whole, file)) as sound:
        resampler = None
        for piece in sound.pieces():
            channels = channels or len(piece)
            resampler = resampler or Resampler(sound.rate_hz, RATE_HZ, channels)
            block = resampler.process(_with_channels(piece, channels))
            frames, peak = frames + block.shape[1], max(peak, _append(block, scratch))
            on_part(frames / max(sound.declared_frames - sound.begins, frames))
        if resampler is None or channels is None:
            raise UnusableStem(f"There is no sound in {track.stem.quoted_name}. Remove it or mute it.")
        block = resampler.finish()
        frames, peak = frames + block.shape[1], max(peak, _append(block, scratch))
        return Decoded(track, channels, sound.begins, frames, peak, at_bytes), sound.missing()


def _with_channels(piece: Samples, channels: int) -> Samples:
    if len(piece) > channels:
        raise _Wider
    # The pan of two channels is louder by as much, so it is placed as one channel is.
    return piece if len(piece) == channels else np.repeat(piece * np.float32(MINUS_3_DB), channels, axis=0)


def _append(block: Samples, scratch: BinaryIO) -> float:
    """Append to the scratch file; the highest sample. Raises `UnusableStem` when it is full."""
    scratch.write(np.ascontiguousarray(block.T).data)
    if scratch.tell() > MOST_BYTES * FLOAT_BYTES // SAMPLE_BYTES:
        raise UnusableStem(TOO_LARGE)
    return float(np.abs(block).max(initial=0))


def _check_size(decoded: Sequence[Decoded]) -> None:
    if _longest(decoded) * sum(sound.channels for sound in decoded) * SAMPLE_BYTES > MOST_BYTES:
        raise UnusableStem(TOO_LARGE)


def _longest(decoded: Sequence[Decoded]) -> int:
    """An even number of frames, so that every WAV has an even number of bytes, as it should."""
    frames = max(sound.begins + sound.heard_frames for sound in decoded)
    return frames + frames % 2


def arrange(song: Song, decoded: Sequence[Decoded]) -> Arrangement:
    """The WAVs as the projects place them."""
    names = numbered([sound.track.stem.name for sound in decoded], "Track")
    files = [
        TrackFile(
            name=sound.track.stem.name,
            file_name=f"{name}.wav",
            channels=sound.channels,
            gain=factor_of(sound.track.stem.gain_db) / sound.loss,
            pan=sound.track.stem.pan,
            is_muted=sound.track.is_muted,
        )
        for name, sound in zip(names, decoded, strict=True)
    ]
    return Arrangement(song, files, _longest(decoded))


def _write_archive(
    arrangement: Arrangement,
    decoded: Sequence[Decoded],
    scratch: BinaryIO,
    output: BinaryIO,
    on_progress: Callable[[float], None],
) -> None:
    song = arrangement.song
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:

        def entry(name: str, size: int) -> zipfile.ZipInfo:
            info = zipfile.ZipInfo(f"{song.name} stems/{name}", dos_date(song.made_at))
            info.external_attr, info.file_size = MODE, size  # with its size, it is Zip64 where it must be
            return info

        for ending, make in (dawproject.ENDING, dawproject.make_dawproject), (reaper.ENDING, reaper.make_rpp):
            project = make(arrangement)
            archive.writestr(entry(song.name + ending, len(project)), project)
        for number, (file, sound) in enumerate(zip(arrangement.files, decoded, strict=True), 1):
            data_bytes = arrangement.frames * sound.channels * SAMPLE_BYTES
            header = wav_header(data_bytes, BITS, sound.channels)
            with archive.open(entry(file.file_name, len(header) + data_bytes), "w") as wav:
                wav.write(header)
                for block in _wav_blocks(sound, arrangement.frames, scratch):
                    wav.write(block)
            on_progress(DECODED + (1 - DECODED) * number / len(decoded))


def _wav_blocks(sound: Decoded, frames: int, scratch: BinaryIO) -> Iterator[bytes]:
    """The samples of a WAV: silence, the sound between its trims and with its fades, silence."""
    yield from _silence(sound.begins * sound.channels * SAMPLE_BYTES)
    scratch.seek(sound.at_bytes)
    dither, clip, end = Dither(BITS), sound.clip, sound.heard_frames
    for at in range(0, end, BLOCK_FRAMES):
        count = min(end - at, BLOCK_FRAMES)
        data = scratch.read(count * sound.channels * FLOAT_BYTES)
        block = np.frombuffer(bytearray(data), np.float32).reshape(count, sound.channels).T
        clip.shape(block, at)
        if sound.loss < 1:
            block *= np.float32(sound.loss)
        yield pack_samples(_round(block, dither), BITS)
    yield from _silence((frames - sound.begins - end) * sound.channels * SAMPLE_BYTES)


def _silence(size: int) -> Iterator[bytes]:
    block = bytes(min(size, BLOCK_FRAMES))
    for at in range(0, size, BLOCK_FRAMES):
        yield block[: size - at]


def _round(block: Samples, dither: Dither) -> Integers:
    exact = np.multiply(block, FULL_SCALE, dtype=np.float64)
    rounded = np.rint(exact)
    if not np.array_equal(exact, rounded):
        rounded = dither.quantise(block)
    clipped: Integers = np.clip(rounded, -FULL_SCALE, FULL_SCALE - 1).astype(np.int32)
    return clipped
