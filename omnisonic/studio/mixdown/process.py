"""`python -m omnisonic.studio.mixdown.process`: reads a `MixRequest` from its standard input, mixes, prints `Report`s.

What a file makes its decoder do is unknown, so decoding happens here, in the sandbox (`omnisonic.process.sandbox`). The
stems are read in `PARTS` by processes that this one starts before it gives up the right to start any, summed block by
block, and mastered. Which stem is in which part, and the order of the sums, are always the same, so that the same files
give the same bytes. Memory grows with the number of stems, not with their length.

Overload: too much time on processors ends it with SIGXCPU; too much memory, a full disk, or no sandbox are reported.
Crash: a signal means that a file is at fault; any other exit code than 0 is an error of this program. Shutdown: end the
process.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain, zip_longest
from typing import BinaryIO, Final

import msgspec
import numpy as np

from omnisonic.models import AudioFormat
from omnisonic.process.sandbox import Limits, SandboxFailed, limit, restrict, seal
from omnisonic.studio.mixdown import (
    RATE_HZ,
    Bits,
    Done,
    Failed,
    Mixed,
    MixRequest,
    Progress,
    Project,
    Report,
    Unusable,
    UnusableStem,
)
from omnisonic.studio.mixdown.blocks import BLOCK_FRAMES, Samples
from omnisonic.studio.mixdown.file_writers import open_writer
from omnisonic.studio.mixdown.mastering import Master
from omnisonic.studio.mixdown.readers import ReaderDied, ReaderProcess, StemReader, Stems, StemSource
from omnisonic.studio.mixdown.tracks import Sum

LIMITS: Final = Limits(
    cpu_s=1_800,  # a hundred times what three minutes of eight stems take as MP3
    memory_bytes=2_147_483_648,
    descriptors=1_024,  # one a stem
    written_bytes=17_179_869_184,  # five hours of 24 bits are a third of it
)
REPORT_EVERY_S: Final = 0.1
TOO_MUCH: Final = "These files take more memory to mix than there is. Mute some of them, or use smaller ones."
PARTS: Final = 2
MOST_SENTENCES: Final = 10
"""About files in which something is missing."""
ALMOST: Final = 0.99
"""The most progress before the end: a file may be wrong about its length."""

CLICK_BARS: Final = 8
CLICK_S: Final = 0.03
CLICK_DECAY_S: Final = 0.006
"""After this long it is down to 1/e."""
ACCENT_HZ: Final = 1_600.0
BEAT_HZ: Final = 1_000.0
ACCENT_LEVEL: Final = 0.7
BEAT_LEVEL: Final = 0.4


def main() -> None:
    """Enter the sandbox, mix, and report."""
    limit(LIMITS)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=MixRequest)
    try:
        restrict()
        send(_mix_files(request))
    except SandboxFailed as problem:
        send(Failed(problem.message))
    except ReaderDied as death:
        if not death.signal:
            raise
        os.kill(os.getpid(), death.signal)  # so that the parent sees the same signal


def send(report: Report) -> None:
    """Print a report."""
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


class Throttle:
    """Reports progress, at most every `REPORT_EVERY_S`."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, done: float) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + REPORT_EVERY_S
            send(Progress(round(done, 4)))


def start_readers(shares: Sequence[Stems]) -> list[StemSource]:
    """Start a reader process for each share, and give up the right to start anything else."""
    readers = [ReaderProcess(share) for share in shares]
    seal(may_signal=[reader.pid for reader in readers])
    return list(readers)


def read_in_process(shares: Sequence[Stems]) -> list[StemSource]:
    """Read the stems in this process."""
    return [StemReader(share) for share in shares]


def render(
    project: Project,
    files: Sequence[BinaryIO],
    output: BinaryIO,
    format_: AudioFormat,
    *,
    bits: Bits = 24,
    on_progress: Callable[[float], None],
    start: Callable[[Sequence[Stems]], Sequence[StemSource]] = read_in_process,
) -> Mixed:
    """Mix `files` into `output`. Blocking; call it only in the sandbox.

    Args:
        project: Tempo, and the mix settings of the stems.
        files: The sound of each stem, in the order of the project.
        output: Written from its beginning; must be seekable.
        format_: The file format.
        bits: Bits of a sample in WAV and FLAC.
        on_progress: Called with the part that is done, from 0 to 1, never less than before.
        start: Starts reading each share of the stems.

    Raises:
        UnusableStem: One of the files cannot be mixed.
        OSError: `output` cannot be written. What is in it is then of no use.
    """
    with ExitStack() as stack:
        stems = list(zip(project.stems, files, strict=True))
        shares = [stems[begin::PARTS] for begin in range(PARTS)]
        parts = [stack.enter_context(closing(part)) for part in start([share for share in shares if share])]
        length = max([part.open() for part in parts], default=click_frames(project))
        master = Master(open_writer(output, format_, bits))
        done = 0
        on_progress(0.0)
        for block in _sum_parts(parts) if parts else make_click(project):
            master.add(block)
            done += block.shape[1]
            on_progress(min(done / length, ALMOST) if length else 0.0)
        result = msgspec.structs.replace(master.finish(), warning=_join_warnings([part.missing() for part in parts]))
    on_progress(1.0)
    return result


def click_frames(project: Project) -> int:
    """The length of the click for a project without stems."""
    return _frame_of_beat(CLICK_BARS * project.beats_per_bar, project)


def make_click(project: Project) -> Iterator[Samples]:
    """Eight bars of click in two rows, the first beat of each higher and louder; each beat on its nearest sample."""
    tones = _make_tone(ACCENT_HZ, ACCENT_LEVEL), _make_tone(BEAT_HZ, BEAT_LEVEL)
    length = click_frames(project)
    for begin in range(0, length, BLOCK_FRAMES):
        row = np.zeros(min(BLOCK_FRAMES, length - begin), np.float32)
        # From the last beat that may still sound to the first one that is too late.
        beat = max(int((begin / RATE_HZ - CLICK_S) * project.tempo_bpm / 60), 0)
        while (frame := _frame_of_beat(beat, project) - begin) < len(row):
            tone = tones[beat % project.beats_per_bar != 0]
            part = tone[max(-frame, 0) : len(row) - frame]
            row[max(frame, 0) :][: len(part)] += part
            beat += 1
        yield np.stack([row, row])


def _frame_of_beat(beat: int, project: Project) -> int:
    return round(beat * 60 / project.tempo_bpm * RATE_HZ)


def _make_tone(hz: float, level: float) -> Samples:
    at_s = np.arange(round(CLICK_S * RATE_HZ)) / RATE_HZ
    return (level * np.sin(2 * np.pi * hz * at_s) * np.exp(-at_s / CLICK_DECAY_S)).astype(np.float32)


def _join_warnings(missing: Sequence[Sequence[str | None]]) -> str | None:
    """What is missing in the stems of each part, in the order of the stems."""
    in_turn = chain.from_iterable(zip_longest(*missing))
    sentences = [sentence for sentence in in_turn if sentence is not None]
    more = len(sentences) - MOST_SENTENCES
    if more > 0:
        sentences[MOST_SENTENCES:] = [f"Something is missing in {more} more."]
    return " ".join(sentences) or None


def _sum_parts(parts: Sequence[StemSource]) -> Iterator[Samples]:
    """The sum of all parts, in blocks of two rows."""
    total = Sum([part.read for part in parts])
    while (block := total.read(BLOCK_FRAMES)).shape[1]:
        yield block


def _mix_files(request: MixRequest) -> Report:
    files = [os.fdopen(number, "rb") for number in request.files]
    try:
        with os.fdopen(request.output, "r+b") as output:
            output.truncate(0)
            return Done(
                render(
                    request.project,
                    files,
                    output,
                    request.format,
                    bits=request.bits,
                    on_progress=Throttle(),
                    start=start_readers,
                )
            )
    except UnusableStem as problem:
        return Unusable(problem.message)
    except MemoryError:
        return Unusable(TOO_MUCH)
    except OSError as problem:
        return Failed(f"The mix could not be written: {problem.strerror or problem}.")


if __name__ == "__main__":
    main()
