"""A room's actor: its state may crash, its mail, its members and their order may not be lost (SPEC 5.4, DESIGN 3)."""

import json
from dataclasses import dataclass, field

import msgspec
import pytest

from omnisonic.actors.rooms.actor import TURN_FRAMES, RoomActor
from omnisonic.actors.rooms.batch import Batch
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import (
    DATA_FRAMES,
    ClientMessages,
    Dismiss,
    Expire,
    ExternalMessage,
    Join,
    Leave,
    Mail,
    PutLease,
)
from omnisonic.actors.rooms.stats import OPERATOR_RESTART
from omnisonic.actors.runtime.dead_letters import DeadLetter, DeadLetters
from omnisonic.actors.runtime.telemetry import TurnTracer
from omnisonic.models import Member
from omnisonic.stores.bus.events import Reply
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import TEXT
from omnisonic.wire.messages import Envelope
from tests.actors.handles import FakeConnection, Setting, member, sent, text
from tests.actors.room_stage import Poisoned

CLOSED = Closing(CloseCode.ROOM_CLOSED)


class Fragile(Poisoned):
    """A room that cannot bear the member `eve`, either, nor that `zoe` leaves.

    It does not start where the member `mallory` is.
    """

    def __init__(self, context: RoomContext) -> None:
        super().__init__(context)
        if "mallory" in self.roster:
            raise RuntimeError("mallory")

    def handle(self, mail: Mail, batch: Batch) -> None:
        super().handle(mail, batch)
        if isinstance(mail, Join) and mail.member.member_id == "eve":
            raise RuntimeError("eve")

    def on_leave(self, member: Member, reason: str) -> None:
        if member.member_id == "zoe":
            raise RuntimeError(reason)


@dataclass
class Diary:
    """Records what an actor reports."""

    calls: list[str] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    crashes: list[Exception] = field(default_factory=list)
    dropped: list[Closing] = field(default_factory=list)

    def schedule(self, actor: RoomActor) -> None:
        self.calls.append("mail")
        actor.is_ready = True

    def on_roster_change(self, actor: RoomActor) -> None:
        self.calls.append("roster")

    def on_memory_change(self, actor: RoomActor) -> None:
        pass

    def drop(self, actor: RoomActor, closing: Closing) -> None:
        self.dropped.append(closing)

    def on_crash(self, actor: RoomActor, crash: Exception, letter: DeadLetter) -> None:
        self.letters.append(letter)
        self.crashes.append(crash)


class Stage:
    """An actor with members in its room."""

    def __init__(self, *names: str) -> None:
        self.setting, self.diary = Setting(), Diary()
        self.contexts: list[RoomContext] = []
        self.actor = RoomActor(self.setting.context(), self._make, self.diary, TurnTracer())
        self.connections = {name: FakeConnection(name) for name in names}
        for name, connection in self.connections.items():
            self.actor.tell(Join(connection, member(name)))
        self.run()
        for connection in self.connections.values():
            connection.received()
        self.diary.calls.clear()

    def _make(self, context: RoomContext) -> Fragile:
        self.contexts.append(context)
        return Fragile(context)

    def run(self) -> None:
        """Turns until there is no more mail, or the room crashed."""
        self.actor.is_ready = False
        while self.actor.run_turn():
            pass

    def say(self, name: str, *types: str) -> ClientMessages:
        """Put words of a member in the mailbox."""
        mail = sent(self.connections[name], *(text(type_) for type_ in types))
        assert self.actor.offer(mail)
        return mail

    def types(self) -> dict[str, list[str]]:
        return {name: connection.types() for name, connection in self.connections.items()}

    def present(self) -> list[str]:
        return [entry.member.member_id for entry in self.actor.entries]


@pytest.mark.parametrize("names", [("ada", "bob"), ("ada", "zoe")])
def test_a_room_ends_with_the_mail_that_ends_it(names: tuple[str, str]) -> None:
    """What was said before is heard; what waits is not handled. A crash while it ends keeps nothing of it."""
    stage = Stage(*names)
    stage.say("ada", "before")
    stage.actor.tell(Dismiss(CLOSED, ends_room=True))
    stage.actor.tell(Join(late := FakeConnection("late"), member("late")))
    stage.actor.run_turn()
    assert stage.types() == {"ada": [], names[1]: ["before"]}
    assert [connection.closing for connection in stage.connections.values()] == [CLOSED, CLOSED]
    assert (stage.present(), late.types()) == ([], [])
    assert stage.diary.dropped == [CLOSED]


def test_mail_asks_for_a_turn_once() -> None:
    """An actor that waits for its turn does not ask again."""
    stage = Stage("ada")
    stage.say("ada", "a")
    stage.say("ada", "b")
    stage.actor.tell(Expire())
    assert stage.diary.calls == ["mail"]


def test_a_crash_costs_the_poison_only() -> None:
    """Before and after it, everyone hears everything, in order, in one count of messages."""
    stage = Stage("ada", "bob", "cyd")
    stage.say("ada", "a1", "poison", "a2")
    stage.say("bob", "b1")
    stage.run()
    assert not stage.actor.is_alive
    assert stage.types() == {"ada": ["error"], "bob": ["a1"], "cyd": ["a1"]}
    stage.say("ada", "a3")
    stage.run()
    assert stage.types() == {"ada": [], "bob": [], "cyd": []}
    stage.actor.restart()
    stage.run()
    assert stage.actor.is_alive
    assert stage.connections["cyd"].received() == [
        {"type": type_, "payload": None, "from": name, "offset": offset}
        for type_, name, offset in (("a2", "ada", 2), ("b1", "bob", 3), ("a3", "ada", 4))
    ]
    assert stage.types() == {"ada": ["b1"], "bob": ["a2", "a3"], "cyd": []}
    assert all(connection.is_open for connection in stage.connections.values())


@pytest.mark.parametrize("reply_id", [7, "seven", None])
def test_the_sender_of_a_poison_is_told_with_the_id_of_the_message(reply_id: int | str | None) -> None:
    """At once, before the restart; what they said before it is acknowledged first."""
    stage = Stage("ada", "bob")
    poison = {"type": "poison"} if reply_id is None else {"type": "poison", "id": reply_id}
    frames = [(TEXT, json.dumps(each).encode()) for each in ({"type": "a1", "id": 1}, poison)]
    assert stage.actor.offer(sent(stage.connections["ada"], *frames))
    stage.run()
    assert not stage.actor.is_alive
    ack, error = stage.connections["ada"].received()
    assert (ack["type"], ack["payload"]) == ("ack", {"id": 1, "offset": 1})
    wanted = {"code": "room_crashed", "message": "The room could not take this message."}
    assert (error["type"], error["payload"]) == ("error", wanted if reply_id is None else {**wanted, "id": reply_id})
    assert stage.types()["bob"] == ["a1"]


def test_a_poison_from_outside_is_set_aside_and_whoever_said_it_is_told() -> None:
    """What waited behind it comes after the restart, in the same order and the same count; nobody says it twice."""
    stage, replies = Stage("ada", "bob"), list[Reply]()
    stage.say("ada", "a1")
    for type_ in ("cue", "poison", "cue 2"):
        stage.actor.tell(ExternalMessage(Envelope(type_, msgspec.Raw(b"[1]")), replies.append))
    stage.say("ada", "a2")
    stage.run()
    assert [(reply.offset, reply.code) for reply in replies] == [(2, ""), (0, "room_crashed")]
    (letter,) = stage.diary.letters
    assert (letter.type, letter.kind, letter.sender) == ("poison", "ExternalMessage", None)
    stage.actor.restart()
    stage.run()
    seen = [(message["type"], message["offset"]) for message in stage.connections["bob"].received()]
    assert seen == [("a1", 1), ("cue", 2), ("cue 2", 3), ("a2", 4)]
    assert replies[2:] == [Reply(3)]
    assert len(stage.diary.letters) == 1


def test_a_restarted_room_knows_who_is_there() -> None:
    """The same members by the same connections, under the same epoch, one incarnation on; nobody is told anything."""
    stage = Stage("ada", "bob")
    before = stage.actor.entries
    stage.say("ada", "poison")
    stage.run()
    stage.actor.restart()
    stage.run()
    assert stage.actor.entries == before
    assert stage.actor.incarnation == 2
    assert stage.contexts[1].memory is stage.contexts[0].memory
    assert stage.types() == {"ada": ["error"], "bob": []}


def test_the_poison_is_in_the_dead_letters() -> None:
    """Who said it, what it was, what the room raised, and when."""
    stage = Stage("ada", "bob")
    stage.say("ada", "a", "poison", "b")
    stage.run()
    (letter,) = stage.diary.letters
    assert (letter.room_id, letter.incarnation, letter.sender, letter.kind) == ("jam", 1, "ada", "ClientMessages")
    assert letter.frame == text("poison")
    assert letter.type == "poison"
    assert (letter.reason, letter.at_ms) == ("ValueError('poison')", 17)
    assert repr(stage.diary.crashes) == "[ValueError('poison')]"


def test_one_poison_after_another_costs_one_letter_each() -> None:
    """A read that holds several is taken apart, one restart at a time."""
    stage = Stage("ada", "bob")
    stage.say("ada", "poison", "a", "poison", "b")
    for _ in range(3):
        stage.run()
        if not stage.actor.is_alive:
            stage.actor.restart()
    assert stage.types()["bob"] == ["a", "b"]
    assert [letter.type for letter in stage.diary.letters] == ["poison", "poison"]
    assert stage.actor.incarnation == 3


def test_somebody_whose_join_kills_the_room_does_not_get_in() -> None:
    """Closed with 1011, and not in the roster of the next room, which would die of it again."""
    stage = Stage("ada")
    eve = FakeConnection("eve")
    stage.actor.tell(Join(eve, member("eve")))
    stage.run()
    assert eve.closing is not None
    assert eve.closing.code is CloseCode.INTERNAL_ERROR
    assert (stage.diary.letters[0].kind, stage.diary.letters[0].type) == ("Join", "Join")
    stage.actor.restart()
    stage.run()
    assert stage.present() == ["ada"]
    assert stage.actor.is_alive


def test_a_room_that_cannot_start_again_has_crashed_again() -> None:
    """Its restarter counts it as a crash like any other, and nobody is lost meanwhile."""
    stage = Stage("ada", "mallory")
    stage.say("ada", "poison")
    stage.run()
    stage.actor.restart()
    assert not stage.actor.is_alive
    assert [letter.kind for letter in stage.diary.letters] == ["ClientMessages", "Restart"]
    assert stage.present() == ["ada", "mallory"]


def test_a_room_that_an_operator_renews_keeps_its_people_and_nothing_else() -> None:
    """Another room, with the roster and the count of the old one, and nothing of what rooms leave to each other."""
    stage = Stage("ada", "bob")
    stage.say("ada", "note")
    stage.run()
    stage.actor.handoff.left = "whatever may be wrong"
    stage.actor.reset()
    assert [context.handoff.left for context in stage.contexts] == [None, None]
    assert (stage.contexts[1].memory.history.last, stage.actor.incarnation) == (1, 2)
    assert stage.present() == ["ada", "bob"]
    assert [life.reason for life in stage.actor.stats.ended_runs] == [OPERATOR_RESTART]
    stage.say("bob", "note")
    stage.run()
    assert [message["offset"] for message in stage.connections["ada"].received()] == [2]
    assert stage.diary.letters == []


def test_who_left_while_the_room_was_down_is_gone_when_it_is_back() -> None:
    """By the mail that waited, or because the connection is not open any more: no ghosts."""
    stage = Stage("ada", "bob", "cyd")
    stage.say("ada", "poison")
    stage.run()
    stage.actor.tell(Leave(stage.connections["bob"], "left"))
    stage.connections["cyd"].is_open = False
    stage.actor.restart()
    stage.run()
    assert stage.present() == ["ada"]
    left = [
        message["payload"] for message in stage.connections["ada"].received() if message["type"] == "presence.leave"
    ]
    assert left == [{"memberId": "bob", "reason": "left"}, {"memberId": "cyd", "reason": "lost"}]


def test_a_room_with_much_to_do_lets_the_others_have_a_turn() -> None:
    """A turn handles about `TURN_FRAMES` messages, then says that there is more."""
    stage = Stage("ada", "bob")
    for _ in range(5):
        stage.say("ada", *["note"] * (TURN_FRAMES // 4))
    assert stage.actor.run_turn()
    assert len(stage.connections["bob"].received()) == TURN_FRAMES
    assert not stage.actor.run_turn()
    assert len(stage.connections["bob"].received()) == TURN_FRAMES // 4


def test_a_mailbox_over_its_limit_refuses_words_and_takes_a_leave() -> None:
    """The sender can be told, and nobody becomes a ghost."""
    stage = Stage("ada", "bob")
    stage.say("ada", *["note"] * DATA_FRAMES)
    assert not stage.actor.offer(sent(stage.connections["bob"], text("note")))
    stage.actor.tell(Leave(stage.connections["bob"], "left"))
    stage.run()
    assert stage.present() == ["ada"]


def test_a_room_past_saving_closes_everyone() -> None:
    """Members, and those who were about to enter; its mail is dropped, and it never has a turn again."""
    stage = Stage("ada", "bob")
    stage.say("ada", "poison", "a")
    stage.run()
    waiting = FakeConnection("cyd")
    stage.actor.tell(Join(waiting, member("cyd")))
    stage.actor.close(Closing(CloseCode.INTERNAL_ERROR))
    connections = [*stage.connections.values(), waiting]
    assert [connection.closing and connection.closing.code for connection in connections] == [
        CloseCode.INTERNAL_ERROR
    ] * 3
    assert stage.actor.entries == ()
    assert not stage.actor.mailbox
    assert not stage.actor.run_turn()


def test_who_is_told_to_go_gets_their_last_words_first() -> None:
    """What a replaced member was due in the turn they were replaced in is pushed before the close."""
    stage = Stage("ada", "bob")
    stage.say("bob", "goodbye")
    stage.actor.tell(Join(FakeConnection("ada again"), member("ada")))
    stage.run()
    assert stage.connections["ada"].types() == ["goodbye"]
    assert stage.connections["ada"].closing == Closing(CloseCode.REPLACED)


def test_a_cell_knows_since_when_it_is_empty() -> None:
    """From the start, not while somebody is there, and again when the last one left."""
    stage = Stage()
    assert stage.actor.empty_since_s == 100.0
    ada = FakeConnection("ada")
    stage.actor.tell(Join(ada, member("ada")))
    stage.run()
    assert stage.actor.empty_since_s is None
    stage.setting.clock.now_s = 130.0
    stage.actor.tell(Leave(ada, "left"))
    stage.run()
    assert stage.actor.empty_since_s == 130.0
    assert stage.diary.calls.count("roster") == 2


def test_a_cell_knows_when_the_next_lease_runs_out() -> None:
    """So that whoever sweeps need not ask the room."""
    stage = Stage("ada")
    stage.actor.tell(PutLease(member("eve"), 160.0))
    stage.run()
    assert stage.actor.next_expiry_s == 160.0
    assert stage.present() == ["ada", "eve"]


def test_a_cell_counts_messages_and_deliveries() -> None:
    """Three listeners, two messages: six deliveries."""
    stage = Stage("ada", "bob", "cyd", "dan")
    joins = stage.actor.messages
    stage.say("ada", "a", "b")
    stage.run()
    assert (stage.actor.messages - joins, stage.actor.deliveries, stage.actor.offset) == (2, 6, 2)


@pytest.mark.parametrize("text", [b"nonsense", b'{"type":"\xff"}', b"[" * 5000])
def test_a_dead_letter_that_is_no_message_is_known_by_its_kind(text: bytes) -> None:
    """Not JSON, not UTF-8, or nested too deep."""
    assert DeadLetter("jam", 1, "ada", "ClientMessages", (TEXT, text), "", 0).type == "ClientMessages"


def test_dead_letters_are_a_ring() -> None:
    """The newest push out the oldest; the total goes on."""
    letters = DeadLetters(most=2)
    for number in range(3):
        letters.add(DeadLetter("jam" if number else "other", number, "ada", "ClientMessages", (1, b"nonsense"), "", 0))
    assert [letter.incarnation for letter in letters] == [1, 2]
    assert (len(letters), letters.total, len(letters.of("jam")), letters.of("other")) == (2, 3, 2, [])
