"""The speed of a mixdown as a ratio to the same mix by the `ffmpeg` command, the memory both need, and what rooms feel.

usage: python -m tests.bench.mixdown [--rounds 5] [--minutes 3] [--long 30] [--load PATH-OF-THE-ROOM-LOAD]

Eight stems (44.1 and 48 kHz, mono and stereo, WAV, FLAC and MP3) to a WAV of 24 bits, in turns, both in spare time:
our process from its start to its end, and ffmpeg with aresample, volume, pan, adelay and amix. Ours resamples better,
keeps under -1 dBTP, dithers and measures the loudness meanwhile, which ffmpeg was not asked for. Then our memory for
stems of `--long` minutes (0 leaves that out). With the room load (`tests.bench.felt`), the rooms' 99th percentile in
silence, and while one mixdown follows the other.
"""

import argparse
import contextlib
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import soundfile  # type: ignore[import-untyped]

from omnisonic.process.cpu_priority import use_only_idle_time
from omnisonic.studio.media.sandboxed_process import bare_environment
from omnisonic.studio.mixdown import MixRequest, Project, Stem
from omnisonic.studio.mixdown.mixer import ONE_THREAD, mixing_command
from omnisonic.studio.mixdown.tracks import pan_gains
from tests.bench.felt import rooms
from tests.bench.uploads import resident_mb
from tests.cli.running import alive, children

SAME_HZ: Final = 18_000
WATCH_S: Final = 0.2
GAIN_DB: Final = -3.0
KINDS: Final = (
    ("a.wav", 44_100, 2, "PCM_16", 0.0),
    ("b.wav", 44_100, 1, "PCM_24", 0.5),
    ("c.wav", 48_000, 2, "PCM_24", 0.0),
    ("d.flac", 44_100, 2, "PCM_16", 0.25),
    ("e.flac", 48_000, 1, "PCM_24", 0.0),
    ("f.mp3", 44_100, 2, "MPEG_LAYER_III", 0.0),
    ("g.mp3", 48_000, 2, "MPEG_LAYER_III", 0.0),
    ("h.mp3", 44_100, 1, "MPEG_LAYER_III", 1.0),
)
"""Name, rate, channels, kind of samples, and offset in seconds."""
PANS: Final = (-0.5, 0.3, 0.0, 0.6, -0.2, 0.1, -0.7, 0.0)


class Run(NamedTuple):
    """How long it took, on the clock and on the processors, and the most that its processes had resident together."""

    took_s: float
    cpu_s: float
    peak_mb: float


def furnish(folder: Path, minutes: float) -> list[Stem]:
    """Write the stems: swelling tones and some noise, which together have headroom."""
    for number, (name, rate, channels, subtype, _) in enumerate(KINDS):
        random = np.random.default_rng(number)
        with soundfile.SoundFile(folder / name, "w", rate, channels, subtype) as file:
            for second in range(round(minutes * 60)):
                at_s = second + np.arange(rate) / rate
                tone = 0.05 * np.sin(2 * np.pi * 110 * 1.3**number * at_s) * np.sin(math.pi * at_s / 4) ** 2
                file.write(tone[:, np.newaxis] + random.normal(0, 0.01, (rate, channels)))
    names = [(name, offset_s) for name, _, _, _, offset_s in KINDS]
    return [Stem(name, GAIN_DB, pan, offset_s) for (name, offset_s), pan in zip(names, PANS, strict=True)]


def watch(pid: int, into_mb: list[float]) -> None:
    """Note what this process and its children have resident together, until it ends."""
    never = threading.Event()
    while alive(pid):
        with contextlib.suppress(OSError, StopIteration):  # one of them has just ended
            into_mb.append(sum([resident_mb(each) for each in (pid, *children(pid))]))
        never.wait(WATCH_S)


def measured(command: Sequence[str], said: bytes, fds: Sequence[int] = (), *, is_watched: bool = True) -> Run:
    """Run it to its end in spare time. Watching its memory takes time of a processor, too.

    Errors: `AssertionError` unless it succeeds.
    """
    begun_s = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=bare_environment() | ONE_THREAD, pass_fds=fds
    )
    use_only_idle_time(process.pid)
    assert process.stdin is not None
    assert process.stdout is not None
    peaks_mb = [0.0]
    watching = threading.Thread(target=watch, args=(process.pid, peaks_mb))
    if is_watched:
        watching.start()
    process.stdin.write(said)
    process.stdin.close()
    last = process.stdout.read().splitlines()[-1:]
    _, status, used = os.wait4(process.pid, 0)
    took_s = time.perf_counter() - begun_s
    if is_watched:
        watching.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, last
    assert not fds or b'"mixed"' in last[0], last
    return Run(took_s, used.ru_utime + used.ru_stime, max(peaks_mb))


def ours(folder: Path, stems: list[Stem], *, is_watched: bool = True) -> Run:
    """By our process."""
    fds = [os.open(folder / stem.name, os.O_RDONLY) for stem in stems]
    output = os.open(folder / "ours.wav", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        order = MixRequest(Project(120, 4, stems), "wav", 24, fds, output)
        return measured(mixing_command(), msgspec.json.encode(order), (*fds, output), is_watched=is_watched)
    finally:
        for fd in (*fds, output):
            os.close(fd)


def ffmpeg(folder: Path, stems: list[Stem]) -> Run:
    """By the ffmpeg command."""
    inputs: list[str] = []
    chains: list[str] = []
    for number, (stem, (_, rate, channels, _, _)) in enumerate(zip(stems, KINDS, strict=True)):
        left, right = pan_gains(channels, 0, stem.pan)
        inputs += ["-i", str(folder / stem.name)]
        resample = "aresample=48000," if rate != 48_000 else ""
        pan = f"pan=stereo|c0={left:.9f}*c0|c1={right:.9f}*c{channels - 1}"
        delay = f"adelay={stem.offset_s * 1000:.0f}:all=1"
        chains.append(f"[{number}]{resample}volume={stem.gain_db}dB,{pan},{delay}[s{number}]")
    mix = "".join(f"[s{number}]" for number in range(len(stems))) + f"amix=inputs={len(stems)}:normalize=0[m]"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *inputs]
    command += ["-filter_complex", ";".join([*chains, mix]), "-map", "[m]", "-c:a", "pcm_s24le"]
    return measured([*command, str(folder / "ffmpeg.wav")], b"")


def difference_db(folder: Path) -> float:
    """How far the two mixes are from each other, up to where ffmpeg's resampler begins to fade: the power of what is
    left, to that of the mix.
    """
    one, other = (soundfile.read(folder / name, frames=48_000 * 20)[0] for name in ("ours.wav", "ffmpeg.wav"))
    spectra = [np.fft.rfft(sound, axis=0)[: SAME_HZ * 20] for sound in (one - other, other)]
    return float(20 * np.log10(np.linalg.norm(spectra[0]) / np.linalg.norm(spectra[1])))


def compare(rounds: int, turns: dict[str, Callable[[], Run]]) -> None:
    """Print a line a run, and the ratio of the medians."""
    runs: dict[str, list[Run]] = {name: [] for name in turns}
    print(f"{'round':>5} {'by':>8} {'seconds':>8} {'cpu s':>8} {'peak MB':>8}")
    for number in range(rounds):
        for name in list(turns)[:: 1 if number % 2 else -1]:
            run = turns[name]()
            runs[name].append(run)
            print(f"{number:>5} {name:>8} {run.took_s:>8.2f} {run.cpu_s:>8.2f} {run.peak_mb:>8.0f}")
    median_s = {name: statistics.median(run.took_s for run in its) for name, its in runs.items()}
    print(f"ffmpeg's seconds / ours: {median_s['ffmpeg'] / median_s['ours']:.2f}")


def main() -> None:
    """Print times, their ratio, and memory."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ask.add_argument("--rounds", type=int, default=5)
    ask.add_argument("--minutes", type=float, default=3.0)
    ask.add_argument("--long", type=float, default=30.0)
    ask.add_argument("--load")
    args = ask.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("ffmpeg is not installed: `apt-get install ffmpeg`")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        stems = furnish(folder, args.minutes)
        compare(args.rounds, {"ours": lambda: ours(folder, stems), "ffmpeg": lambda: ffmpeg(folder, stems)})
        print(f"the mixes differ by {difference_db(folder):.0f} dB")
        if args.long:
            run = ours(folder, furnish(folder, args.long))
            print(f"{args.long:g} minutes: {run.took_s:.1f} s, {run.peak_mb:.0f} MB")
            stems = furnish(folder, args.minutes)
        if args.load:
            with rooms(args.load) as felt:
                felt.compare({"mixdowns": lambda: ours(folder, stems, is_watched=False)}, args.rounds, lambda: None)


if __name__ == "__main__":
    main()
