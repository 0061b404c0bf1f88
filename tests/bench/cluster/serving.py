"""Servers for the benchmarks of a cluster, each until its block ends: a Valkey, gateways that share it, Socket.IO's."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.installed_once import install_once
from tests.valkey_server import ValkeyServer

START_S: Final = 30.0
SOCKETIO: Final = Path(__file__).with_name("socketio")
QUIET: Final = {
    "ROOM_ACCESS": "open",
    "MEMBER_RATE_PER_S": "0",
    "OTEL_SDK_DISABLED": "true",
    "GATEWAY_PORT": "0",
    "LOG_LEVEL": "warning",
}


class Server:
    """A process that prints its port, as the last number of its first line."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.pid = process.pid
        self.port = port
        self._process = process

    def stop(self) -> None:
        """End it in order (SIGTERM), and wait for that. Errors: RuntimeError when it does not end well."""
        self._process.terminate()
        if code := self._process.wait(START_S):
            raise RuntimeError(f"it ended with {code}")


@contextmanager
def running(command: Sequence[str | Path], **environ: str) -> Iterator[Server]:
    """Run a server until the block ends. Raises RuntimeError when it does not say where it is."""
    process = subprocess.Popen(command, env=os.environ | environ, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        is_ready, _, _ = select.select([process.stdout], [], [], START_S)
        line = process.stdout.readline().strip() if is_ready else ""
        if not line:
            raise RuntimeError(f"{command[-1]} did not start")
        yield Server(process, int(line.rpartition(":")[2].rstrip("/")))
    finally:
        process.terminate()
        process.wait(START_S)


@contextmanager
def valkey() -> Iterator[tuple[str, int]]:
    """A Valkey: its URL, and its process id."""
    server = ValkeyServer()
    server.start()
    try:
        with server.client as client:
            pid = int(client.info("server")["process_id"])
        yield server.url, pid
    finally:
        server.stop()


@contextmanager
def gateways(count: int, url: str, environ: Mapping[str, str] | None = None) -> Iterator[list[Server]]:
    """Gateways that share their rooms. With `count` 1, one with cluster off."""
    settings = QUIET | {"REDIS_URL": url} | ({"GATEWAY_CLUSTER": "on"} if count > 1 else {}) | dict(environ or {})
    with ExitStack() as stack:
        command = [sys.executable, "-m", "omnisonic", "gateway"]
        yield [stack.enter_context(running(command, **settings)) for _ in range(count)]


@contextmanager
def gateway(url: str, name: str) -> Iterator[Server]:
    """One gateway of a cluster, by this name."""
    settings = QUIET | {"REDIS_URL": url, "GATEWAY_CLUSTER": "on", "GATEWAY_ID": name}
    with running([sys.executable, "-m", "omnisonic", "gateway"], **settings) as server:
        yield server


@contextmanager
def socketio(count: int, url: str) -> Iterator[list[Server]]:
    """Servers on Socket.IO with its Redis adapter. Raises RuntimeError when the packages cannot be installed."""
    wanted = SOCKETIO / "package.json"
    install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    if trouble := install_once(SOCKETIO / "node_modules", [wanted], [install]):
        raise RuntimeError(trouble)
    with ExitStack() as stack:
        command: list[str | Path] = ["node", SOCKETIO / "server.mjs", url]
        yield [stack.enter_context(running(command, NODE_ENV="production")) for _ in range(count)]
