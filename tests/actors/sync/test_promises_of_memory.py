"""Whatever happens to a room, its clients see one order, each message once, without a hole that they are not told of.

A state machine draws any interleaving of connects, drops, messages, changes of the shared state, crashes of the room,
forgotten rooms, graceful restarts and kills (SPEC 5.2, 5.4). The clients do what docs/realtime.md says, and know
nothing else. The room, its memory and its records are the real ones; time and sockets are the test's.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.batch import RelayPrefixes
from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import Expire, Join, Leave
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.runtime.dead_letters import DeadLetter
from omnisonic.actors.runtime.telemetry import TurnTracer
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from omnisonic.wire.recovery import parse_position
from tests.actors.handles import Clock, FakeConnection, member, sent, text
from tests.actors.room_stage import Poisoned
from tests.actors.sync.test_room_records import Saved

LIMITS: Final = HistoryLimits(messages=12, total_bytes=100_000)
GRACE_S: Final = 15.0
NAMES: Final = ("ada", "bob", "cy")
OBSERVER: Final = "observer"
"""Sees everything that is relayed."""
names = st.sampled_from(NAMES)


@dataclass
class Client:
    """A client as docs/realtime.md describes it. Everything in it comes from what it has received."""

    name: str
    connection: FakeConnection | None = None
    epoch: str = ""
    offset: int = 0
    seen: list[tuple[str, int, str]] = field(default_factory=list)
    unanswered: dict[str, str] = field(default_factory=dict)
    state: dict[str, int] = field(default_factory=dict)
    roster: dict[str, bool] = field(default_factory=dict)
    transport: dict[str, Any] = field(default_factory=dict)
    missed_since: tuple[str, int] | None = None
    """Where the client was, when a welcome said that not everything follows: the next message must say what is lost."""

    @property
    def since(self) -> str | None:
        return f"{self.epoch}:{self.offset}" if self.epoch else None


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

    def on_crash(self, actor: RoomActor, crash: Exception, letter: DeadLetter) -> None:
        self.has_crashed = True


class Rooms(RuleBasedStateMachine):
    """One room, its clients, and the store that outlives the gateway."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = InProcessRoomMemory()
        self.clients = {name: Client(name) for name in NAMES}
        self.truth: dict[tuple[str, int], tuple[str, str]] = {}
        """What was relayed, by epoch and offset: who said what."""
        self.lost: set[str] = set()
        """What a kill has destroyed before it was copied: it may be said again."""
        self.runs = self.count = 0
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
        self.run_room()

    def run_room(self) -> None:
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

    # The clients

    def receive(self, client: Client) -> None:
        """Do what the messages say, and check each against what was relayed."""
        if client.connection is None:
            return
        for message in client.connection.received():
            type_, payload = message["type"], message["payload"]
            assert client.missed_since is None or type_ == "history.gap"
            if type_ == "note":
                self.receive_note(client, message)
            elif type_.startswith("presence."):
                client.roster.pop(payload["memberId"], None)
                if type_ != "presence.leave":
                    client.roster[payload["memberId"]] = payload["connected"]
            else:
                getattr(self, "receive_" + type_.replace(".", "_"))(client, payload)

    def receive_welcome(self, client: Client, payload: dict[str, Any]) -> None:
        if client.epoch and payload["recovered"]:
            assert (payload["epoch"], payload["offset"]) == (client.epoch, client.offset)
        elif client.epoch:
            client.missed_since = client.epoch, client.offset
        client.epoch, client.offset = payload["epoch"], payload["offset"]
        client.state = {key: each["value"] for key, each in payload["state"].items()}
        client.transport = payload["transport"]
        client.roster = {each["memberId"]: each["connected"] for each in payload["members"]}

    def receive_history_gap(self, client: Client, payload: dict[str, Any]) -> None:
        assert client.missed_since is not None
        epoch, offset = client.missed_since
        client.missed_since = None
        assert payload["epoch"] == epoch
        assert payload["from"] > offset
        for between in range(offset + 1, payload["from"]):  # is not lost, so it follows
            assert between > client.offset
        if payload["lost"] is not None:
            assert (payload["to"], payload["lost"]) == (client.offset, client.offset - offset)

    def receive_ack(self, client: Client, payload: dict[str, Any]) -> None:
        said = client.unanswered.pop(payload["id"], None)
        if said is not None:
            assert self.truth[client.epoch, payload["offset"]] == (client.name, said)
        client.offset = max(client.offset, payload["offset"])

    def receive_state_changed(self, client: Client, payload: dict[str, Any]) -> None:
        client.state.pop(payload["key"], None)
        if payload["value"] is not None:
            client.state[payload["key"]] = payload["value"]

    def receive_transport_state(self, client: Client, payload: dict[str, Any]) -> None:
        client.transport = payload

    def receive_error(self, client: Client, payload: dict[str, Any]) -> None:
        del client
        assert payload["code"] == "room_crashed"

    def receive_note(self, client: Client, message: dict[str, Any]) -> None:
        offset = message["offset"]
        assert self.truth[client.epoch, offset] == (message["from"], message["payload"])
        assert offset > client.offset
        for skipped in range(client.offset + 1, offset):
            assert self.truth[client.epoch, skipped][0] == client.name, f"{client.name} was not told of {skipped}"
        said = message["payload"]
        if said not in self.lost:
            assert said not in [each for _, _, each in client.seen], f"{client.name} has {said} twice"
        client.seen.append((client.epoch, offset, said))
        client.offset = offset

    # What happens

    @rule(name=names)
    def connect(self, name: str) -> None:
        """Connect, again or while connected; what had no answer is sent again."""
        client = self.clients[name]
        self.receive(client)
        client.connection = FakeConnection(name)
        since = None if client.since is None else parse_position(client.since)
        self.actor.tell(Join(client.connection, member(name), since=since))
        for id_, said in list(client.unanswered.items()):
            self.actor.offer(sent(client.connection, text("note", said, id=id_)))

    @rule(order=st.permutations(NAMES), count=st.integers(0, 3))
    def come_back(self, order: list[str], count: int) -> None:
        """Everybody connects, one after another, and says something before the next one does."""
        for name in order:
            self.connect(name)
            self.run_room()
            if count:
                self.say(name, count, ids=True)
                self.run_room()

    @rule(name=names, count=st.integers(9, 14))
    def miss(self, name: str, count: int) -> None:
        """One is away while the others say about as much as the room remembers."""
        self.run_room()
        self.drop(name)
        for other in NAMES:
            if other != name and self.clients[other].connection is not None:
                self.say(other, count, ids=False)
                break
        self.run_room()
        self.connect(name)

    @rule(name=names)
    def drop(self, name: str) -> None:
        """The connection breaks: what is on its way is lost."""
        client = self.clients[name]
        if client.connection is not None:
            self.actor.tell(Leave(client.connection, "lost", is_final=False))
            client.connection = None

    @rule(name=names, count=st.integers(1, 15), ids=st.booleans())
    def say(self, name: str, count: int, *, ids: bool) -> None:
        """Say something new, with ids or without."""
        client = self.clients[name]
        if client.connection is None:
            return
        for _ in range(count):
            self.count += 1
            said = f"{name} {self.count}"
            if ids:
                client.unanswered[f"id{self.count}"] = said
            frame = text("note", said, id=f"id{self.count}") if ids else text("note", said)
            self.actor.offer(sent(client.connection, frame))

    @rule(name=names, key=st.sampled_from("xyz"), value=st.one_of(st.none(), st.integers(0, 9)))
    def set_state(self, name: str, key: str, value: int | None) -> None:
        """Change the shared state."""
        connection = self.clients[name].connection
        if connection is not None:
            self.actor.offer(sent(connection, text("state.set", {"key": key, "value": value})))

    @rule(name=names, playing=st.booleans())
    def set_transport(self, name: str, *, playing: bool) -> None:
        """Start or stop."""
        connection = self.clients[name].connection
        if connection is not None:
            self.actor.offer(sent(connection, text("transport.set", {"playing": playing})))

    @rule(name=names)
    def crash(self, name: str) -> None:
        """A message that the room cannot bear."""
        connection = self.clients[name].connection
        if connection is not None:
            self.actor.offer(sent(connection, text("poison")))

    @rule()
    def run(self) -> None:
        """The room has its turns."""
        self.run_room()

    @rule(seconds=st.sampled_from([0.3, 1.0, 20.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now_s += seconds
        self.actor.tell(Expire())
        self.run_room()

    @rule(limit=st.sampled_from([1, 300, 100_000]), answered=st.booleans())
    def copy(self, limit: int, *, answered: bool) -> None:
        """The writer copies what has changed, not always all of it; the answer may be lost."""
        self.run_room()
        self.saved.write(limit_bytes=limit, is_answered=answered)

    @rule()
    def restart_gracefully(self) -> None:
        """SIGTERM: connections are closed, everything is written and released; the next run goes on."""
        self.run_room()
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
        self.run_room()
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
        self.run_room()
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
