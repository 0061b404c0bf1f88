"""Two gateways and a real Valkey keep the promises of one: order, no hole that is not told, no doubles, kept state.

The rules for clients are those of the test of one gateway (`tests.actors.sync.promises`). Here gateways are stopped and
crash, and links lose what is on its way, while everybody talks. A crash ends the lease at once, as time would.
`CLUSTER_EXAMPLES` draws more.
"""

import os
from collections.abc import Callable
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from omnisonic.wire.frames import Frame
from tests.actors.sync.promises import NAMES, Client, Promises
from tests.cluster.promise_stage import Line, PromiseStage
from tests.valkey_server import ValkeyServer

EXAMPLES: Final = int(os.environ.get("CLUSTER_EXAMPLES", "4"))
STEPS: Final = 12
SETTLES_S: Final = 30.0

gateways = st.integers(0, 1)


class TwoGateways(Promises):
    """One room, whose clients are at either gateway: at the other one each time."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.stage = PromiseStage(self.url)
        self.places = {name: number % 2 for number, name in enumerate(NAMES)}
        self.degraded: set[str] = set()
        """The clients that were told that not everybody is heard."""
        self.skipped: list[tuple[str, str, int]] = []
        """What clients were not told of, and has to be their own."""
        self.copied = 0
        """The number of the last message that was copied for certain."""
        self.kept: dict[str, int] | None = None
        """The shared state, while it must stay as it is."""

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.stage.close()

    # The clients' connections

    def enter(self, client: Client) -> None:
        """A client ends its connection before it opens another, and does nothing before it is welcomed."""
        self.places[client.name] ^= 1
        self.degraded.discard(client.name)
        if client.connection is not None:
            self.stage.leave(client.connection)
        line = client.connection = self.stage.enter(client.name, self.places[client.name], client.since)
        self.wait_until(lambda: line.welcomes > 0, "a welcome")

    def leave(self, client: Client) -> None:
        self.stage.leave(client.connection)

    def send(self, client: Client, frame: Frame) -> None:
        self.stage.send(client.connection, frame)

    def receive(self, client: Client) -> None:
        line: Line | None = client.connection
        while line is not None and line.inbox:
            message = line.inbox.popleft()
            self.take(client, message)
            if message["type"] == "welcome":
                line.welcomes += 1
                self.degraded.discard(client.name)
                if line.welcomes > 1:
                    self.send_again(client)

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Let clients receive until this holds."""

        def look() -> bool:
            for client in self.clients.values():
                self.receive(client)
            return holds()

        assert self.stage.becomes(look, SETTLES_S), f"in vain: {what}"

    def settle(self) -> None:
        """Everybody says something, and once that is in the order, somebody says something more, which all hear."""
        connected = [client for client in self.clients.values() if client.connection is not None]
        for client in connected:
            self.say(client.name, 1, ids=True)
        self.wait_until(lambda: not any(client.unanswered for client in connected), "answers")
        if connected:
            self.say(connected[0].name, 1, ids=True)
            word = f"{connected[0].name} {self.count}"
            self.wait_until(
                lambda: all(
                    client.offset and (client is connected[0] or word in [said for _, _, said in client.seen])
                    for client in connected
                ),
                word,
            )
            self.wait_until(lambda: not connected[0].unanswered, "an answer")
            self.wait_until(lambda: len({repr(self.view_of(client)) for client in connected}) == 1, "one view")
            assert len(self.stage.owners()) == 1
            if self.kept is not None:
                assert connected[0].state == self.kept
            self.kept = connected[0].state
        self.stage.wait_until_copied()
        self.copied = self.count
        for name, epoch, offset in self.skipped:
            who, _ = self.truth.get((epoch, offset), (name, ""))
            assert who == name, f"{name} was not told of {epoch}:{offset}"
        self.skipped.clear()

    def view_of(self, client: Client) -> tuple[Any, ...]:
        """What all clients must agree about."""
        return client.epoch, sorted(client.state.items()), sorted(client.roster.items()), client.transport["version"]

    # What clients receive, where there are several gateways

    def check_recovered(self, client: Client, payload: dict[str, Any]) -> None:
        """The epoch may be another one, which goes on from what the client has; what is between is its own."""
        epoch, offset = payload["epoch"], payload["offset"]
        assert offset >= client.offset
        for (each, at), said in list(self.truth.items()):
            if each == client.epoch and at <= offset:
                self.truth.setdefault((epoch, at), said)
        self.skipped += [(client.name, epoch, between) for between in range(client.offset + 1, offset + 1)]

    def receive_history_gap(self, client: Client, payload: dict[str, Any]) -> None:
        """It may also come later, when another client has seen more of an epoch that has ended."""
        client.missed_since = None

    def receive_ack(self, client: Client, payload: dict[str, Any]) -> None:
        said = client.unanswered.pop(payload["id"], None)
        epoch, offset = payload.get("epoch", client.epoch), payload["offset"]
        if said is not None:
            assert self.truth.setdefault((epoch, offset), (client.name, said)) == (client.name, said)
        if epoch == client.epoch:
            client.offset = max(client.offset, offset)

    def receive_note(self, client: Client, message: dict[str, Any]) -> None:
        self.truth.setdefault((client.epoch, message["offset"]), (message["from"], message["payload"]))
        if client.name in self.degraded:
            self.lost.add(message["payload"])  # it may not count, and is said again then
        super().receive_note(client, message)

    def check_skipped(self, client: Client, offset: int) -> None:
        """Whose it was may be known later."""
        if client.name not in self.degraded:
            self.skipped.append((client.name, client.epoch, offset))

    def receive_room_degraded(self, client: Client, payload: object) -> None:
        self.degraded.add(client.name)

    def receive_room_restored(self, client: Client, payload: object) -> None:
        self.degraded.discard(client.name)

    def set_state(self, name: str, key: str, value: int | None) -> None:
        self.kept = None
        super().set_state(name, key, value)

    # What happens

    @rule(gateway=gateways)
    def drain(self, gateway: int) -> None:
        """SIGTERM: its clients are told to connect elsewhere; another one starts."""
        self.stage.replace(gateway)
        self.end_connections(gateway)

    @rule(gateway=gateways)
    def crash(self, gateway: int) -> None:
        """kill -9: what was not copied is gone, and clients have what was sent to them, or not; another one starts."""
        self.lost |= {f"{name} {number}" for name in NAMES for number in range(self.copied + 1, self.count + 1)}
        self.stage.crash(gateway)
        self.end_connections(gateway)

    @rule(gateway=gateways)
    def lose_packets(self, gateway: int) -> None:
        """Nothing passes between this gateway and the others for a moment."""
        self.stage.lose_packets(gateway)

    def end_connections(self, gateway: int) -> None:
        """The connections to this gateway have ended."""
        for client in self.clients.values():
            if client.connection is not None and self.places[client.name] == gateway:
                self.receive(client)
                client.connection = None


@pytest.mark.timing
def test_two_gateways_keep_the_promises(valkey: ValkeyServer) -> None:
    """Whatever happens to them, one at a time."""
    TwoGateways.url = valkey.url
    run_state_machine_as_test(
        TwoGateways,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),  # the rest would take hours, because time is real
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
