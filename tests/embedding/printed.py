"""The programs in the documentation, exactly as printed, and running them as their reader would."""

import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from omnisonic.concurrency.background import open_background
from tests.clients import DEADLINE_S
from tests.patience import patient_for

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = ROOT / "docs" / "embedding.md"
START_S: Final = 20.0
"""A program has said its first line by then, on a machine that has more to do."""
_PROGRAM: Final = re.compile(r"```python\n# (?P<name>[a-z_]+\.py).*?```", re.DOTALL)


def programs() -> dict[str, str]:
    """Every whole program in docs/embedding.md by the name of its file."""
    texts = (match[0] for match in _PROGRAM.finditer(DOCUMENT.read_text()))
    bodies = [text.removeprefix("```python\n").removesuffix("```") for text in texts]
    return {body.split()[1].rstrip(":"): body for body in bodies}


def save_all(folder: Path) -> None:
    """Save the programs as their reader would."""
    for name, body in programs().items():
        (folder / name).write_text(body)


@dataclass
class Program:
    """One that runs, and what it prints."""

    process: trio.Process
    lines: "trio.MemoryReceiveChannel[str]"
    printed: list[str]

    async def line(self, containing: str = "", deadline_s: float = START_S) -> str:
        """The next line that contains this; others are passed over."""
        async with patient_for(deadline_s):
            async for line in self.lines:
                if containing in line:
                    return line
        raise AssertionError(f"it ended without a line with {containing!r}:\n{''.join(self.printed)}")


@asynccontextmanager
async def running(
    python: Path, folder: Path, *command: str, last_words: str = "", **environ: str
) -> AsyncIterator[Program]:
    """Run a program in `folder` until the block ends; then Ctrl-C, which must end it without an error.

    `last_words` is the exception that somebody else's code in it may print on the way.
    """
    process = await trio.lowlevel.open_process(
        [str(python), "-u", *command],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines_in, lines_out = trio.open_memory_channel[str](10_000)
    printed: list[str] = []
    async with open_background() as background:
        background.start_soon(_read, process, lines_in, printed)
        try:
            yield Program(process, lines_out, printed)
            process.send_signal(signal.SIGINT)
            with trio.fail_after(DEADLINE_S):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
    assert process.returncode == 0, "".join(printed)
    _, complaint, words = "".join(printed).partition("Traceback")
    assert not complaint or (last_words and words.strip().endswith(last_words)), "".join(printed)


async def _read(process: trio.Process, lines: "trio.MemorySendChannel[str]", printed: list[str]) -> None:
    assert process.stdout is not None
    held = b""
    async with lines:
        async for chunk in process.stdout:
            held += chunk
            *whole, held = held.split(b"\n")
            for line in whole:
                printed.append(line.decode() + "\n")
                lines.send_nowait(line.decode())
