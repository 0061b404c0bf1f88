"""What each program of docs/embedding.md must do: with any Python, in any folder that it was saved to."""

import re
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import trio

import omnisonic
from tests.clients import DEADLINE_S
from tests.embedding.printed import START_S, running
from tests.no_tls import NO_TLS
from tests.patience import patient_for


async def next_of(room: omnisonic.ClientRoom, type_: str) -> omnisonic.Message:
    """The next message of this type; others are passed over."""
    with trio.fail_after(DEADLINE_S):
        async for message in room:
            if message.type == type_:
                return message
    raise AssertionError(f"the room ended before a {type_}")


async def hears(room: omnisonic.ClientRoom, text: str) -> None:
    """Wait until somebody says this."""
    while (await next_of(room, "chat")).payload != {"text": text}:
        pass


async def has_come(url: str, member_id: str) -> None:
    """Wait until this member is in the room `jam`."""
    with trio.fail_after(DEADLINE_S):
        async with omnisonic.connect(url, room="jam", name="Observer") as room:
            while room.member(member_id) is None:
                await anext(room)


async def talk(python: Path, folder: Path) -> None:
    """It says who is there and what comes; two of them hear each other."""
    async with running(python, folder, "bot.py") as program:
        url = await program.line("ws://")
        await has_come(url, "bot")
        async with running(python, folder, "talk.py", url, "jam", "Ada", "!who") as ada:
            assert await ada.line("in the room") == "in the room: Bot, Ada"
            assert await ada.line("Here") == "bot chat {'text': 'Here are Bot, Ada.'}"
            async with running(python, folder, "talk.py", url, "jam", "Bo", "Hello, band.") as bo:
                assert await bo.line("in the room") == "in the room: Bot, Ada, Bo"
                assert await ada.line("bo chat") == "bo chat {'text': 'Hello, band.'}"


async def bot(python: Path, folder: Path) -> None:
    """It greets who comes, and answers who asks, alone."""
    async with running(python, folder, "bot.py") as program:
        url = await program.line("ws://")
        await has_come(url, "bot")
        async with (
            omnisonic.connect(url, room="jam", name="Ada", member_id="ada") as ada,
            omnisonic.connect(url, room="jam", name="Bo", member_id="bo") as bo,
        ):
            await hears(ada, "Welcome, Ada.")
            await hears(ada, "Welcome, Bo.")
            await bo.say("chat", {"text": "!who"})
            await hears(bo, "Here are Bot, Ada, Bo.")
            await hears(ada, "!who")
            await bo.say("chat", {"text": "Thank you."})
            assert (await next_of(ada, "chat")).payload == {"text": "Thank you."}, (
                "an answer to one was heard by another"
            )


async def metronome(python: Path, folder: Path) -> None:
    """Only whose turn it is may play; a tempo that is none crashes the room, and the beat goes on where it was."""
    async with running(python, folder, "metronome.py") as program:
        url = await program.line("ws://")
        async with (
            omnisonic.connect(url, room="jam", name="Ada", member_id="ada") as ada,
            omnisonic.connect(url, room="jam", name="Bo", member_id="bo") as bo,
        ):
            beat = (await next_of(ada, "beat")).payload
            assert beat == {"beat": 1, "player": "ada"}
            await ada.ask("note", "A")
            with pytest.raises(omnisonic.NotTaken, match="somebody else's turn") as refused:
                await bo.ask("note", "B")
            assert refused.value.code == "not_your_turn"
            await ada.say("tempo", {"bpm": 1200})
            beats = [(await next_of(bo, "beat")).payload for _ in range(8)]
            assert [beat["player"] for beat in beats].count("bo") >= 3
    # A crash is on standard error with its traceback, so it has a run of its own.
    async with running(python, folder, "-W", "ignore", "-c", CRASHED) as program:
        assert await program.line("beats") == "beats ['ada'] True"


CRASHED: Final = """
import logging, trio, omnisonic
logging.disable()
source = open("metronome.py").read().partition("async def main")[0]
scope = {"__name__": "printed"}
exec(compile(source, "metronome.py", "exec", dont_inherit=True), scope)

async def first(room, count):
    for _ in range(count):
        yield await anext(room)

async def main():
    async with omnisonic.open_gateway(room_class=scope["Metronome"]) as gateway:
        async with omnisonic.connect(gateway.url, room="jam", name="Ada", member_id="ada") as ada:
            before = (await anext(ada)).payload["beat"]
            await ada.say("tempo", "fast")
            after = [message async for message in first(ada, 2)]
            assert after[0].payload["code"] == "room_crashed", after
            after = after[1].payload["beat"]
            print("beats", [member.member_id for member in ada.members], after == before + 1, flush=True)
            await trio.sleep_forever()

try:
    trio.run(main)
except* KeyboardInterrupt:
    pass
"""


async def tictactoe(python: Path, folder: Path) -> None:
    """Two players move in turn; the program is stopped in the middle and started again, and somebody wins."""
    async with running(python, folder, "tictactoe.py") as program:
        url = await program.line("ws://")
        async with (
            omnisonic.connect(url, room="a/b", name="Ada", member_id="ada") as ada,
            omnisonic.connect(url, room="a/b", name="Bo", member_id="bo") as bo,
        ):
            await ada.ask("move", 0)
            for mover, cell, code in ((ada, 1, "not_your_turn"), (bo, 0, "not_free"), (bo, "x", "not_free")):
                with pytest.raises(omnisonic.NotTaken) as refused:
                    await mover.ask("move", cell)
                assert refused.value.code == code
            await bo.ask("move", 3)
    async with running(python, folder, "tictactoe.py") as program:
        url = await program.line("ws://")
        async with (
            omnisonic.connect(url, room="a/b", name="Bo", member_id="bo") as bo,
            omnisonic.connect(url, room="a/b", name="Ada", member_id="ada") as ada,
        ):
            assert (await next_of(bo, "board")).payload["cells"][:4] == ["X", "", "", "O"]
            for mover, cell in ((ada, 1), (bo, 4), (ada, 2)):
                await mover.ask("move", cell)
            boards = [(await next_of(bo, "board")).payload for _ in range(4)]
            assert boards[-1]["winner"] == "ada"


async def door(python: Path, folder: Path) -> None:
    """Who has a ticket is who the database says; nobody else gets in."""
    async with running(python, folder, "door.py") as program:
        url = await program.line("ws://")
        async with omnisonic.connect(url, room="jam", name="Mallory", ticket="green") as ada:
            assert ada.member_id == "ada"
            assert {member.display_name for member in ada.members} <= {"Ada Lovelace", "Bo Diddley"}
            for reported in ({}, {"ticket": "red"}):
                with pytest.raises(omnisonic.EntryRefused) as refused:
                    async with omnisonic.connect(url, room="jam", name="Eve", **reported):  # type: ignore[arg-type]
                        pass
                assert (refused.value.status, refused.value.code) == (403, "not_invited")
            assert "Ada Lovelace" in await program.line("presence.join")


async def site(python: Path, folder: Path) -> None:
    """The site knows who is in the rooms, and says something there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with (
        running(python, folder, "site.py", PORT=str(port)) as program,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web,
    ):
        await program.line("Running on")
        seen = (await web.get("/")).json()
        assert seen["rooms"] == {}
        assert (await web.post("/rooms/jam/cue", json={"bar": 1})).json()["code"] == "room_empty"
        origin = {"Origin": f"http://127.0.0.1:{port}"}
        async with omnisonic.connect(seen["connect"], room="jam", name="Ada", headers=origin) as ada:
            assert (await web.get("/")).json()["rooms"] == {"jam": ["Ada"]}
            assert (await web.post("/rooms/jam/cue", json={"bar": 17})).status_code == 202
            cue = await next_of(ada, "cue")
            assert (cue.payload, cue.sender) == ({"bar": 17}, None)


async def fixture(python: Path, folder: Path) -> None:
    """The test with the fixture passes."""
    async with patient_for(2 * START_S):
        done = await trio.run_process(
            [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "omnisonic.testing", "test_bot.py"],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin"},
            capture_stdout=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout.decode()
    assert b"1 passed" in done.stdout


async def house(python: Path, folder: Path) -> None:
    """The studio's gateway runs it from the folder that it is in, and says so; the fourth chat in a row is refused."""
    command = ("-m", "omnisonic", "gateway", "--rooms", "house:House")
    async with running(python, folder, *command, GATEWAY_PORT="0", OTEL_SDK_DISABLED="true") as program:
        assert (await program.line("INFO")).endswith("gateway.rooms room_class=house:House")
        url = await program.line("ws://")
        async with (
            omnisonic.connect(url, room="jam", name="Ada", member_id="ada") as ada,
            omnisonic.connect(url, room="jam", name="Bo", member_id="bo") as bo,
        ):
            await ada.set_state("cue", 17)
            for text in ("One", "Two", "Three"):
                await ada.ask("chat", {"text": text})
            with pytest.raises(omnisonic.NotTaken) as refused:
                await ada.ask("chat", {"text": "Four"})
            assert refused.value.code == "wait_your_turn"
            await bo.ask("chat", {"text": "Me, too."})
            await ada.ask("chat", {"text": "Four"})
            await hears(bo, "Four")
            assert bo.state["cue"] == 17


async def watched(python: Path, folder: Path) -> None:
    """The operator's command lists its room, and its metrics can be read."""
    token = secrets.token_urlsafe(32)
    async with running(python, folder, "watched.py", ADMIN_TOKEN=token) as program:
        url = await program.line("ws://")
        async with omnisonic.connect(url, room="jam", name="Ada", member_id="ada"):
            command = [str(python), "-m", "omnisonic", "rooms", "ls", "--gateway", url]
            async with patient_for(START_S):
                listed = await trio.run_process(
                    command, cwd=folder, env={"PATH": "/usr/bin:/bin", "ADMIN_TOKEN": token}, capture_stdout=True
                )
            assert re.search(r"^jam\b", listed.stdout.decode(), re.MULTILINE)
            async with httpx.AsyncClient(verify=NO_TLS) as web:
                page = (await web.get(f"http{url.removeprefix('ws')}/metrics")).text
            assert "\nomnisonic_members 1.0\n" in page


async def reminder(python: Path, folder: Path) -> None:
    """It says what it was asked to, when it is time, and passes over what it does not understand."""
    async with omnisonic.open_gateway() as gateway, running(python, folder, "reminder.py", gateway.url, "jam"):
        await has_come(gateway.url, "reminder")
        async with omnisonic.connect(gateway.url, room="jam", name="Ada", member_id="ada") as ada:
            for text in ("!in a minute", "!in", "!in 1 Back to work.", "!in 0 Now."):
                await ada.say("chat", {"text": text})
            await hears(ada, "Now.")
            await hears(ada, "Back to work.")


Act = Callable[[Path, Path], Awaitable[Any]]
ACTS: Final[dict[str, Act]] = {
    "talk.py": talk,
    "bot.py": bot,
    "metronome.py": metronome,
    "tictactoe.py": tictactoe,
    "door.py": door,
    "site.py": site,
    "reminder.py": reminder,
    "house.py": house,
    "watched.py": watched,
    "test_bot.py": fixture,
}
