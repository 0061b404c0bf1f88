"""A real cluster: three Valkey servers that share the keys, and one that follows the first and can take its place.

Everything here blocks. To use the fixtures, import `valkey_cluster_processes`, `valkey_cluster` and `failing_cluster`
into a conftest.py. One cluster serves the whole test session, because it takes two seconds until its servers believe in
each other.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.ports import unused_port
from tests.valkey_server import START_TIMEOUT_S, ValkeyServer

PRIMARIES: Final = 3
_POLL_S: Final = 0.02


class ValkeyCluster:
    """Three primaries, each with a third of the slots, and a replica of the one that has the first third."""

    def __init__(self, folder: Path) -> None:
        self._links = [unused_port() for _ in range(PRIMARIES + 1)]
        self.servers = [cluster_server(folder / str(number), link) for number, link in enumerate(self._links)]
        """All of them. Which two share the first third: `first` and `spare`."""
        self._primaries = self.servers[:PRIMARIES]

    @property
    def url(self) -> str:
        """How a client finds it, by any of its servers."""
        places = ",".join(f"127.0.0.1:{server.port}" for server in self.servers)
        return f"redis://{places}"

    @property
    def first(self) -> ValkeyServer:
        """The primary that has a replica."""
        return self._sharing("master")

    @property
    def spare(self) -> ValkeyServer:
        """The replica."""
        return self._sharing("slave")

    def start(self) -> None:
        """Start it, empty; every server agrees with the others when this returns."""
        for server in self.servers:
            server.start()
        share = REDIS_CLUSTER_HASH_SLOTS // PRIMARIES
        for number, server in enumerate(self.servers[:PRIMARIES]):
            last = REDIS_CLUSTER_HASH_SLOTS - 1 if number == PRIMARIES - 1 else (number + 1) * share - 1
            _ask(server, "CLUSTER SET-CONFIG-EPOCH", number + 1)
            _ask(server, "CLUSTER ADDSLOTSRANGE", number * share, last)
        for server in self.servers[1:]:
            _ask(server, "CLUSTER MEET", "127.0.0.1", self.servers[0].port, self._links[0])
        first = _ask(self.servers[0], "CLUSTER MYID").decode()
        _wait(lambda: first in [node["node_id"] for node in _nodes(self.servers[-1])], "the servers to meet")
        _ask(self.servers[-1], "CLUSTER REPLICATE", first)
        self.mend()

    def mend(self) -> None:
        """Let every server run and follow the cluster again, and empty it."""
        for server in self.servers:
            server.resume()
            server.start()
        _wait(self._is_well, "the cluster to be well")
        self._primaries = [server for server in self.servers if _role(server) == "master"]
        self.flush()

    def flush(self) -> None:
        """Empty it; its primaries must be those that they were when it was mended last."""
        for server in self._primaries:
            server.flush()

    def kill(self) -> None:
        """End every server."""
        for server in self.servers:
            server.kill()

    def primaries_of(self, keys: Sequence[str]) -> dict[str, ValkeyServer]:
        """Which server has each of `keys`."""
        by_port = {server.port: server for server in self.servers}
        ranges = [
            (int(first), int(last), by_port[int(place.rpartition(":")[2])])
            for place, node in _ask(self.servers[1], "CLUSTER NODES").items()
            for first, last in node["slots"]
        ]
        slots = {key: key_slot(key.encode()) for key in keys}
        return {key: server for key, slot in slots.items() for first, last, server in ranges if first <= slot <= last}

    def promote(self) -> None:
        """Make the spare the primary, without asking anybody; the one before may be dead."""
        spare = self.spare
        _ask(spare, "CLUSTER FAILOVER", "TAKEOVER")
        _wait(lambda: _role(spare) == "master", "the promotion")

    def lives_ms(self) -> dict[str, int]:
        """Every key in it with the milliseconds it has left; -1 is a key that never ends."""
        return {
            key: life_ms
            for server in self.servers
            if _role(server) == "master"
            for key, life_ms in server.lives_ms().items()
        }

    def _sharing(self, role: str) -> ValkeyServer:
        """The server with this role among the first and the last, which share slots. One that hangs is not asked."""
        for server in (self.servers[0], self.servers[-1]):
            if server.answers and _role(server) == role:
                return server
        raise LookupError(role)

    def _is_well(self) -> bool:
        roles = [_role(server) for server in self.servers]
        if sorted(roles) != ["master"] * PRIMARIES + ["slave"]:
            return False
        for server in self.servers:
            told = _ask(server, "CLUSTER INFO")
            if told["cluster_state"] != "ok" or told["cluster_known_nodes"] != str(len(self.servers)):
                return False
            if any("fail" in node["flags"] or not node["connected"] for node in _nodes(server)):
                return False
        replication = _ask(self.spare, "INFO", "replication")
        return bool(replication["master_link_status"] == "up")


def cluster_server(folder: Path, link: int) -> ValkeyServer:
    """A server in cluster mode that knows no other yet. `link` is the port of its connections with them."""
    folder.mkdir()
    of_cluster = ("--cluster-enabled", "yes", "--cluster-port", str(link), "--repl-diskless-sync-delay", "0")
    server = ValkeyServer(options=(*of_cluster, "--dir", str(folder)))
    server.port = unused_port()  # it must be free when a server that was killed starts again
    return server


def _ask(server: ValkeyServer, *words: str | int) -> Any:
    with server.client as client:
        return client.execute_command(*words)


def _nodes(server: ValkeyServer) -> list[dict[str, Any]]:
    return list(_ask(server, "CLUSTER NODES").values())


def _role(server: ValkeyServer) -> str:
    return str(_ask(server, "INFO", "replication")["role"])


def _wait(holds: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    pause = threading.Event()
    while not holds():
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"waited in vain for {what}")
        pause.wait(_POLL_S)


@pytest.fixture(scope="session")
def valkey_cluster_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """The one cluster of the test session. Tests ask for `valkey_cluster`, or for `failing_cluster` to break it."""
    cluster = ValkeyCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture
def valkey_cluster(valkey_cluster_processes: ValkeyCluster) -> ValkeyCluster:
    """A running, empty cluster."""
    valkey_cluster_processes.flush()
    return valkey_cluster_processes


@pytest.fixture
def failing_cluster(valkey_cluster: ValkeyCluster) -> Iterator[ValkeyCluster]:
    """The same; a test may kill and pause its servers and promote the spare, and the next finds it in order."""
    try:
        yield valkey_cluster
    finally:
        valkey_cluster.mend()
