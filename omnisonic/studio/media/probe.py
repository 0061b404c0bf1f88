"""`python -m omnisonic.studio.media.probe < FILE`: prints what is heard in the file as a line of JSON (`Heard`), or
`null`.

In the sandbox (`omnisonic.studio.media.sandboxed_main`). Overload: a file that takes more time than it may ends this
process with SIGXCPU, more memory is no sound.
"""

from typing import Final

from omnisonic.process.sandbox import Limits
from omnisonic.studio.media.analysis import analyse
from omnisonic.studio.media.sandboxed_main import print_sandboxed

LIMITS: Final = Limits(
    cpu_s=120,  # four hours of stereo take half of it
    memory_bytes=1_073_741_824,
    descriptors=16,
    written_bytes=0,
)


if __name__ == "__main__":
    print_sandboxed(analyse, LIMITS)
