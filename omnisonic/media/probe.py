"""`python -m omnisonic.media.probe < FILE`: prints what is heard in the file as a line of JSON (`Heard`), or `null`.

What a file makes its decoder do is unknown, so it does it here, under limits that cannot be lifted again: so much time
on a processor, so much memory, nothing written, hardly any descriptors. Overload: a file that
takes more time than that ends this process with SIGXCPU, more memory is no sound. Crash: the file's matter, told by the
signal that ended it; any other exit code than 0 is this program's own trouble.
"""

import sys
from typing import Final

import msgspec

from omnisonic.media.confinement import Confines, confine
from omnisonic.media.hearing import hear

CONFINES: Final = Confines(
    cpu_s=120,  # four hours of stereo take half of it
    memory_bytes=1_073_741_824,
    descriptors=16,
    written_bytes=0,
)


def main() -> None:
    """Limit this process, listen to standard input, and print."""
    confine(CONFINES)
    sys.stdout.buffer.write(msgspec.json.encode(hear(sys.stdin.buffer)) + b"\n")


if __name__ == "__main__":
    main()
