"""`python -m tests.process.ordinary_work < SOUND`: listens to it and mixes it, as the user that runs this."""

import asyncio
import os
import tempfile
from typing import BinaryIO, cast

from omnisonic.studio.media.analyser import analyse_file
from omnisonic.studio.mixdown import Project, Stem
from omnisonic.studio.mixdown.mixer import mix

DEADLINE_S = 30.0


async def main() -> None:
    """Print what came of it."""
    sound = os.fdopen(os.dup(0), "rb")  # the process that mixes has a standard input of its own
    received = await analyse_file(sound, at_idle_priority=False)
    assert received is not None
    with tempfile.TemporaryFile() as output:
        project = Project(120, 4, [Stem("a")])

        mixed = await mix(
            project,
            [sound],
            cast("BinaryIO", output),
            "wav",
            on_progress=lambda _: None,
            within_s=DEADLINE_S,
            at_idle_priority=False,
        )
    print(f"{received.channels} channels, {mixed.duration_s} s")


if __name__ == "__main__":
    asyncio.run(main())
