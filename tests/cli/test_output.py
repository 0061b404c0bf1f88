"""The one stream of `serve`: several parts, each under its name."""

import json
import os
import pty
from collections.abc import Iterator

import pytest
import trio

from omnisonic.cli.output import LINES, open_output

PARTS = ["valkey", "web"]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The reading and the writing end of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


async def test_a_line_stands_under_its_parts_name_in_a_column(pipe: tuple[int, int]) -> None:
    """Padded, and without colour where nobody sees it."""
    with trio.fail_after(5):
        async with open_output(pipe[1], PARTS, {}) as output:
            output.line("valkey", "up")
            output.line("web", "up, too")
            output.say("all is well", "serve.well")
    assert os.read(pipe[0], 1000) == b"valkey  up\nweb     up, too\nall is well\n"


async def test_a_json_line_is_passed_on_as_it_is(pipe: tuple[int, int]) -> None:
    """It names its part itself, and machines read it."""
    with trio.fail_after(5):
        async with open_output(pipe[1], PARTS, {}) as output:
            output.line("web", '{"part": "web"}')
    assert os.read(pipe[0], 1000) == b'{"part": "web"}\n'


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
async def test_a_terminal_gets_colour_unless_it_does_not_want_any(environ: dict[str, str], coloured: bool) -> None:
    """https://no-color.org: set and not empty means none."""
    ours, theirs = pty.openpty()
    with trio.fail_after(5):
        async with open_output(theirs, PARTS, environ) as output:
            output.line("web", "up")
    printed = os.read(ours, 1000)
    os.close(ours)
    os.close(theirs)
    assert (b"\x1b[35m" in printed) is coloured


async def test_a_reader_that_stands_still_holds_nobody_up(pipe: tuple[int, int]) -> None:
    """What does not fit is dropped and counted, and the end does not wait for it."""
    with trio.fail_after(5):
        async with open_output(pipe[1], PARTS, {}) as output:
            for _ in range(2 * LINES):
                output.line("web", "x" * 100)
            # The pipe is full, the queue is full; some have been dropped. Now somebody reads.
            while b"lines were dropped here" not in await trio.to_thread.run_sync(os.read, pipe[0], 65_536):
                output.line("web", "more")


async def test_a_reader_that_is_gone_is_no_reason_to_end() -> None:
    """`serve | head`: the studio lives on."""
    reading, writing = os.pipe()
    os.close(reading)
    with trio.fail_after(5):
        async with open_output(writing, PARTS, {}) as output:
            output.line("web", "up")
            await trio.testing.wait_all_tasks_blocked()
            output.line("web", "still up")
    os.close(writing)


async def test_where_logs_are_json_every_line_is(pipe: tuple[int, int]) -> None:
    """What parts write, what became of them, and what the supervisor says, each under its own name."""
    with trio.fail_after(5):
        async with open_output(pipe[1], PARTS, {}, as_json=True) as output:
            output.line("web", '{"part": "web"}')
            output.line("web", "{half a line")
            output.report("valkey", "`valkey` was killed by SIGKILL. Starting it again.")
            output.say("\nOmnisonic is running.\n", "serve.running", studio="http://127.0.0.1:3000")
    lines = [json.loads(line) for line in os.read(pipe[0], 10_000).splitlines()]
    assert lines.pop(0) == {"part": "web"}
    assert all(line.pop("time").endswith("Z") and line.pop("logger") for line in lines)
    assert lines == [
        {"level": "info", "part": "web", "event": "output", "text": "{half a line"},
        {
            "level": "warning",
            "part": "serve",
            "event": "part.ended",
            "process": "valkey",
            "problem": "`valkey` was killed by SIGKILL. Starting it again.",
        },
        {"level": "info", "part": "serve", "event": "serve.running", "studio": "http://127.0.0.1:3000"},
    ]


@pytest.mark.parametrize(
    ("least", "kept"), [("debug", "abcdefgh"), ("info", "bcdefgh"), ("warning", "defg"), ("error", "eg")]
)
@pytest.mark.parametrize("as_json", [False, True])
async def test_what_is_below_the_level_is_left_out(least: str, kept: str, as_json: bool, pipe: tuple[int, int]) -> None:
    """Of Postgres, of Valkey, and of the supervisor; a line whose level nobody knows is printed."""
    lines = [
        ("postgres", "DEBUG1:  a"),
        ("postgres", "LOG:  b"),
        ("valkey", "12:M 27 Nov 2026 17:05:06.123 * c"),
        ("valkey", "12:M 27 Nov 2026 17:05:06.123 # d"),
        ("postgres", "ERROR:  e"),
    ]
    with trio.fail_after(5):
        async with open_output(pipe[1], ["postgres", "valkey"], {}, as_json=as_json, least=least) as output:
            for part, line in lines:
                output.line(part, line)
            output.report("valkey", "f")
            output.line("valkey", "symbol lookup error: g")
            output.note("Stopping: h", "h")
    printed = os.read(pipe[0], 10_000).decode().splitlines()
    if as_json:
        each = [json.loads(line) for line in printed]
        printed = [line.get("text") or line.get("problem") or line["event"] for line in each]
    assert [line[-1] for line in printed] == list(kept)


async def test_where_the_studio_is_is_said_at_every_level(pipe: tuple[int, int]) -> None:
    """It is what the command was asked for, and no line of a log."""
    with trio.fail_after(5):
        async with open_output(pipe[1], [], {}, least="error") as output:
            output.say("http://127.0.0.1:3000", "serve.running")
    assert os.read(pipe[0], 1000) == b"http://127.0.0.1:3000\n"
