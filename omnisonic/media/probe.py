"""`python -m omnisonic.media.probe < FILE`: prints what is heard in the file as a line of JSON (`Heard`), or `null`.

In the sandbox (`omnisonic.media.confined_main`). Overload: a file that takes more time than it may ends this process
with SIGXCPU, more memory is no sound.
"""

from typing import Final

from omnisonic.media.confined_main import print_confined
from omnisonic.media.hearing import hear
from omnisonic.process.sandbox import Limits

LIMITS: Final = Limits(
    cpu_s=120,  # four hours of stereo take half of it
    memory_bytes=1_073_741_824,
    descriptors=16,
    written_bytes=0,
)


if __name__ == "__main__":
    print_confined(hear, LIMITS)
