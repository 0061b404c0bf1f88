"""The output of `omnisonic serve`: the lines of all processes as one stream, each with the name of its process.

Overload: up to `LINES` lines wait, so that no process waits for a paused terminal (Ctrl-S); more are dropped and
counted. Crash: when nobody reads any more (a closed pipe), lines are discarded and the processes go on. Shutdown: lines
that wait are printed, for `FLUSH_S` at most.

Lines below `LOG_LEVEL` are left out: those of our own processes by each of them, and here those of the supervisor, of
Postgres and of Valkey. A line whose level nobody knows is always printed, because it may say why a program crashed.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import trio

from omnisonic.observability.log_lines import as_json_line, is_logged, json_line, level_of

SUPERVISOR: Final = "serve"
"""The name under which `serve` prints its own lines."""
LINES: Final = 10_000
FLUSH_S: Final = 0.5
COLOURS: Final = (36, 35, 33, 32, 34)
"""ANSI: cyan, magenta, yellow, green, blue."""


class Output:
    """One stream for several processes. Their JSON lines are not changed; with `as_json` each line becomes JSON.

    `least` is the least level that is printed.
    """

    def __init__(
        self,
        fd: int,
        parts: Sequence[str],
        environ: Mapping[str, str],
        *,
        as_json: bool = False,
        least: str = "debug",
    ) -> None:
        self._fd = fd
        self._least = least
        self._as_json = as_json
        width = max(map(len, parts), default=0)
        coloured = os.isatty(fd) and not environ.get("NO_COLOR")
        self._prefixes = {
            part: f"\x1b[{COLOURS[index % len(COLOURS)]}m{part:<{width}}\x1b[0m  " if coloured else f"{part:<{width}}  "
            for index, part in enumerate(parts)
        }
        self._waiting, self._lines = trio.open_memory_channel[str](LINES)
        self._dropped = 0

    def line(self, part: str, text: str) -> None:
        """Print `text` as a line of `part`."""
        level = level_of(text)
        if level is not None and not is_logged(level, self._least):
            return
        if self._as_json:
            self._print(as_json_line(part, text))
        else:
            self._print(text if text.startswith("{") else f"{self._prefixes[part]}{text}")

    def report(self, part: str, sentence: str) -> None:
        """Print a sentence about `part`, such as that it exited: a warning."""
        if not is_logged("warning", self._least):
            return
        if self._as_json:
            self._print(json_line(SUPERVISOR, "part.ended", {"process": part, "problem": sentence}, level="warning"))
        else:
            self._print(f"{self._prefixes[part]}{sentence}")

    def say(self, text: str, event: str, **fields: object) -> None:
        """Print `text`, whatever the level. As JSON: the `event` with its fields."""
        self._print(json_line(SUPERVISOR, event, fields) if self._as_json else text)

    def note(self, text: str, event: str) -> None:
        """As `say`, for what is logged only: at the level `info`."""
        if is_logged("info", self._least):
            self.say(text, event)

    def _print(self, text: str) -> None:
        try:
            if self._dropped:
                self._waiting.send_nowait(self._dropped_line())
                self._dropped = 0
            self._waiting.send_nowait(text)
        except trio.WouldBlock:
            self._dropped += 1

    def _dropped_line(self) -> str:
        if self._as_json:
            return json_line(SUPERVISOR, "lines.dropped", {"lines": self._dropped}, level="warning")
        return f"({self._dropped} lines were dropped here.)"

    def close(self) -> None:
        """Accept no more lines. `run` returns when it has printed all."""
        self._waiting.close()

    async def run(self) -> None:
        """Print until `close`. When cancelled, a write that blocks is abandoned."""
        async for text in self._lines:
            batch = [text]
            with contextlib.suppress(trio.WouldBlock, trio.EndOfChannel):
                while True:
                    batch.append(self._lines.receive_nowait())
            data = "".join(f"{line}\n" for line in batch).encode(errors="replace")
            await trio.to_thread.run_sync(_write, self._fd, data, abandon_on_cancel=True)


@contextlib.asynccontextmanager
async def open_output(
    fd: int, parts: Sequence[str], environ: Mapping[str, str], *, as_json: bool = False, least: str = "debug"
) -> AsyncIterator[Output]:
    """An `Output` that prints on file descriptor `fd` until the block ends."""
    output = Output(fd, parts, environ, as_json=as_json, least=least)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(output.run)
        try:
            yield output
        finally:
            output.close()
            nursery.cancel_scope.deadline = trio.current_time() + FLUSH_S


def _write(fd: int, data: bytes) -> None:
    """Write everything, without Python's buffers: a blocked write would hold their locks at exit."""
    rest = memoryview(data)
    with contextlib.suppress(OSError):
        while rest:
            rest = rest[os.write(fd, rest) :]
