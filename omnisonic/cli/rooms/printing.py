"""What `omnisonic rooms` prints: as wide as the terminal, or, piped, as it is and without a control character."""

import json
import os
import sys
from typing import Any, Final

from rich.console import Console
from rich.text import Text

PIPED_WIDTH: Final = 10_000


def console() -> Console:
    """Standard output: as wide as the terminal, and without end where there is none. NO_COLOR and TERM are obeyed."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def print_out(console: Console, what: Any) -> None:
    """Print a table, a tree or a text; piped, without the blanks that fill a line up."""
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def print_line(text: str) -> None:
    """A line on standard output, not wrapped."""
    print_out(console(), Text(text))


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document on a line."""
    sys.stdout.write(json.dumps(document, default=str, ensure_ascii=False) + "\n")


def flush() -> None:
    """See that a stream's line is out. When nobody reads any more (`| head`), there is nothing left to do: it ends."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)
