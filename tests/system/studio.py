"""A whole studio as real processes, started in one of two ways, and what its visitors do with it.

`Served` is `omnisonic serve`. `Apart` is `gateway` and `web` started each by itself, on sockets that stay open, as a
service manager with socket activation does it, with a Valkey from outside. Both start a part again that has ended.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import trio
from trio_websocket import wrap_client_stream

from tests.cli.running import START_S, Command, alive, children, environ, eventually, running
from tests.clients import Bare, Client, upgrade_request
from tests.valkey_server import running_valkey

TTL_S: Final = 15
"""The shortest that there is (SPEC 2)."""
STOP_S: Final = 10.0
SETTINGS: Final = {"PRESENCE_TTL": str(TTL_S), "MEMBER_RATE_PER_S": "0"}
PARTS: Final = ("gateway", "web")
BACKLOG: Final = 128
NO_WEB: Final = 9
"""A port that nobody listens on."""


@dataclass(frozen=True)
class Visitors:
    """How the outside reaches a web and a gateway."""

    web_port: int
    gateway_port: int

    @asynccontextmanager
    async def member(self, member: str, room: str) -> AsyncIterator[Client]:
        """A member who has been welcomed; leaves in order with the block."""
        host = f"127.0.0.1:{self.gateway_port}"
        # The stream is ours, because trio-websocket leaves it open when it was the server that closed.
        async with await trio.open_tcp_stream("127.0.0.1", self.gateway_port) as stream, trio.open_nursery() as nursery:
            websocket = await wrap_client_stream(nursery, stream, host, _target(member, room))
            client = Client(websocket)
            client.welcome = await client.next("welcome")
            yield client
            await websocket.aclose()

    @asynccontextmanager
    async def band(self, *members: str, room: str) -> AsyncIterator[list[Client]]:
        """Several members, each of whom has seen the others come."""
        async with AsyncExitStack() as stack:
            clients: list[Client] = []
            for member in members:
                newcomer = await stack.enter_async_context(self.member(member, room))
                for client in clients:
                    await client.next("presence.join")
                clients.append(newcomer)
            yield clients

    @asynccontextmanager
    async def bare_member(self, member: str, room: str) -> AsyncIterator[Bare]:
        """A member as a bare stream, who has been welcomed; is gone with the block, without a word."""
        async with Bare(await trio.open_tcp_stream("127.0.0.1", self.gateway_port)) as bare:
            await bare.stream.send_all(upgrade_request(_target(member, room), self.gateway_port))
            assert (await bare.head()).startswith(b"HTTP/1.1 101")
            bare.welcome = await bare.next("welcome")
            yield bare

    async def ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """What the web answers, which must be 200. A web that is being started again is waited for."""
        async with httpx.AsyncClient(timeout=START_S) as client:
            answer = await client.request(method, f"http://127.0.0.1:{self.web_port}{path}", **request)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def roster(self, room: str) -> list[str]:
        """Who is in the room, by their ids, as REST tells it."""
        answer = await self.ask("GET", "/api/presence", params={"roomId": room})
        return [line["memberId"] for line in answer["members"]]

    async def arrive(self, member: str, room: str, **fields: object) -> None:
        """Be in the room without a socket."""
        body = {"roomId": room, "memberId": member, "displayName": member.title(), **fields}
        assert await self.ask("POST", "/api/presence", json=body) == {"ok": True}

    async def depart(self, member: str, room: str) -> None:
        """Be there no more."""
        body = {"roomId": room, "memberId": member}
        assert await self.ask("DELETE", "/api/presence", json=body) == {"ok": True}


class Studio(ABC):
    """A running studio. `visitors` is the way in from outside; the rest is what an operator can do to it. Blocking."""

    def __init__(self, web_port: int, gateway_port: int) -> None:
        self.visitors = Visitors(web_port, gateway_port)

    @abstractmethod
    def processes(self) -> list[int]:
        """Every process of it."""

    @abstractmethod
    def pid(self, part: str) -> int:
        """The process that is this part now."""

    @abstractmethod
    def end(self, part: str, how: signal.Signals) -> int:
        """Send the part a signal that ends it; its exit code, below zero for a signal. It is then started again."""

    @abstractmethod
    def stop(self) -> list[int]:
        """Stop all of it by SIGTERM, for good; the exit codes of what this test started."""


class Served(Studio):
    """`omnisonic serve`."""

    def __init__(self, command: Command) -> None:
        super().__init__(command.port("Studio"), command.port("Gateway"))
        self._command = command

    def processes(self) -> list[int]:
        return [self._command.pid, *children(self._command.pid)]

    def pid(self, part: str) -> int:
        return self._command.part(f"omnisonic {part}")

    def end(self, part: str, how: signal.Signals) -> int:
        lines, pid = self._command.lines, self.pid(part)
        seen = len(lines)
        os.kill(pid, how)
        ended = re.compile(rf"The {part} (?:ended with exit code (\d+)|was killed by (\w+))\. Starting it again\.")
        epitaph = partial(_first_match, ended, lines, seen)
        eventually(lambda: epitaph() is not None, what=f"the {part} ends")
        match = epitaph()
        assert match is not None
        code, by = match.groups()
        return -signal.Signals[by].value if by else int(code)

    def stop(self) -> list[int]:
        return [self._command.stop()]


class Apart(Studio):
    """`omnisonic gateway` and `omnisonic web`, each by itself. What they print goes to files in `folder`."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self._sockets = {part: socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) for part in PARTS}
        ports = {part: int(listener.getsockname()[1]) for part, listener in self._sockets.items()}
        super().__init__(ports["web"], ports["gateway"])
        names = {f"{part.upper()}_PORT": str(port) for part, port in ports.items()}
        self._environ = environ(REDIS_URL=redis_url, **names, **SETTINGS)
        self._folder = folder
        self._processes = {part: self._started(part) for part in PARTS}

    def _started(self, part: str) -> subprocess.Popen[bytes]:
        fd = self._sockets[part].fileno()
        with (self._folder / f"{part}.log").open("ab") as log:
            command = [sys.executable, "-m", "omnisonic", part, "--fd", str(fd)]
            return subprocess.Popen(
                command,
                env=self._environ,
                pass_fds=[fd],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def processes(self) -> list[int]:
        return [process.pid for process in self._processes.values()]

    def pid(self, part: str) -> int:
        return self._processes[part].pid

    def end(self, part: str, how: signal.Signals) -> int:
        process = self._processes[part]
        process.send_signal(how)
        code = process.wait(STOP_S)
        self._processes[part] = self._started(part)
        return code

    def stop(self) -> list[int]:
        for process in self._processes.values():
            process.terminate()
        deadline_s = time.monotonic() + STOP_S
        return [process.wait(max(0.0, deadline_s - time.monotonic())) for process in self._processes.values()]

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        for listener in self._sockets.values():
            listener.close()


@contextmanager
def running_studio(way: str, folder: Path) -> Iterator[Studio]:
    """A studio that is in service, until the block ends. `way` is `serve` or `apart`."""
    if way == "serve":
        with running("serve", OMNISONIC_DATA_DIR=str(folder / "data"), **SETTINGS) as command:
            yield Served(command)
        return
    with running_valkey(password="outside") as valkey:
        studio = Apart(valkey.url, folder)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{studio.visitors.web_port}", timeout=START_S) as client:
                assert client.get("/readyz").status_code == 200
            yield studio
        finally:
            studio.close()


def _first_match(pattern: re.Pattern[str], lines: list[str], start: int) -> re.Match[str] | None:
    return next(filter(None, map(pattern.search, lines[start:])), None)


def _target(member: str, room: str) -> str:
    return "/?" + urlencode({"roomId": room, "memberId": member, "displayName": member.title()})


def visitors_of(gateway: Command) -> Visitors:
    """The way in to a gateway that runs by itself, without a web."""
    return Visitors(NO_WEB, int(gateway.printed(r"^ws://127\.0\.0\.1:(\d+)$")[1]))


async def end(studio: Studio, part: str, how: signal.Signals) -> int:
    """`studio.end` while the visitors go on."""
    return await trio.to_thread.run_sync(studio.end, part, how)


def all_gone(pids: list[int]) -> None:
    """Wait until none of these processes runs."""
    eventually(lambda: not any(map(alive, pids)), what="no process is left", within_s=STOP_S)
