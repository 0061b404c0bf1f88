"""`python -m omnisonic.media.probe < FILE`: prints what is heard in the file as a line of JSON (`Heard`), or `null`.

What a file makes its decoder do is unknown, so it does it here, in the sandbox (`omnisonic.process.sandbox`): it can
read its standard input and write its standard output, and nothing else. Overload: a file that takes more time than it
may ends this process with SIGXCPU, more memory is no sound. Crash: the file's matter, told by the signal that ended it;
any other exit code than 0 is this program's own trouble. `EXIT_UNCONFINED`: there is no sandbox, and nothing was
decoded; the output says why.
"""

import sys
from typing import Final

import msgspec

from omnisonic.media.hearing import hear
from omnisonic.process.sandbox import EXIT_UNCONFINED, Limits, SandboxFailed, confine

LIMITS: Final = Limits(
    cpu_s=120,  # four hours of stereo take half of it
    memory_bytes=1_073_741_824,
    descriptors=16,
    written_bytes=0,
)


def main() -> None:
    """Confine this process, listen to standard input, and print."""
    try:
        confine(LIMITS)
    except SandboxFailed as problem:
        sys.stdout.write(problem.message)
        sys.exit(EXIT_UNCONFINED)
    sys.stdout.buffer.write(msgspec.json.encode(hear(sys.stdin.buffer)) + b"\n")


if __name__ == "__main__":
    main()
