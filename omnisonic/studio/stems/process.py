"""`python -m omnisonic.studio.stems.process`: reads a `StemsRequest`, renders the stems, prints `Report`s.

What a file makes its decoder do is unknown, so decoding happens here, in the sandbox (`omnisonic.process.sandbox`).
Overload and crash as in `omnisonic.studio.mixdown.process`. Shutdown: end the process.
"""

import os
import sys
from contextlib import ExitStack
from typing import Final

import msgspec

from omnisonic.process.sandbox import Limits, SandboxFailed, enter_sandbox
from omnisonic.studio.mixdown import Done, Failed, Report, Unusable, UnusableStem
from omnisonic.studio.mixdown.process import Throttle, send
from omnisonic.studio.stems import StemsRequest
from omnisonic.studio.stems.rendering import render_stems

LIMITS: Final = Limits(
    cpu_s=1_800,
    memory_bytes=2_147_483_648,
    descriptors=1_024,  # one a track
    written_bytes=17_179_869_184,  # the scratch file has a third more than the WAVs
)
TOO_MUCH: Final = "These files take more memory to read than there is. Remove some of them, or use smaller ones."


def main() -> None:
    """Enter the sandbox, render, and report."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=StemsRequest)
    try:
        enter_sandbox(LIMITS)
    except SandboxFailed as problem:
        send(Failed(problem.message))
    else:
        send(_render(request))


def _render(request: StemsRequest) -> Report:
    try:
        with ExitStack() as opened:
            files = [opened.enter_context(os.fdopen(number, "rb")) for number in request.files]
            scratch = opened.enter_context(os.fdopen(request.scratch, "r+b"))
            output = opened.enter_context(os.fdopen(request.output, "r+b"))
            output.truncate(0)
            return Done(render_stems(request.song, files, scratch, output, on_progress=Throttle()))
    except UnusableStem as problem:
        return Unusable(problem.message)
    except MemoryError:
        return Unusable(TOO_MUCH)
    except OSError as problem:
        return Failed(f"The stems could not be written: {problem.strerror or problem}.")


if __name__ == "__main__":
    main()
