"""What `omnisonic serve` prints: its parts' lines as one stream, each under its part's name.

Overload: lines wait in a queue of `LINES`, for a terminal may stand still (Ctrl-S) and a part must not wait for it;
what does not fit is dropped and counted. Crash: when nobody reads any more (a closed pipe), lines are thrown away and
the parts live on. Shutdown: what is waiting is printed, for `FLUSH_S` at most.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import trio

from omnisonic.observability.log_lines import as_json_line, json_line

SUPERVISOR: Final = "serve"
"""The part whose lines those of `serve` itself are."""
LINES: Final = 10_000
FLUSH_S: Final = 0.5
COLOURS: Final = (36, 35, 33, 32, 34)
"""ANSI: cyan, magenta, yellow, green, blue."""


class Output:
    """One stream for several parts, whose JSON lines are passed on as they are. With `as_json` each line is JSON."""

    def __init__(self, fd: int, parts: Sequence[str], environ: Mapping[str, str], *, as_json: bool = False) -> None:
        self._fd = fd
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
        if self._as_json:
            self._print(as_json_line(part, text))
        else:
            self._print(text if text.startswith("{") else f"{self._prefixes[part]}{text}")

    def report(self, part: str, sentence: str) -> None:
        """Print what became of `part`."""
        if self._as_json:
            self._print(json_line(SUPERVISOR, "part.ended", {"process": part, "problem": sentence}, level="warning"))
        else:
            self._print(f"{self._prefixes[part]}{sentence}")

    def say(self, text: str, event: str, **fields: object) -> None:
        """Print `text`; in JSON the `event` instead, with its fields."""
        self._print(json_line(SUPERVISOR, event, fields) if self._as_json else text)

    def _print(self, text: str) -> None:
        try:
            if self._dropped:
                self._waiting.send_nowait(self._told_of_dropped())
                self._dropped = 0
            self._waiting.send_nowait(text)
        except trio.WouldBlock:
            self._dropped += 1

    def _told_of_dropped(self) -> str:
        if self._as_json:
            return json_line(SUPERVISOR, "lines.dropped", {"lines": self._dropped}, level="warning")
        return f"({self._dropped} lines were dropped here.)"

    def close(self) -> None:
        """There is no more to come: `run` returns when it has printed all."""
        self._waiting.close()

    async def run(self) -> None:
        """Print until `close`. Cancelled, it leaves a write that stands still behind."""
        async for text in self._lines:
            batch = [text]
            with contextlib.suppress(trio.WouldBlock, trio.EndOfChannel):
                while True:
                    batch.append(self._lines.receive_nowait())
            data = "".join(f"{line}\n" for line in batch).encode(errors="replace")
            await trio.to_thread.run_sync(_write, self._fd, data, abandon_on_cancel=True)


@contextlib.asynccontextmanager
async def open_output(
    fd: int, parts: Sequence[str], environ: Mapping[str, str], *, as_json: bool = False
) -> AsyncIterator[Output]:
    """An `Output` that prints on file descriptor `fd` until the block ends."""
    output = Output(fd, parts, environ, as_json=as_json)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(output.run)
        try:
            yield output
        finally:
            output.close()
            nursery.cancel_scope.deadline = trio.current_time() + FLUSH_S


def _write(fd: int, data: bytes) -> None:
    """Write all of it, past Python's buffers: their locks would be held at exit by a write that stands still."""
    rest = memoryview(data)
    with contextlib.suppress(OSError):
        while rest:
            rest = rest[os.write(fd, rest) :]
