"""Two gateways whose clocks are a minute apart, at a Valkey with a replica, and members who talk in one room.

Each gateway reaches the servers through proxies of its own, so that it alone can be cut off.
"""

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from typing import Any, Final

import trio

from tests.cli.running import Command
from tests.cluster.ownership import events_in
from tests.cluster.witnesses import Record, Witness
from tests.system.visitors import NO_WEB, Visitors
from tests.tcp_proxy import TcpProxy, open_tcp_proxy
from tests.valkey_server import ValkeyServer

ROOM: Final = "jam"
SKEWS_S: Final = (0, 60)
MEMBERS: Final = 2
"""At each gateway."""
SAY_S: Final = 0.1
SETTLES_S: Final = 60.0
LOOK_S: Final = 0.02
QUICK: Final = ("--repl-diskless-sync-delay", "0")
"""A replica gets its first copy at once."""
SETTINGS: Final = {
    "GATEWAY_CLUSTER": "on",
    "ROOM_ACCESS": "open",
    "MEMBER_RATE_PER_S": "0",
    "LOG_LEVEL": "debug",
    "LOG_FORMAT": "json",
}


class Node:
    """One gateway, which may be started again, and the members at it."""

    def __init__(self, number: int, ways: list[TcpProxy]) -> None:
        self.ways = ways
        self.witnesses: list[Witness] = []
        self.is_ended = False
        """It was ended on purpose: that its connections end is no fault."""
        self._number = number
        self._lines: list[str] = []
        self._command: Command | None = None

    @property
    def command(self) -> Command:
        assert self._command is not None
        return self._command

    def start(self) -> None:
        """Start it, with the clock that it has."""
        places = ",".join(f"127.0.0.1:{way.port}" for way in self.ways)
        settings = {"REDIS_URL": f"redis://{places}", "GATEWAY_ID": f"g{self._number}"}
        program = (sys.executable, "-m", "tests.bench.cluster.skewed", str(SKEWS_S[self._number]))
        self._command = Command(("gateway",), SETTINGS | settings, program)
        port = int(self._command.printed(r'"url": "ws://127\.0\.0\.1:(\d+)')[1])
        self.visitors = Visitors(NO_WEB, port)
        self.is_ended = False

    def end(self, how: Callable[[Command], object]) -> None:
        """End it, and keep its log."""
        self.is_ended = True
        how(self.command)
        self.command.kill()
        self._lines += self.command.lines

    def kill(self) -> None:
        """Leave nothing behind."""
        self.command.kill()

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """What it has logged of its rooms."""
        return events_in([*self._lines, *([] if self.is_ended else self.command.lines)])

    @property
    def owns(self) -> bool:
        """Whether the room was its own, by the last that it said."""
        said = [each["event"] for each in self.events if each.get("room") == ROOM]
        return not self.is_ended and said[-1:] == ["room.owned"]


class Scene:
    """All of it. `servers`: the primary, and the replica."""

    def __init__(self, nursery: trio.Nursery, servers: list[tuple[ValkeyServer, list[str]]], nodes: list[Node]) -> None:
        self.servers = servers
        self.nodes = nodes
        self.record = Record()
        self.witnesses: list[Witness] = []
        """All that there ever were."""
        self.dropped = 0
        """Connections that ended although their gateway did not."""
        self._nursery = nursery

    @property
    def primary(self) -> ValkeyServer:
        return self.servers[0][0]

    @property
    def present(self) -> list[Witness]:
        """Those who are connected."""
        return [witness for node in self.nodes for witness in node.witnesses]

    async def owner(self) -> Node:
        """The gateway that owns the room, once there is one."""
        with trio.fail_after(SETTLES_S):
            while not (owners := [node for node in self.nodes if node.owns]):  # noqa: ASYNC110 - a log has no event
                await trio.sleep(LOOK_S)
        return owners[0]

    def other(self, node: Node) -> Node:
        """The other gateway."""
        return self.nodes[1 - self.nodes.index(node)]

    async def enter(self, node: Node) -> None:
        """Let members enter there."""
        for _ in range(MEMBERS):
            await self._nursery.start(self._live, node)

    async def _live(self, node: Node, task_status: trio.TaskStatus[None]) -> None:
        name = f"w{len(self.witnesses)}-"
        async with node.visitors.bare_member(name, ROOM) as member:
            witness = Witness(name, member, self.record)
            self.witnesses.append(witness)
            node.witnesses.append(witness)
            task_status.started()
            with suppress(EOFError, AssertionError, trio.BrokenResourceError, ExceptionGroup):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(witness.talk, SAY_S)
                    await witness.listen()
            node.witnesses.remove(witness)
            self.dropped += not node.is_ended


@asynccontextmanager
async def open_scene() -> AsyncIterator[Scene]:
    """A scene with its members in the room, until the block ends."""
    with ExitStack() as ending:
        servers: list[tuple[ValkeyServer, list[str]]] = []
        for _ in range(2):
            options = [*QUICK]
            server = ValkeyServer(options=options)
            server.start()
            ending.callback(server.kill)
            servers.append((server, options))
        follow(*servers)
        ports = [server.port for server, _ in servers]
        async with AsyncExitStack() as stack:
            ways = [await stack.enter_async_context(open_tcp_proxy(port)) for port in (*ports, *ports)]
            async with trio.open_nursery() as nursery:
                nodes = [Node(number, ways[2 * number : 2 * number + 2]) for number in range(2)]
                scene = Scene(nursery, servers, nodes)
                for node in nodes:
                    await trio.to_thread.run_sync(node.start)
                    ending.callback(Node.kill, node)
                    await scene.enter(node)
                yield scene
                for node in nodes:
                    await trio.to_thread.run_sync(node.end, Command.stop)
                nursery.cancel_scope.cancel()


def follow(primary: tuple[ValkeyServer, list[str]], replica: tuple[ValkeyServer, list[str]]) -> None:
    """Let `replica` follow `primary`, also when it starts again."""
    replica[1][:] = [*QUICK, "--replicaof", "127.0.0.1", str(primary[0].port)]
    with replica[0].client as client:
        client.replicaof("127.0.0.1", str(primary[0].port))
