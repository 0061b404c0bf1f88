"""Printing for `omnisonic rooms`: as wide as the terminal; in a pipe without limit and without control characters."""

import json
import os
import sys
from typing import Any, Final

from rich.console import Console
from rich.text import Text

PIPED_WIDTH: Final = 10_000


def console() -> Console:
    """Standard output, as wide as the terminal; in a pipe without limit. Respects NO_COLOR and TERM."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def print_out(console: Console, what: Any) -> None:
    """Print a table, a tree or a text; in a pipe without trailing blanks."""
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def print_line(text: str) -> None:
    """Print a line, not wrapped."""
    print_out(console(), Text(text))


def print_json(document: dict[str, Any]) -> None:
    """Print a JSON document on one line."""
    sys.stdout.write(json.dumps(document, default=str, ensure_ascii=False) + "\n")


def flush() -> None:
    """Flush standard output. When nobody reads it any more (`| head`), the process exits."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)
