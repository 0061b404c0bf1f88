"""Hosting: an author's room inside a room of the gateway's. It calls the hooks, and does what they say (SPEC 8).

`HostedRoom` is the room that the cell knows. All hooks run in its turn. What a hook says waits until what the hook was
called for is written down, so that an answer comes behind its question; of a hook that raises nothing goes out. What is
said outside of hooks has the room come to its turn.

Overload and shutdown are the cell's. Crash: the cell starts a new one, which finds the old one in the estate.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.batch import Batch
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import ClientMessages, Expire, Mail
from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.rooms.state import RoomState as ActorRoom
from omnisonic.embedding.hook_contract import apply_answer, require_no_answer, require_state
from omnisonic.embedding.rooms import Room
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, RoomId, checked_display_name, checked_status
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.decoded_message import Message, message_from_envelope
from omnisonic.wire.message_types import GATEWAY_TYPES
from omnisonic.wire.messages import MESSAGE_BYTES, TYPE_LENGTH, Envelope, too_large

OnMessage: TypeAlias = Callable[[Room[Any], Member, Message], Message | bool | None]
"""A hook for the messages of all rooms, called before a room's own `on_message`, with the same answers."""


class HostedRoom(ActorRoom):
    """A room of the gateway's that asks an author's."""

    def __init__(self, context: RoomContext, hosting: "Hosting") -> None:
        super().__init__(context)
        self.killed_by: Exception | None = None
        self._hosting = hosting
        self._deeds: list[Callable[[Batch], None]] = []
        self._is_over = False
        self._in_turn = False
        self._has_begun = False
        self._tick_s = 0.0
        before = context.handoff.left
        self.author = hosting.room_class(self)
        if isinstance(before, HostedRoom) and before.killed_by is not None:
            self.author.state = self.author.on_crash(before.killed_by, before.author.state)
            require_state(self.author.state, "on_crash")
        else:
            self.author.state = self.author.initial_state()
            require_state(self.author.state, "initial_state")
        if isinstance(before, HostedRoom):
            before.end()
        context.handoff.left = self
        own = type(self.author)
        self._message_hooks: list[OnMessage] = [] if hosting.on_message is None else [hosting.on_message]
        if own.on_message is not Room.on_message:
            self._message_hooks.append(own.on_message)
        self._decides_on_binary = own.on_binary is not Room.on_binary
        self._decides_on_presence = own.on_presence is not Room.on_presence
        self._listens = bool(self._message_hooks) or self._decides_on_binary

    # What an author's room stands on (RoomHost)

    @property
    def name(self) -> RoomId:
        return self.context.room_id

    @property
    def members(self) -> Sequence[Member]:
        return [seat.member for seat in self.roster]

    @property
    def now_s(self) -> float:
        return self.context.now_s()

    def say(self, type: str, payload: Any, to: MemberId | None) -> None:  # noqa: A002
        envelope = _outgoing(type, payload, to)
        self._do(lambda batch: self._pass_on_to(envelope, batch))

    def kick(self, member_id: MemberId, reason: str) -> None:
        self._do(lambda batch: self._send_out(member_id, Closing(CloseCode.KICKED, reason), batch))

    def close(self, reason: str) -> None:
        self._do(lambda batch: self._dismiss(Closing(CloseCode.ROOM_CLOSED, reason), batch))

    def end(self) -> None:
        """Another one has taken this one's place."""
        self._is_over = True

    def _do(self, deed: Callable[[Batch], None]) -> None:
        if self._is_over or (self._has_begun and not self._hosting.has(self)):
            raise RuntimeError(f"This is no room any more: {self.name} was started anew, or forgotten.")
        self._deeds.append(deed)
        if not self._in_turn:
            self._hosting.wake(self)

    # What the cell asks

    def handle(self, mail: Mail, batch: Batch) -> None:
        self._turn(lambda: ActorRoom.handle(self, mail, batch), batch)

    def relay(self, said: ClientMessages, batch: Batch) -> None:
        if not self._listens:
            super().relay(said, batch)
            return
        for frame in said.rest:
            one = ClientMessages(said.connection, [frame], len(frame[1]))
            self._turn(lambda one=one: ActorRoom.relay(self, one, batch), batch)  # type: ignore[misc]

    def _turn(self, handle: Callable[[], None], batch: Batch) -> None:
        """Handle one letter, and then do what hooks want done."""
        if self._in_turn:  # the cell's `handle` of what members say
            handle()
            return
        self._in_turn = self._has_begun = True
        try:
            handle()
            while self._deeds:
                self._deeds.pop(0)(batch)
            if self.author.tick_s != self._tick_s:
                self._tick_s = self.author.tick_s
                self._hosting.tick_changed(self)
        except Exception as crash:
            self.killed_by, self._is_over = crash, True
            self._deeds.clear()
            raise
        finally:
            self._in_turn = False

    # Hooks

    def on_message(self, member: Member, envelope: Envelope) -> bool:
        if not self._message_hooks:
            return True
        message = asked = message_from_envelope(envelope, member.member_id)
        for hook in self._message_hooks:
            decided = apply_answer(hook(self.author, member, message), message, Message, "on_message")
            if decided is None:
                return False
            message = decided
        if message is not asked:
            new = _outgoing(message.type, message.payload, message.to)
            envelope.type, envelope.payload, envelope.to = new.type, new.payload, new.to
        return True

    def on_binary(self, member: Member, data: bytes) -> bytes | None:
        if self._decides_on_binary:
            decided = apply_answer(self.author.on_binary(member, data), data, bytes, "on_binary")
            if decided is not None and len(decided) > MESSAGE_BYTES:
                raise ValueError(too_large(len(decided)).message)
            return decided
        if self._message_hooks:
            raise InvalidInput("This room takes no binary messages.", code="binary_refused")
        return data

    def on_presence(self, wanted: Member, before: Member | None) -> Member | None:
        if self._decides_on_presence:
            shown = apply_answer(self.author.on_presence(wanted, before), wanted, Member, "on_presence")
            return None if shown is None else _checked(shown, wanted)
        if self._message_hooks and before is not None and wanted.display_name != before.display_name:
            raise InvalidInput("Names cannot be changed in this room.", code="name_refused")
        return wanted

    def on_join(self, member: Member) -> None:
        self._notify(self.author.on_join, member)

    def on_leave(self, member: Member, reason: str) -> None:
        self._notify(self.author.on_leave, member, reason)

    def on_tick(self) -> None:
        if len(self.roster) and self.author.tick_s > 0:
            self._notify(self.author.on_tick, self.now_s)

    def _notify(self, hook: Callable[..., object], *what: object) -> None:
        require_no_answer(hook(*what), getattr(hook, "__name__", "a hook"))

    # Deeds

    def _pass_on_to(self, envelope: Envelope, batch: Batch) -> None:
        target = None if envelope.to is None else self.roster.seat_named(envelope.to)
        if envelope.to is None or (target is not None and target.connection is not None):
            self._relay_external(envelope, target, batch)

    def _send_out(self, member_id: MemberId, closing: Closing, batch: Batch) -> None:
        seat = self.roster.seat_named(member_id)
        if seat is None:
            return
        if seat.connection is not None:
            batch.dismiss(seat.connection, closing)
            self._handle_leave(self.roster.leave(seat.connection, closing.word, self.now_s), batch)
        self._handle_leave(self.roster.drop_lease(member_id), batch)


class Hosting:
    """What all hosted rooms of one gateway have in common. `registry` is where they are, once there is one."""

    def __init__(self, room_class: Callable[[Any], Room[Any]], on_message: OnMessage | None) -> None:
        self.room_class = room_class
        self.on_message = on_message
        self.registry: Registry | None = None
        self.ticks: Callable[[RoomActor], None] = _ignore
        """Is told of rooms that tick otherwise than before."""

    def make(self, context: RoomContext) -> HostedRoom:
        """A room for this context: what a cell is made with."""
        return HostedRoom(context, self)

    def has(self, room: HostedRoom) -> bool:
        """Whether this is still the room of its name."""
        actor = None if self.registry is None else self.registry.get(room.name)
        return actor is not None and actor.handoff is room.context.handoff

    def wake(self, room: HostedRoom) -> None:
        """Let the room have a turn."""
        actor = None if self.registry is None else self.registry.get(room.name)
        if actor is not None:
            actor.tell(Expire())  # it looks at the time, and does nothing else

    def tick_changed(self, room: HostedRoom) -> None:
        """The room has another pace, or one at all."""
        actor = None if self.registry is None else self.registry.get(room.name)
        if actor is not None:
            self.ticks(actor)

    def room(self, room_id: RoomId) -> Room[Any] | None:
        """The author's room of this name, if there is one."""
        actor = None if self.registry is None else self.registry.get(room_id)
        hosted = None if actor is None else actor.handoff.left
        return hosted.author if isinstance(hosted, HostedRoom) else None


def outgoing(type: str, payload: Any, to: MemberId | None) -> Envelope:  # noqa: A002
    """A message that a program says into a room.

    Errors: `InvalidInput`: `invalid_message` for a type that is none, or a payload that msgspec cannot write as JSON;
    `reserved_type` for what only the gateway says; `too_large` over 64 KiB.
    """
    if not 0 < len(type) <= TYPE_LENGTH:
        raise InvalidInput(f"type must have 1 to {TYPE_LENGTH} characters.", code="invalid_message")
    if type in GATEWAY_TYPES:
        raise InvalidInput(f"Only the gateway says {type}.", code="reserved_type")
    try:
        data = msgspec.json.encode(payload)
    except (TypeError, ValueError, RecursionError) as wrong:
        raise InvalidInput(f"The payload is not JSON: {wrong}.", code="invalid_message") from wrong
    if len(data) > MESSAGE_BYTES:
        raise too_large(len(data))
    return Envelope(type, msgspec.Raw(data), to)


def _ignore(_actor: RoomActor) -> None:
    """Nobody tells the time yet."""


def _outgoing(type_: str, payload: Any, to: MemberId | None) -> Envelope:
    """`outgoing`, for a room's author: an `InvalidInput` of theirs would be told to the member who spoke."""
    try:
        return outgoing(type_, payload, to)
    except InvalidInput as wrong:
        raise ValueError(wrong.message) from wrong


def _checked(shown: Member, wanted: Member) -> Member:
    """A member as an author wants them shown. Errors: `ValueError` for what no member can be."""
    if shown.member_id != wanted.member_id:
        raise ValueError(f"on_presence must keep the memberId {wanted.member_id!r}.")
    try:
        checked_display_name(shown.display_name)
        checked_status(shown.status)
    except InvalidInput as wrong:
        raise ValueError(wrong.message) from wrong
    return msgspec.structs.replace(shown, account=wanted.account)
