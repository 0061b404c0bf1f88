"""Clients of a room whose memory outlives what happens to it, and what they may rely on (SPEC 5.2, 5.4).

`Promises` has the rules by which clients act, and checks each message that they receive against what was relayed. The
clients do what docs/realtime.md says, and know nothing else. A subclass has the room.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from omnisonic.wire.frames import Frame
from tests.actors.handles import text

NAMES: Final = ("ada", "bob", "cy")
names = st.sampled_from(NAMES)


@dataclass
class Client:
    """A client as docs/realtime.md describes it. Everything in it comes from what it has received."""

    name: str
    connection: Any = None
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


class Promises(RuleBasedStateMachine):
    """Clients in one room."""

    def __init__(self) -> None:
        super().__init__()
        self.clients = {name: Client(name) for name in NAMES}
        self.truth: dict[tuple[str, int], tuple[str, str]] = {}
        """What was relayed, by epoch and offset: who said what."""
        self.lost: set[str] = set()
        """What a kill has destroyed before it was copied: it may be said again."""
        self.count = 0

    # What a subclass does

    def enter(self, client: Client) -> None:
        """Connect with what the client has received."""
        raise NotImplementedError

    def leave(self, client: Client) -> None:
        """Break the connection of this client, which has one: what is on its way is lost."""
        raise NotImplementedError

    def send(self, client: Client, frame: Frame) -> None:
        """Send a message of this client, which has a connection."""
        raise NotImplementedError

    def receive(self, client: Client) -> None:
        """Have the client `take` what has arrived."""
        raise NotImplementedError

    def settle(self) -> None:
        """Return when all that was sent is handled, and everybody has taken what came of it."""
        raise NotImplementedError

    # The clients

    def take(self, client: Client, message: dict[str, Any]) -> None:
        """Do what a message says, and check it against what was relayed."""
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
            self.check_recovered(client, payload)
        elif client.epoch:
            client.missed_since = client.epoch, client.offset
        client.epoch, client.offset = payload["epoch"], payload["offset"]
        client.state = {key: each["value"] for key, each in payload["state"].items()}
        client.transport = payload["transport"]
        client.roster = {each["memberId"]: each["connected"] for each in payload["members"]}

    def check_recovered(self, client: Client, payload: dict[str, Any]) -> None:
        assert (payload["epoch"], payload["offset"]) == (client.epoch, client.offset)

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
            self.check_skipped(client, skipped)
        said = message["payload"]
        if said not in self.lost:
            assert said not in [each for _, _, each in client.seen], f"{client.name} has {said} twice"
        client.seen.append((client.epoch, offset, said))
        client.offset = offset

    def check_skipped(self, client: Client, offset: int) -> None:
        """What a client does not receive is its own."""
        assert self.truth[client.epoch, offset][0] == client.name, f"{client.name} was not told of {offset}"

    # What clients do

    @rule(name=names)
    def connect(self, name: str) -> None:
        """Connect, again or while connected; what had no answer is sent again."""
        client = self.clients[name]
        self.receive(client)
        self.enter(client)
        self.send_again(client)

    def send_again(self, client: Client) -> None:
        """Send what had no answer."""
        for id_, said in list(client.unanswered.items()):
            self.send(client, text("note", said, id=id_))

    @rule(order=st.permutations(NAMES), count=st.integers(0, 3))
    def come_back(self, order: list[str], count: int) -> None:
        """Everybody connects, one after another, and says something before the next one does."""
        for name in order:
            self.connect(name)
            self.settle()
            if count:
                self.say(name, count, ids=True)
                self.settle()

    @rule(name=names, count=st.integers(9, 14))
    def miss(self, name: str, count: int) -> None:
        """One is away while the others say about as much as the room remembers."""
        self.settle()
        self.drop(name)
        for other in NAMES:
            if other != name and self.clients[other].connection is not None:
                self.say(other, count, ids=False)
                break
        self.settle()
        self.connect(name)

    @rule(name=names)
    def drop(self, name: str) -> None:
        """The connection breaks: what is on its way is lost."""
        client = self.clients[name]
        if client.connection is not None:
            self.leave(client)
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
            self.send(client, text("note", said, id=f"id{self.count}") if ids else text("note", said))

    @rule(name=names, key=st.sampled_from("xyz"), value=st.one_of(st.none(), st.integers(0, 9)))
    def set_state(self, name: str, key: str, value: int | None) -> None:
        """Change the shared state."""
        client = self.clients[name]
        if client.connection is not None:
            self.send(client, text("state.set", {"key": key, "value": value}))

    @rule(name=names, playing=st.booleans())
    def set_transport(self, name: str, *, playing: bool) -> None:
        """Start or stop."""
        client = self.clients[name]
        if client.connection is not None:
            self.send(client, text("transport.set", {"playing": playing}))

    @rule()
    def run(self) -> None:
        """All that was sent is handled."""
        self.settle()
