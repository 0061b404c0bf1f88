"""The files that mixes are written to: as other programs read them, and the same bytes each time."""

import io
import json
import shutil
import struct
import subprocess
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from omnisonic.models import AudioFormat
from omnisonic.studio.mixdown import RATE_HZ, Project, Stem
from omnisonic.studio.mixdown.file_writers import wav_header
from omnisonic.studio.mixdown.process import render
from tests.studio.mixdown.sounds import file_of, level_db, noise, render_mix, samples_in, sine

KINDS: Any = [("wav", 24), ("wav", 16), ("flac", 24), ("flac", 16), ("mp3", 24)]
SUBTYPES = {16: "PCM_16", 24: "PCM_24"}
FRAMES = 100_001


def a_mix(format_: AudioFormat, bits: Any = 24) -> bytes:
    """Two stems, whose length is that of no block and no frame of any codec."""
    tone = file_of(sine(440, 2.5)[:FRAMES])
    return render_mix([(Stem("a"), tone), (Stem("b", -12, 0.5), file_of(noise(1)))], format_, bits)[0]


@pytest.mark.parametrize(("format_", "bits"), KINDS)
def test_the_same_stems_give_the_same_bytes(format_: AudioFormat, bits: int) -> None:
    """Every time."""
    assert a_mix(format_, bits) == a_mix(format_, bits)


@pytest.mark.parametrize(("format_", "bits"), KINDS)
def test_soundfile_reads_it(format_: AudioFormat, bits: int) -> None:
    """Its length, its bits, and the tone in it."""
    data = a_mix(format_, bits)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert (file.format, file.samplerate, file.channels, file.frames) == (format_.upper(), RATE_HZ, 2, FRAMES)
        if format_ != "mp3":
            assert file.subtype == SUBTYPES[bits]
    assert level_db(440, samples_in(data)[0][:, 0]) == pytest.approx(-23.01, abs=0.1)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs the ffprobe command")
@pytest.mark.parametrize(("format_", "bits"), KINDS)
def test_ffprobe_reads_it(format_: AudioFormat, bits: int, tmp_path: Path) -> None:
    """Its length, its bits, and nothing about who made it."""
    file = tmp_path / f"mix.{format_}"
    file.write_bytes(a_mix(format_, bits))
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", str(file)]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout)
    (stream,) = said["streams"]
    assert (stream["sample_rate"], stream["channels"]) == (str(RATE_HZ), 2)
    assert float(said["format"]["duration"]) == pytest.approx(FRAMES / RATE_HZ, abs=0.06 if format_ == "mp3" else 1e-4)
    if format_ == "mp3":
        assert int(stream["bit_rate"]) == 320_000
    else:
        assert int(stream["bits_per_raw_sample" if bits == 24 or format_ == "flac" else "bits_per_sample"]) == bits
    assert "tags" not in said["format"]


def test_python_itself_reads_the_wav() -> None:
    """The header is one that anything understands."""
    with wave.open(io.BytesIO(a_mix("wav"))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getnframes()) == (2, 3, FRAMES)


def test_wav_and_flac_hold_the_same_samples() -> None:
    """Bit for bit."""
    assert np.array_equal(samples_in(a_mix("wav"))[0], samples_in(a_mix("flac"))[0])


def test_silence_is_digital_silence() -> None:
    """Without dither, loudness or peak."""
    data, mixed = render_mix([(Stem("a"), file_of(np.zeros((RATE_HZ, 1))))])
    assert not samples_in(data)[0].any()
    assert (mixed.duration_s, mixed.loudness_lufs, mixed.peak_dbfs) == (1.0, None, None)


def test_beyond_4_gigabytes_it_is_rf64(tmp_path: Path) -> None:
    """A file of five hours, most of which is a hole in the disk: soundfile and the sizes agree. Just below, it is
    RIFF."""
    frames = 5 * 3600 * RATE_HZ
    file = tmp_path / "long.wav"
    with file.open("wb") as output:
        output.write(wav_header(frames * 6, 24))
        output.truncate(output.tell() + frames * 6)
    with soundfile.SoundFile(file) as sound:
        assert (sound.format, sound.frames, sound.channels) == ("RF64", frames, 2)
    with file.open("rb") as written:
        head = written.read(80)
    assert head[:4] == b"RF64"
    assert struct.unpack_from("<QQ", head, 20) == (file.stat().st_size - 8, frames * 6)
    most = (0xFFFF_FFFF - len(head) + 8) // 6 * 6
    assert wav_header(most, 24)[:4] == b"RIFF"
    assert wav_header(most + 6, 24)[:4] == b"RF64"
    assert len(wav_header(0, 16)) == len(wav_header(1 << 40, 24)) == len(head)


@pytest.mark.parametrize("format_", ["wav", "flac", "mp3"])
def test_without_stems_it_is_eight_bars_of_click(format_: AudioFormat) -> None:
    """At the session's tempo, to the sample; the first beat of each bar is louder."""
    output, received = io.BytesIO(), list[float]()
    mixed = render(Project(93.0, 3), [], output, format_, on_progress=received.append)
    sound = samples_in(output.getvalue())[0]
    beat = 60 / 93 * RATE_HZ
    assert len(sound) == round(24 * beat) == round(mixed.duration_s * RATE_HZ)
    levels = [abs(sound[round(number * beat) :][:1_440]).max() for number in range(24)]
    assert all((level > 0.5) == (number % 3 == 0) for number, level in enumerate(levels))
    if format_ == "wav":
        begun = [np.flatnonzero(abs(sound[round(number * beat) - 500 :, 0]) > 0.01)[0] - 500 for number in range(1, 24)]
        assert set(begun) == {1}
    assert received == sorted(received)
    assert (received[0], received[-1]) == (0, 1)


@pytest.mark.parametrize(("format_", "bits"), KINDS)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_peak_is_the_highest_sample_on_either_side_of_zero(format_: AudioFormat, bits: Any, side: float) -> None:
    """A sound that goes much further down than up, or up than down."""
    lopsided = sine(440, 1, level_db=-40, channels=2)
    lopsided[20_000] = side * 0.5
    _, mixed = render_mix([(Stem("a"), file_of(lopsided))], format_, bits)
    assert mixed.peak_dbfs == pytest.approx(20 * np.log10(0.5), abs=0.01)


def test_a_file_that_understates_its_length_is_not_done_before_it_is() -> None:
    """It says that it lasts half a second, and goes on for four: progress stops short of the end until then."""
    whole = bytearray(file_of(noise(4), kind="FLAC", subtype="PCM_16").read())
    at = whole.index(b"fLaC") + 4 + 4 + 10
    fields = int.from_bytes(whole[at : at + 8], "big")
    assert fields % 2**36 == 4 * RATE_HZ
    whole[at : at + 8] = (fields - fields % 2**36 + RATE_HZ // 2).to_bytes(8, "big")
    reported: list[float] = []
    output = io.BytesIO()
    mixed = render(Project(120, 4, [Stem("a")]), [io.BytesIO(bytes(whole))], output, "wav", on_progress=reported.append)
    assert mixed.duration_s == 4
    assert reported == sorted(reported)
    assert reported[-1] == 1
    assert max(reported[:-1]) == 0.99
    assert len(reported) > 5
