"""Whatever happens to a room, its clients see one order, each message once, without a hole that they are not told of.

A state machine draws any interleaving of connects, drops, messages, changes of the shared state, crashes of the room,
forgotten rooms, graceful restarts and kills (SPEC 5.2, 5.4). The clients are those of `promises.py`. The room, its
memory and its records are the real ones; time and sockets are the test's.
"""

from collections import Counter
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.batch import RelayPrefixes
from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import Expire, Join, Leave
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.rooms.roster import TAKEOVERS
from omnisonic.actors.runtime.dead_letters import DeadLetter
from omnisonic.actors.runtime.telemetry import TurnTracer
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from omnisonic.wire.closing import Closing
from omnisonic.wire.frames import Frame
from omnisonic.wire.recovery import parse_position
from tests.actors.handles import Clock, FakeConnection, member, sent, text
from tests.actors.room_stage import Poisoned
from tests.actors.sync.promises import Client, Promises, names
from tests.actors.sync.test_room_records import Saved

LIMITS: Final = HistoryLimits(messages=12, total_bytes=100_000)
GRACE_S: Final = 15.0
OBSERVER: Final = "observer"
"""Sees everything that is relayed."""


class Events:
    """The actor's events: a crash is restarted by the machine."""

    def __init__(self) -> None:
        self.has_crashed = False

    def schedule(self, actor: RoomActor) -> None:
        pass

    def on_roster_change(self, actor: RoomActor) -> None:
        pass

    def on_memory_change(self, actor: RoomActor) -> None:
        pass

    def drop(self, actor: RoomActor, closing: Closing) -> None:
        pass

    def on_crash(self, actor: RoomActor, crash: Exception, letter: DeadLetter) -> None:
        self.has_crashed = True


class Rooms(Promises):
    """One room, its clients, and the store that outlives the gateway."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.takeovers: Counter[str] = Counter()
        self.store = InProcessRoomMemory()
        self.runs = 0
        self.start_room()

    # The gateway

    def start_room(self) -> None:
        """Make the room, from its record if there is one."""
        self.runs += 1
        self.saved = Saved(RoomMemory(f"epoch{self.runs}", LIMITS), self.store, owner=f"run{self.runs}")
        memory, self.events = self.saved.memory, Events()
        for parent in memory.parents[:1]:
            for (epoch, offset), said in list(self.truth.items()):
                if epoch == parent.epoch and offset <= parent.offset:
                    self.truth[memory.epoch, offset] = said
        context = RoomContext("jam", memory, 60, 0, self.clock, lambda: 17, RelayPrefixes(), GRACE_S)
        self.actor = RoomActor(context, Poisoned, self.events, TurnTracer())
        self.observer = FakeConnection(OBSERVER)
        self.actor.tell(Join(self.observer, member(OBSERVER)))
        self.settle()

    def settle(self) -> None:
        """Turns, and restarts, until there is no mail."""
        while self.actor.mailbox or not self.actor.is_alive:
            while self.actor.run_turn():
                pass
            for message in self.observer.received():
                if message["type"] == "note":
                    place = self.actor.epoch, message["offset"]
                    assert place not in self.truth
                    self.truth[place] = message["from"], message["payload"]
            if self.events.has_crashed:
                self.events.has_crashed = False
                self.actor.window.__init__()  # type: ignore[misc]
                self.actor.restart()
        for client in self.clients.values():
            self.receive(client)

    def end_connections(self) -> None:
        """The process is gone."""
        for client in self.clients.values():
            client.connection = None

    # The clients' connections

    def receive(self, client: Client) -> None:
        if client.connection is not None:
            for message in client.connection.received():
                self.take(client, message)

    def enter(self, client: Client) -> None:
        """Who has taken the seat over so often that it would be contested ends the old connection first."""
        if client.connection is not None:
            self.takeovers[client.name] += 1
            if self.takeovers[client.name] >= TAKEOVERS:
                self.leave(client)
        client.connection = FakeConnection(client.name)
        since = None if client.since is None else parse_position(client.since)
        self.actor.tell(Join(client.connection, member(client.name), since=since))

    def leave(self, client: Client) -> None:
        self.actor.tell(Leave(client.connection, "lost", is_final=False))

    def send(self, client: Client, frame: Frame) -> None:
        self.actor.offer(sent(client.connection, frame))

    # What happens

    @rule(name=names)
    def crash(self, name: str) -> None:
        """A message that the room cannot bear."""
        connection = self.clients[name].connection
        if connection is not None:
            self.actor.offer(sent(connection, text("poison")))

    @rule(seconds=st.sampled_from([0.3, 1.0, 20.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now_s += seconds
        self.actor.tell(Expire())
        self.settle()

    @rule(limit=st.sampled_from([1, 300, 100_000]), answered=st.booleans())
    def copy(self, limit: int, *, answered: bool) -> None:
        """The writer copies what has changed, not always all of it; the answer may be lost."""
        self.settle()
        self.saved.write(limit_bytes=limit, is_answered=answered)

    @rule()
    def restart_gracefully(self) -> None:
        """SIGTERM: connections are closed, everything is written and released; the next run goes on."""
        self.settle()
        self.end_connections()
        while self.saved.write(is_release=True) or not self.saved.copy.is_complete:
            pass
        self.start_room()

    @precondition(lambda self: len(self.actor.entries) == 1 and not self.actor.mailbox)
    @rule()
    def forget(self) -> None:
        """The room was empty for a minute; it is released, and made anew when somebody comes."""
        self.restart_gracefully()

    @rule()
    def kill(self) -> None:
        """kill -9: what was not copied is gone, and clients have what was sent to them, or not."""
        epoch = self.actor.epoch
        self.settle()
        self.end_connections()
        self.start_room()
        kept = self.actor.memory.parents[0] if self.actor.memory.parents else None
        copied = kept.offset if kept is not None and kept.epoch == epoch else 0
        self.lost |= {said for (each, offset), (_, said) in self.truth.items() if each == epoch and offset > copied}

    @invariant()
    def everyone_agrees_when_nothing_is_on_its_way(self) -> None:
        """State, transport and roster of every client are the room's."""
        if self.actor.mailbox:
            return
        self.settle()
        memory = self.actor.memory
        state = {key: int(each.value) for key, each in memory.shared_state.items()}
        roster = {entry.member.member_id: entry.member.connected for entry in self.actor.entries}
        said = [each for (epoch, _), (_, each) in self.truth.items() if epoch == self.actor.epoch]
        assert len(set(said) - self.lost) == len([each for each in said if each not in self.lost])
        for client in self.clients.values():
            if client.connection is not None:
                assert client.state == state
                assert client.roster == roster
                assert client.transport["version"] == memory.transport.version
                assert client.missed_since is None
                assert client.epoch == memory.epoch
                for missing in range(client.offset + 1, memory.history.last + 1):
                    assert self.truth[memory.epoch, missing][0] == client.name, f"{client.name} has no {missing}"


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=250, stateful_step_count=40)
