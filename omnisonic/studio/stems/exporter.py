"""The exporter of stems: starts a process for each export (`omnisonic.studio.stems.process`). Asyncio.

Overload, crash and shutdown as for the mixer (`omnisonic.studio.mixdown.mixer`). The scratch file of the process has no
name: nothing of it is left, however this process ends.
"""

import tempfile
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

import msgspec

from omnisonic.studio.media.sandboxed_process import sandboxed_command
from omnisonic.studio.mixdown import RATE_HZ, Mixed
from omnisonic.studio.mixdown.mixer import run_process
from omnisonic.studio.stems import FLOAT_BYTES, SAMPLE_BYTES, Song, StemsRequest

CHANNELS: Final = 2
"""The most of a track."""
TOO_LONG: Final = "The stems were not done within {within_s:.0f} seconds. Remove some of the files."
UNDECODABLE: Final = (
    "One of these files cannot be exported: decoding it takes far too long, or fails. Remove one after the other."
)

_encoder = msgspec.json.Encoder()


def stems_command() -> Sequence[str]:
    """The command of the process."""
    return sandboxed_command("omnisonic.studio.stems.process")


async def export_stems(
    song: Song,
    files: Sequence[BinaryIO],
    output: BinaryIO,
    *,
    on_progress: Callable[[float], None],
    within_s: float,
    command: Callable[[], Sequence[str]] = stems_command,
    at_idle_priority: bool = True,
) -> Mixed:
    """Write an archive with every track as a WAV, and the projects that place them, in another process.

    Call it from the program's main thread: the process ends with the thread that started it.

    Args:
        song: What is exported.
        files: The sound of each track, in their order: real files, each opened on its own.
        output: A real file. Its content is of no use when this raises.
        on_progress: Called with the part that is done, from 0 to 1.
        within_s: Longest time.
        command: The command to run; another one in tests.
        at_idle_priority: Use only processor time that nobody else wants.

    Returns:
        The length, and what is missing in the files. Loudness and peak are None.

    Raises:
        UnusableStem, TooLong, MixFailed, OSError: As `omnisonic.studio.mixdown.mixer.mix`.
    """
    with tempfile.TemporaryFile(prefix="omnisonic-") as scratch:
        for file in (*files, output):
            file.seek(0)
        numbers = [file.fileno() for file in files]
        request = StemsRequest(song, numbers, scratch.fileno(), output.fileno())
        return await run_process(
            command(),
            _encoder.encode(request),
            [*numbers, scratch.fileno(), output.fileno()],
            on_progress=on_progress,
            within_s=within_s,
            at_idle_priority=at_idle_priority,
            too_long=TOO_LONG,
            undecodable=UNDECODABLE,
        )


def scratch_and_output_bytes(duration_s: float, tracks: int) -> int:
    """The most room that an export of so many tracks takes on the disk, when the longest ends at `duration_s`."""
    return round(duration_s * RATE_HZ) * CHANNELS * (FLOAT_BYTES + SAMPLE_BYTES) * tracks
