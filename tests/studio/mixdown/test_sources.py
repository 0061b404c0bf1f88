"""What musicians upload, whole, odd and broken: the right mix, or a sentence that names the file."""

import contextlib
import io
import struct
from typing import Final

import numpy as np
import pytest

from omnisonic.studio.mixdown import RATE_HZ, Stem, UnusableStem
from omnisonic.studio.mixdown.blocks import downmix
from omnisonic.studio.mixdown.tracks import Track
from tests.http.sounds import png, wav
from tests.studio.media.recordings import silence, silent_film, tone
from tests.studio.mixdown.sounds import (
    Sound,
    file_of,
    file_of_bytes,
    level_db,
    mix,
    noise,
    render_mix,
    samples_in,
    sine,
)

STANDARD: Final = bytes.fromhex("0100000000001000800000aa00389b71")


def masked_wav(sound: Sound, mask: int) -> bytes:
    """A WAV of 16 bits that says which loudspeaker each channel is for."""
    channels = sound.shape[1]
    data = (sound * 32_767).astype("<i2").tobytes()
    form = struct.pack(
        "<HHIIHHHHI16s", 0xFFFE, channels, RATE_HZ, RATE_HZ * 2 * channels, 2 * channels, 16, 22, 16, mask, STANDARD
    )
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("kind", "subtype", "floor_db"),
    [
        ("WAV", "PCM_U8", -45),
        ("WAV", "PCM_16", -95),
        ("WAV", "PCM_24", -130),
        ("WAV", "PCM_32", -130),
        ("WAV", "FLOAT", -130),
        ("WAV", "DOUBLE", -130),
        ("WAV", "ULAW", -30),
        ("AIFF", "PCM_24", -130),
        ("AIFF", "PCM_S8", -45),
        ("CAF", "PCM_16", -95),
        ("W64", "PCM_24", -130),
        ("RF64", "PCM_24", -130),
        ("AU", "PCM_16", -95),
        ("FLAC", "PCM_16", -95),
        ("FLAC", "PCM_24", -130),
        ("OGG", "VORBIS", -30),
        ("OGG", "OPUS", -30),
        ("MP3", "MPEG_LAYER_III", -30),
    ],
)
def test_every_kind_of_sample_is_what_it_was(kind: str, subtype: str, floor_db: float) -> None:
    """The mix differs from the sound by no more than the kind's own rounding, and 24 bits'."""
    sound = sine(1_000, 1.0, level_db=-12, channels=2)
    received = mix((Stem("a"), file_of(sound, kind=kind, subtype=subtype)))
    assert len(received) == pytest.approx(RATE_HZ, abs=128)  # FFmpeg takes the end of Vorbis for silence
    error = received[4_000:40_000] - sound[4_000:40_000]
    assert 10 * np.log10((error**2).mean()) < floor_db


def test_the_sound_of_a_film_is_mixed() -> None:
    """Its pictures are not."""
    received = mix((Stem("film.mp4"), file_of_bytes(tone("mp4", "aac", rate=48_000, film=True))))
    assert level_db(48_000 / 20 / np.pi, received[:, 0]) == pytest.approx(-6, abs=0.2)


@pytest.mark.parametrize(
    ("channel", "left", "right"),
    [(0, 1, 0), (1, 0, 1), (2, 0.7071, 0.7071), (3, 0, 0), (4, 0.7071, 0), (5, 0, 0.7071), (6, 0.7071, 0)],
)
def test_eight_channels_come_to_two(channel: int, left: float, right: float) -> None:
    """Each in its place, by the recommendation's factors, and the whole turned down so that it cannot clip."""
    sound = np.zeros((RATE_HZ // 2, 8))
    sound[:, channel] = sine(1_000, 0.5, level_db=-6)[:, 0]
    received = mix((Stem("a"), file_of_bytes(masked_wav(sound, 0x63F))))
    whole = 1 + 3 * 0.7071
    for row, factor in zip(received.T, (left, right), strict=True):
        wanted = -6 + 20 * np.log10(factor / whole + 1e-6)
        assert level_db(1_000, row) == pytest.approx(wanted, abs=0.02) if factor else level_db(1_000, row) < -90


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 7, 8, 12, 32])
def test_no_channel_is_lost_when_a_file_does_not_name_them(channels: int) -> None:
    """Each is heard on some side, and all at full scale do not clip."""
    for channel in range(channels):
        sound = np.zeros((channels, 10), np.float32)
        sound[channel] = 1
        assert downmix(sound, ("NONE",) * channels).any()
    assert abs(downmix(np.ones((channels, 10), np.float32), ("NONE",) * channels)).max() == pytest.approx(1)


def test_a_file_that_says_nothing_of_its_eight_channels_is_mixed() -> None:
    """As the usual order has it."""
    received = mix((Stem("a"), file_of(sine(1_000, 0.5, level_db=-6, channels=8))))
    assert level_db(1_000, received[:, 0]) == pytest.approx(-6, abs=0.1)


def test_192_khz_is_mixed() -> None:
    """At the mix's rate, as long as it was."""
    received = mix((Stem("a"), file_of(sine(1_000, 1.0, rate=192_000, channels=2), 192_000)))
    assert len(received) == RATE_HZ
    assert level_db(1_000, received[:, 0]) == pytest.approx(-20, abs=0.01)


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "PCM_24"), ("FLAC", "PCM_24"), ("MP3", "MPEG_LAYER_III")])
def test_of_a_file_that_was_cut_off_the_beginning_is_mixed(kind: str, subtype: str) -> None:
    """As far as it goes."""
    whole = file_of(noise(4), kind=kind, subtype=subtype).read()
    received = mix((Stem("a"), file_of_bytes(whole[: len(whole) // 2])))
    assert len(received) / RATE_HZ == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize(
    "data",
    [
        b"Song ideas: more cowbell.\n" * 40,
        b"",
        wav(0),
        png(),
        silent_film(),
        b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    ],
)
def test_a_file_without_any_sound_is_named(data: bytes) -> None:
    """And it is said what to do about it."""
    with pytest.raises(UnusableStem, match=r"no sound in 'notes.txt' that can be mixed\. Remove it or mute it\."):
        render_mix([(Stem("song.wav"), file_of(sine(440, 1))), (Stem("notes.txt"), file_of_bytes(data))])


@pytest.mark.parametrize("name", ["\u05e9\u05d9\u05e8\u200f.wav", "it's.wav", "caf\u00e9 \U0001f3b8.wav"])
def test_a_name_is_said_as_people_write_it(name: str) -> None:
    """Whatever its script, its marks and its quotes: not as programs write it."""
    with pytest.raises(UnusableStem) as raised:
        render_mix([(Stem(name), file_of_bytes(b""))])
    assert raised.value.message.startswith(f"There is no sound in '{name}' that can be mixed.")


def test_an_endless_sound_is_named() -> None:
    """Some kilobytes may hold hours of silence."""
    track = Track(Stem("bomb.flac"), file_of_bytes(silence(100)), longest_s=2.0)
    track.read(RATE_HZ)
    with pytest.raises(UnusableStem, match=r"'bomb.flac' goes on for more than"):
        track.read(10 * RATE_HZ)
    track.close()


def test_numbers_that_are_no_sound_do_not_drown_the_others() -> None:
    """A file of floats may hold anything: what is no number is silence."""
    broken = sine(1_000, 3.0, channels=2)
    broken[20_000:20_005] = [[np.nan, np.inf], [np.inf, -np.inf], [1e30, -1e30], [np.nan, 0], [0, 1e300]]
    with np.errstate(over="ignore"):
        file = file_of(broken, subtype="DOUBLE")
    received = mix((Stem("a"), file), (Stem("b"), file_of(sine(300, 3.0))))
    assert np.isfinite(received).all()
    assert level_db(300, received[-RATE_HZ:, 0]) == pytest.approx(-23, abs=0.1)  # the limiter has let go again


def test_what_changes_in_the_middle_is_still_mixed() -> None:
    """Two songs in one file, at different rates and of different channels."""
    both = tone("mp3", "libmp3lame", rate=48_000, layout="mono") + tone("mp3", "libmp3lame", rate=32_000)
    received = mix((Stem("a"), file_of_bytes(both)))
    assert len(received) / RATE_HZ == pytest.approx(2, abs=0.2)
    assert abs(received[-20_000:-10_000]).max() > 0.4


@pytest.mark.parametrize("seed", range(20))
def test_garbage_is_mixed_or_named_but_nothing_else(seed: int) -> None:
    """Bytes of real files, overwritten here and there."""
    noisy = np.random.default_rng(seed)
    kinds = [("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "libmp3lame"), ("ipod", "aac"), ("aiff", "pcm_s16be")]
    broken = bytearray(tone(*kinds[seed % len(kinds)], seconds=0.3))
    for at, byte in zip(noisy.integers(0, len(broken), 40), noisy.integers(0, 256, 40), strict=True):
        broken[at] = byte
    with contextlib.suppress(UnusableStem):
        data, _ = render_mix([(Stem("broken"), io.BytesIO(bytes(broken)))])
        assert len(samples_in(data)[0])


def test_a_mix_says_in_which_files_something_is_missing() -> None:
    """By their names, in the order of the stems; not in those that are whole."""
    whole = file_of(noise(4)).read()
    cut_off = whole[: len(whole) // 2]
    names = [(f"{number}.wav", cut_off if number % 2 else whole) for number in range(4)]
    _, mixed = render_mix([(Stem(name), file_of_bytes(data)) for name, data in names])
    assert mixed.warning == (
        "'1.wav' was cut off: 2.0 of 4.0 seconds are there. '3.wav' was cut off: 2.0 of 4.0 seconds are there."
    )
    assert render_mix([(Stem("a"), file_of_bytes(whole))])[1].warning is None


def test_of_many_files_with_something_missing_some_are_named() -> None:
    """And the others counted."""
    whole = file_of(noise(1)).read()
    _, mixed = render_mix([(Stem(f"{number}.wav"), file_of_bytes(whole[: len(whole) // 2])) for number in range(13)])
    assert mixed.warning is not None
    assert "'9.wav'" in mixed.warning
    assert mixed.warning.endswith("Something is missing in 3 more.")
