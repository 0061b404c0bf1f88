"""`omnisonic rooms` as a process against a real gateway (SPEC 1; docs/inspecting.md)."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.cli.running import completed, environ
from tests.cli.terminals import drawn
from tests.inspectors import TOKEN, StallingRoom
from tests.processes import ended_with_block
from tests.rooms import Stage, eventually, open_stage

ESCAPE = "\x1b"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A gateway that may be inspected, in this process."""
    async with open_stage(admin_token=TOKEN, room_class=StallingRoom) as stage:
        yield stage


def at(stage: Stage) -> tuple[str, str]:
    return ("--gateway", f"ws://127.0.0.1:{stage.port}")


async def rooms(stage: Stage, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`omnisonic rooms` with these arguments, told where the gateway is, piped."""
    reported = {"ADMIN_TOKEN": TOKEN, **settings}
    return await trio.to_thread.run_sync(partial(completed, "rooms", *arguments, *at(stage), **reported))


async def as_json(stage: Stage, *arguments: str) -> Any:
    """What it prints with `--json`, which must be one document."""
    done = await rooms(stage, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


async def test_rooms_are_listed_in_plain_text_when_piped(stage: Stage) -> None:
    """All columns, nothing cut, no control character, no blank at a line's end."""
    long = "a room with a very long name, for nobody forbids it, and it must not be cut when it is piped somewhere"
    async with stage.crowd(2), stage.crowd(1, room=long):
        done = await rooms(stage, "ls")
    assert (done.returncode, done.stderr) == (0, "")
    title, *lines, total = done.stdout.splitlines()
    assert title.split()[:4] == ["ROOM", "STATE", "MEMBERS", "IN/S"]
    assert title.endswith("NOTE")
    assert sorted(line.partition("  ")[0] for line in lines) == sorted([long, "jam"])
    assert total.startswith("2 rooms, ")
    assert all(line == line.rstrip() and line.isprintable() for line in done.stdout.splitlines())


async def test_an_empty_gateway_is_no_error(stage: Stage) -> None:
    """No table, and a sentence."""
    done = await rooms(stage, "ls")
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        ["0 rooms, 0 members, 0.0 in/s, 0.0 out/s, 0 restarts, 0 dead letters."],
    )


@pytest.mark.parametrize("columns", [60, 80, 200])
async def test_a_table_fits_the_terminal(stage: Stage, columns: int) -> None:
    """No line is longer than it is wide; the room and its state are always there."""
    name = "night-jam-" + "x" * 100
    async with stage.crowd(2, room=name), stage.crowd(1) as (ada,):
        await ada.say("poison")
        code, printed = await trio.to_thread.run_sync(
            partial(drawn, columns, "rooms", "ls", *at(stage), ADMIN_TOKEN=TOKEN, NO_COLOR="1")
        )
    assert code == 0
    lines = [re.sub(f"{ESCAPE}\\[[0-9;]*m", "", line) for line in printed.splitlines()]
    assert max(map(len, lines)) <= columns
    assert lines[0].split()[:2] == ["ROOM", "STATE"]
    assert any(line.startswith("night-jam-xx") and "live" in line for line in lines)
    assert "ValueError('poison')" in printed


@pytest.mark.parametrize(
    ("settings", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
async def test_colour_is_only_where_it_is_wanted(stage: Stage, settings: dict[str, str], coloured: bool) -> None:
    """https://no-color.org, and terminals that cannot."""
    async with stage.crowd(1):
        look = partial(drawn, 100, "rooms", "ls", *at(stage), **{"ADMIN_TOKEN": TOKEN, **settings})
        code, printed = await trio.to_thread.run_sync(look)
    assert code == 0
    assert (f"{ESCAPE}[32m" in printed) is coloured


async def test_json_is_one_document_with_every_figure(stage: Stage) -> None:
    """For `ls`, `show`, `tree` and `dead-letters`."""
    async with stage.crowd(2) as (ada, bo):
        await ada.say("poison")
        await ada.say("note")
        await bo.next("note")
        listed = await as_json(stage, "ls")
        shown = await as_json(stage, "show", "jam")
        tree = await as_json(stage, "tree")
        letters = await as_json(stage, "dead-letters")
    (room,) = listed["rooms"]
    assert (room["room"], room["members"], room["restarts"], room["deadLetters"]) == ("jam", 2, 1, 1)
    assert listed["gateways"][0]["figures"]["connections"] == 2
    assert [member["member"] for member in shown["rooms"][0]["members"]] == ["m0", "m1"]
    assert shown["rooms"][0]["ended"][0]["reason"] == "ValueError('poison')"
    assert {"poller", "dispatcher"} <= {child["name"] for child in tree["gateways"][0]["children"]}
    assert tree["gateways"][0]["rooms"][0]["room"] == "jam"
    assert [letter["kind"] for letter in letters["deadLetters"]] == ["poison"]


async def test_a_crashing_room_is_named_everywhere(stage: Stage) -> None:
    """In the list, in the tree, and in its own page, with the reason."""
    async with stage.crowd(1) as (ada,), stage.crowd(1, room="next door"):
        await ada.say("poison")
        await eventually(lambda: stage.room().incarnation == 2)
        for arguments in (("ls",), ("tree",), ("show", "jam")):
            done = await rooms(stage, *arguments)
            (line,) = (line for line in done.stdout.splitlines() if "crashed" in line)
            assert "ValueError('poison')" in line
        listed = (await rooms(stage, "ls")).stdout.splitlines()
        assert [line.split()[0] for line in listed[1:3]] == ["jam", "next"], "the worst first"


@pytest.mark.parametrize("command", ["ls", "tree"])
async def test_a_stuck_room_is_named_while_it_is_stuck(stage: Stage, command: str) -> None:
    """Though the gateway's loop answers nobody: on standard error in a sentence, in the output as `stuck`; exit 1."""
    StallingRoom.stalls.clear()
    found: list[subprocess.CompletedProcess[str]] = []

    def look() -> None:
        assert StallingRoom.stalls.wait(5)
        found.append(completed("rooms", command, *at(stage), ADMIN_TOKEN=TOKEN))

    async with stage.crowd(2) as (ada, bo), trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, look)
        await wait_all_tasks_blocked()
        await ada.say("stall", 5.0)
        with trio.fail_after(20):
            while (await bo.frame())[1].find(b'"stall"') < 0:
                pass
    (done,) = found
    assert done.returncode == 1
    assert "is not answering: the room jam keeps it busy, for " in done.stderr
    (line,) = (line for line in done.stdout.splitlines() if "stuck" in line)
    assert "jam" in line
    assert "in on_message" in line


async def test_a_tap_prints_what_passes_and_hides_what_is_said(stage: Stage) -> None:
    """A line a message, and a sentence at the end; JSON lines for programs."""
    async with stage.crowd(1) as (ada,), trio.open_nursery() as nursery:
        found: dict[str, subprocess.CompletedProcess[str]] = {}

        async def tap(name: str, *arguments: str) -> None:
            found[name] = await rooms(stage, "tap", "jam", "--most", "2", "--for", "20s", *arguments)

        nursery.start_soon(tap, "plain")
        nursery.start_soon(tap, "payload", "--payload")
        nursery.start_soon(tap, "json", "--json")
        await eventually(lambda: len(stage.room().taps or ()) == 3, 30)
        await ada.say("note", "a secret word")
        await ada.say("note", "a secret word")
    assert {done.returncode for done in found.values()} == {0}
    *lines, end = found["plain"].stdout.splitlines()
    assert ["m0  note" in line for line in lines] == [True, True]
    assert end.startswith("The tap has ended: it has shown as many as it was to. 2 passed")
    assert "secret" not in found["plain"].stdout + found["json"].stdout
    assert "a secret word" in found["payload"].stdout
    documents = [json.loads(line) for line in found["json"].stdout.splitlines()]
    assert [document["type"] for document in documents] == ["passed", "passed", "end"]


async def test_a_room_is_shown_with_what_it_remembers_and_whom_it_waits_for() -> None:
    """In words; a member who is waited for has the time until then, and what is kept for them."""
    async with (
        open_stage(admin_token=TOKEN, grace_s=15.0) as stage,
        stage.crowd(1) as (ada,),
        await stage.bare_member("bo") as bo,
    ):
        plain = (await rooms(stage, "show", "jam")).stdout
        assert "UNTIL" not in plain
        assert re.search(r"^history +nothing$", plain, re.MULTILINE)
        await bo.aclose()
        await ada.next("presence.update")
        await ada.say("note")
        await ada.say("psst", to="bo")
        await ada.say("state.set", {"key": "solo", "value": 1})
        await ada.say("transport.set", {"tempoBpm": 90.5, "atBeat": 2, "loop": {"startBeat": 0, "endBeat": 8}})
        await ada.next("transport.state")
        shown = (await rooms(stage, "show", "jam")).stdout
    for line in (
        r"history +1 message, \d+ bytes; offset 1 to 1, the oldest \d+ s old",
        r"shared state +1 key, 5 bytes",
        r"transport +stands at beat 2\.0, 90\.5 BPM, 4 beats a bar, repeats beat 0 to 8",
        r"bo +waited for +0 +0\.00 +\d\d:\d\d:\d\d \(lost\) +1 +bo",
    ):
        assert re.search(f"^{line}$", shown, re.MULTILINE | re.IGNORECASE), shown


async def test_an_operator_kicks_restarts_replays_and_closes(stage: Stage) -> None:
    """Each says in a sentence that it is done."""
    async with stage.crowd(3) as band:
        await band[0].say("poison", "again")
        await eventually(lambda: stage.room().incarnation == 2 and stage.room().is_alive)
        assert (await rooms(stage, "dead-letters", "--replay", "1")).stdout == "The letter is in the room again.\n"
        await eventually(lambda: stage.room().incarnation == 3 and stage.room().is_alive)
        assert (await rooms(stage, "restart", "jam")).stdout == "The room is started again.\n"
        assert stage.room().incarnation == 4
        assert (await rooms(stage, "kick", "jam", "m1")).stdout == "The member is sent out.\n"
        assert (await band[1].closed())[0] == 4003
        assert (await as_json(stage, "close", "jam"))["done"] is True
        assert (await band[0].closed())[0] == 4004
        listed = (await rooms(stage, "dead-letters", "jam", "--payload")).stdout
        assert listed.count("ValueError('poison')") == 2
        assert listed.count("(sent again)") == 1
        again = await rooms(stage, "dead-letters", "--replay", "1")
        assert (again.returncode, again.stderr) == (1, "omnisonic: That letter was sent to its room again before.\n")
        assert '"again"' in listed


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("show", "nowhere"), 1, "There is no such room."),
        (("kick", "jam", "nobody"), 1, "There is no such member in that room."),
        (("dead-letters", "--replay", "9"), 1, "There is no dead letter of that number any more."),
        (("tap", "nowhere"), 1, "There is no such room."),
        (("tap", "jam", "--for", "soon"), 2, "--for must be a time such as 30s or 2m, and 10m at most."),
        (("top",), 1, "top needs a terminal: use --json, or `omnisonic rooms ls`."),
    ],
)
async def test_what_goes_wrong_is_a_sentence(
    stage: Stage, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    """On standard error, with an exit code, and nothing on standard output."""
    async with stage.crowd(1):
        done = await rooms(stage, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"omnisonic: {sentence}\n")


async def test_a_wrong_token_is_a_sentence_without_the_token(stage: Stage) -> None:
    """401 and why; then 429, when it was tried too often."""
    for _ in range(5):
        done = await rooms(stage, "ls", ADMIN_TOKEN="mistyped")
        assert done.returncode == 1
        assert "refused (401): Inspecting needs the operator's token" in done.stderr
        assert "mistyped" not in done.stderr
    assert "refused (429)" in (await rooms(stage, "ls")).stderr


async def test_several_gateways_are_shown_together(stage: Stage) -> None:
    """Each row says where it is; one that is not there is a sentence, and the others are shown."""
    async with open_stage(admin_token=TOKEN) as other, stage.crowd(1, room="here"), other.crowd(1, room="there"):
        done = await rooms(stage, "ls", *at(other))
        rows = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()[1:3]}
        assert rows == {"here": f"127.0.0.1:{stage.port}", "there": f"127.0.0.1:{other.port}"}
        assert done.returncode == 0
        done = await rooms(stage, "ls", "--gateway", "ws://127.0.0.1:1")
        assert done.returncode == 1
        assert "here" in done.stdout
        assert done.stderr.startswith("omnisonic: Nothing answers at ws://127.0.0.1:1 (")


@contextmanager
def started_top(stage: Stage) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
    """`omnisonic rooms top --json`, its output and its errors; killed at the end of the block."""
    command = [sys.executable, "-m", "omnisonic", "rooms", "top", "--json", *at(stage)]
    pipe = subprocess.PIPE
    started = subprocess.Popen(command, env=environ(ADMIN_TOKEN=TOKEN), stdout=pipe, stderr=pipe, text=True)
    with ended_with_block(started) as top:
        assert top.stdout is not None
        assert top.stderr is not None
        yield top, top.stdout, top.stderr


async def test_ctrl_c_ends_a_command_without_a_word(stage: Stage) -> None:
    """With the code of a program that was interrupted, whatever trio wraps the interrupt in."""

    def interrupted() -> tuple[int, str]:
        with started_top(stage) as (top, output, errors):
            output.readline()
            top.send_signal(signal.SIGINT)
            return top.wait(20), errors.read()

    assert await trio.to_thread.run_sync(interrupted) == (130, "")


async def test_top_prints_a_line_of_json_each_second_until_nobody_reads_any_more(stage: Stage) -> None:
    """For programs; it ends in peace with its reader."""

    def two_lines() -> list[str]:
        with started_top(stage) as (top, output, errors):
            lines = [output.readline() for _ in range(3)]
            output.close()
            assert (top.wait(20), errors.read()) == (0, "")
        return lines

    async with stage.crowd(2):
        lines = await trio.to_thread.run_sync(two_lines)
    *_, last = (json.loads(line) for line in lines)
    assert [(room["room"], room["members"]) for room in last["rooms"]] == [("jam", 2)]


def test_no_gateway_is_a_sentence(tmp_path: Path) -> None:
    """It says what to do."""
    done = completed("rooms", "ls", ADMIN_TOKEN=TOKEN, GATEWAY_PORT="1", OMNISONIC_DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("omnisonic: Nothing answers at ws://127.0.0.1:1 (")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        (("--gateway", "no url"), {}, "--gateway 'no url' is no address of a gateway"),
        (("--gateway", "ftp://x"), {}, "--gateway 'ftp://x' is no address of a gateway"),
        (("--gateway", "wss://studio.example"), {"ADMIN_TOKEN": ""}, "wss://studio.example is another machine"),
        (("--gateway", "127.0.0.1:1"), {"ADMIN_TOKEN": ""}, "there is no token in "),
        (("--token-file", "/nowhere"), {"GATEWAY_PORT": "1"}, "cannot be read from /nowhere"),
        ((), {}, "GATEWAY_PORT is 0, and no `omnisonic serve` runs in "),
    ],
)
def test_where_and_by_what_it_asks_must_be_known(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], sentence: str
) -> None:
    """Otherwise it ends with exit code 2, like any setting that cannot be used."""
    reported = {"ADMIN_TOKEN": TOKEN, "OMNISONIC_DATA_DIR": str(tmp_path), **settings}
    done = completed("rooms", "ls", *arguments, **reported)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert done.stderr.startswith("omnisonic: ")


def test_help_names_the_commands_and_the_variables() -> None:
    """And no option takes the token itself."""
    shown = completed("rooms", "--help").stdout
    commands = ("ls", "show", "tree", "top", "tap", "kick", "close", "restart", "dead-letters")
    assert all(f"  {command} " in shown for command in commands)
    shown = completed("rooms", "ls", "--help").stdout
    assert "ADMIN_TOKEN" in shown
    assert "--token " not in shown
