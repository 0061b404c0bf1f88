"""A process that confines itself, looks at what it is given, and says what it has found.

What a file makes its decoder do is unknown, so it does it here, in the sandbox (`omnisonic.process.sandbox`): it can
read its standard input and write its standard output, and nothing else. Crash: the file's matter, told by the signal
that ended it; any other exit code than 0 is this program's own trouble. `EXIT_UNCONFINED`: there is no sandbox, and
nothing was decoded; the output says why.
"""

import sys
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from omnisonic.process.sandbox import EXIT_NOT_SANDBOXED, Limits, SandboxFailed, enter_sandbox


def print_sandboxed(look: Callable[[BinaryIO], object], limits: Limits) -> None:
    """Confine this process, and print what `look` finds in standard input, as a line of JSON."""
    try:
        enter_sandbox(limits)
    except SandboxFailed as problem:
        sys.stdout.write(problem.message)
        sys.exit(EXIT_NOT_SANDBOXED)
    sys.stdout.buffer.write(msgspec.json.encode(look(sys.stdin.buffer)) + b"\n")
