"""Exporting stems in a process of its own, in the sandbox."""

import tempfile
import zipfile
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

import pytest

from omnisonic.studio.mixdown import Stem, UnusableStem
from omnisonic.studio.stems import Song, SongTrack
from omnisonic.studio.stems.exporter import export_stems
from tests.patience import patient_timeout
from tests.postgres_server import blocking
from tests.studio.mixdown.sounds import file_of, file_of_bytes, noise

DEADLINE_S: Final = 40.0


def test_stems_are_exported_in_the_sandbox() -> None:
    """The archive is whole, and of a file that is none the error names it. Progress is told."""
    sound, broken = file_of(noise(0.5)).read(), file_of_bytes(b"no sound").read()
    progress = list[float]()

    async def export(*sounds: bytes) -> list[str]:
        with ExitStack() as opened:
            output, *files = (opened.enter_context(tempfile.TemporaryFile()) for _ in (b"", *sounds))
            for file, content in zip(files, sounds, strict=True):
                file.write(content)
                file.flush()
            tracks = [SongTrack(Stem(f"Take {number}")) for number in range(len(files))]
            song = Song("Night jam", datetime(2026, 3, 4, tzinfo=UTC), 120.0, 4, tracks)
            await export_stems(
                song, files, output, on_progress=progress.append, within_s=DEADLINE_S, at_idle_priority=False
            )
            with zipfile.ZipFile(output) as archive:
                assert archive.testzip() is None
                return archive.namelist()

    async def run() -> None:
        async with patient_timeout(DEADLINE_S):
            names = await export(sound, sound)
            assert names[-1] == "Night jam stems/02 Take 1.wav"
            assert len(names) == 4
            with pytest.raises(UnusableStem, match="Take 1"):
                await export(sound, broken)

    blocking(run())
    assert progress
