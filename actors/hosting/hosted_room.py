"""Hosting: runs a program's `Room` inside a room actor, calls its hooks and applies their results (SPEC 8).

`HostedRoom` is the state of the room actor; `user_room` is the program's object. All hooks run in the actor's turn.
What a hook sends is queued, and goes out after the message that the hook was called for. When the hook raises, nothing
of it goes out. A call outside of hooks wakes the room.

Overload and shutdown: as for any room actor. Crash: the actor creates a new `HostedRoom`, which takes over the state
of the old one from the handoff.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from omnisonic.actors.hosting.hook_contract import apply_result, require_no_result, require_state
from omnisonic.actors.hosting.room import Room
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.batch import Batch
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import ClientMessages, Expire, Mail
from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.rooms.state import RoomState
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, RoomId
from omnisonic.models.checks import checked_display_name, checked_status
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.decoded_message import Message, message_from_envelope
from omnisonic.wire.message_types import GATEWAY_TYPES, SHARED_TYPES
from omnisonic.wire.messages import MESSAGE_BYTES, TYPE_LENGTH, Envelope, too_large

OnMessage: TypeAlias = Callable[[Room[Any], Member, Message], Message | bool | None]
"""A hook for the messages of all rooms. It is called before `Room.on_message`, and returns the same values."""


class HostedRoom(RoomState):
    """The state of a room actor that calls the hooks of a program's room. It implements `RoomHost` for that room."""

    def __init__(self, context: RoomContext, hosting: "Hosting") -> None:
        super().__init__(context)
        self.crash: Exception | None = None
        self._hosting = hosting
        self._actions: list[Callable[[Batch], None]] = []
        self._is_retired = False
        self._in_turn = False
        self._has_begun = False
        self._tick_s = 0.0
        before = context.handoff.left
        self.user_room = hosting.room_class(self)
        if isinstance(before, HostedRoom) and before.crash is not None:
            self.user_room.state = self.user_room.on_crash(before.crash, before.user_room.state)
            require_state(self.user_room.state, "on_crash")
        else:
            self.user_room.state = self.user_room.initial_state()
            require_state(self.user_room.state, "initial_state")
        if isinstance(before, HostedRoom):
            before.retire()
        context.handoff.left = self
        own = type(self.user_room)
        self.keeps_seats = own.load is not Room.load
        self._message_hooks: list[OnMessage] = [] if hosting.on_message is None else [hosting.on_message]
        if own.on_message is not Room.on_message:
            self._message_hooks.append(own.on_message)
        self._decides_on_binary = own.on_binary is not Room.on_binary
        self._decides_on_presence = own.on_presence is not Room.on_presence
        self._has_message_hooks = bool(self._message_hooks) or self._decides_on_binary

    # RoomHost, for the program's room

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
        envelope = _make_room_envelope(type, payload, to)
        self._queue_action(lambda batch: self._relay_from_program(envelope, batch))

    def kick(self, member_id: MemberId, reason: str) -> None:
        self._queue_action(lambda batch: self._remove_member(member_id, Closing(CloseCode.KICKED, reason), batch))

    def close(self, reason: str) -> None:
        self._queue_action(lambda batch: self._dismiss(Closing(CloseCode.ROOM_CLOSED, reason), batch))

    def retire(self) -> None:
        """Refuse further calls: a new room has taken its place."""
        self._is_retired = True

    def _queue_action(self, action: Callable[[Batch], None]) -> None:
        if self._is_retired or (self._has_begun and not self._hosting.is_current(self)):
            raise RuntimeError(f"This is no room any more: {self.name} was started anew, or forgotten.")
        self._actions.append(action)
        if not self._in_turn:
            self._hosting.wake(self)

    # Called by the room actor

    def handle(self, mail: Mail, batch: Batch) -> None:
        self._run_turn(lambda: RoomState.handle(self, mail, batch), batch)

    def relay(self, received: ClientMessages, batch: Batch) -> None:
        if not self._has_message_hooks:
            super().relay(received, batch)
            return
        for frame in received.rest:
            one = ClientMessages(received.connection, [frame], len(frame[1]))
            self._run_turn(lambda one=one: RoomState.relay(self, one, batch), batch)  # type: ignore[misc]

    def _run_turn(self, handle: Callable[[], None], batch: Batch) -> None:
        """Handle one mail, then apply the actions that hooks have queued."""
        if self._in_turn:  # `handle` calls `relay` for the messages of members
            handle()
            return
        self._in_turn = self._has_begun = True
        try:
            handle()
            while self._actions:
                self._actions.pop(0)(batch)
            self._hosting.on_turn(self)
            if self.user_room.tick_s != self._tick_s:
                self._tick_s = self.user_room.tick_s
                self._hosting.update_ticks(self)
        except Exception as crash:
            self.crash, self._is_retired = crash, True
            self._actions.clear()
            raise
        finally:
            self._in_turn = False

    # Hooks

    def on_message(self, member: Member, envelope: Envelope) -> bool:
        """Call the message hooks. Returns whether the message is relayed, and updates it in place."""
        if not self._message_hooks:
            return True
        message = original = message_from_envelope(envelope, member.member_id)
        for hook in self._message_hooks:
            decided = apply_result(hook(self.user_room, member, message), message, Message, "on_message")
            if decided is None:
                return False
            message = decided
        if message is not original:
            new = _make_room_envelope(message.type, message.payload, message.to)
            envelope.type, envelope.payload, envelope.to = new.type, new.payload, new.to
        return True

    def on_binary(self, member: Member, data: bytes) -> bytes | None:
        if self._decides_on_binary:
            decided = apply_result(self.user_room.on_binary(member, data), data, bytes, "on_binary")
            if decided is not None and len(decided) > MESSAGE_BYTES:
                raise ValueError(too_large(len(decided)).message)
            return decided
        if self._message_hooks:
            raise InvalidInput("This room takes no binary messages.", code="binary_refused")
        return data

    def on_presence(self, wanted: Member, before: Member | None) -> Member | None:
        if self._decides_on_presence:
            shown = apply_result(self.user_room.on_presence(wanted, before), wanted, Member, "on_presence")
            return None if shown is None else _check_shown(shown, wanted)
        if self._message_hooks and before is not None and wanted.display_name != before.display_name:
            raise InvalidInput("Names cannot be changed in this room.", code="name_refused")
        return wanted

    def on_join(self, member: Member) -> None:
        self._call_hook(self.user_room.on_join, member)

    def on_leave(self, member: Member, reason: str) -> None:
        self._call_hook(self.user_room.on_leave, member, reason)

    def on_tick(self) -> None:
        if len(self.roster) and self.user_room.tick_s > 0:
            self._call_hook(self.user_room.on_tick, self.now_s)

    def _call_hook(self, hook: Callable[..., object], *arguments: object) -> None:
        require_no_result(hook(*arguments), getattr(hook, "__name__", "a hook"))

    # Actions

    def _relay_from_program(self, envelope: Envelope, batch: Batch) -> None:
        with suppress(InvalidInput):  # the member it is for is gone, or the state is full: the program is not told
            if envelope.type in SHARED_TYPES:
                self._change_shared(envelope, None, batch)
            else:
                self._relay_external(envelope, batch)

    def _remove_member(self, member_id: MemberId, closing: Closing, batch: Batch) -> None:
        seat = self.roster.seat_named(member_id)
        if seat is None:
            return
        if seat.connection is not None:
            batch.dismiss(seat.connection, closing)
            self._handle_leave(self.roster.leave(seat.connection, closing.word, self.now_s), batch)
        self._handle_leave(self.roster.remove(member_id, closing.word), batch)


class Hosting:
    """What all hosted rooms of one gateway share. `registry` is set once the gateway exists."""

    def __init__(self, room_class: Callable[[Any], Room[Any]], on_message: OnMessage | None = None) -> None:
        self.room_class = room_class
        self.on_message = on_message
        self.registry: Registry | None = None
        self.on_tick_change: Callable[[RoomActor], None] = _ignore
        """Called with a room whose `tick_s` has changed."""
        self.on_turn: Callable[[HostedRoom], None] = _ignore
        """Called after each turn of a room that may have changed its state."""

    def create_room(self, context: RoomContext) -> HostedRoom:
        """Create the state of a room actor."""
        return HostedRoom(context, self)

    def is_current(self, room: HostedRoom) -> bool:
        """Whether this is still the room with its name."""
        actor = None if self.registry is None else self.registry.get(room.name)
        return actor is not None and actor.handoff.left is room

    def wake(self, room: HostedRoom) -> None:
        """Give the room a turn, so that queued actions are applied."""
        actor = None if self.registry is None else self.registry.get(room.name)
        if actor is not None:
            actor.tell(Expire())  # it only looks at the time

    def update_ticks(self, room: HostedRoom) -> None:
        """Tell the ticker that the `tick_s` of the room has changed."""
        actor = None if self.registry is None else self.registry.get(room.name)
        if actor is not None:
            self.on_tick_change(actor)

    def room(self, room_id: RoomId) -> Room[Any] | None:
        """The program's object for this room, if there is one."""
        actor = None if self.registry is None else self.registry.get(room_id)
        hosted = None if actor is None else hosted_room(actor)
        return None if hosted is None else hosted.user_room


def hosted_room(actor: RoomActor) -> HostedRoom | None:
    """The hosted room that runs in this actor. None when its state was dropped and no new one could be made yet."""
    left = actor.handoff.left
    return left if isinstance(left, HostedRoom) else None


def make_envelope(type: str, payload: Any, to: MemberId | None) -> Envelope:  # noqa: A002
    """Encode a message that a program sends into a room.

    Raises:
        InvalidInput: `invalid_message` for a bad type or a payload that is not JSON, `reserved_type` for a type that
            only the gateway sends, `too_large` over 64 KiB.
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


def _ignore(_room: object) -> None:
    """Nobody wants to know yet."""


def _make_room_envelope(type_: str, payload: Any, to: MemberId | None) -> Envelope:
    """`make_envelope` for hooks: raises `ValueError`, because the sender would get an `InvalidInput` of a hook."""
    try:
        return make_envelope(type_, payload, to)
    except InvalidInput as wrong:
        raise ValueError(wrong.message) from wrong


def _check_shown(shown: Member, wanted: Member) -> Member:
    """Check the member that `on_presence` returned. Raises `ValueError`."""
    if shown.member_id != wanted.member_id:
        raise ValueError(f"on_presence must keep the memberId {wanted.member_id!r}.")
    try:
        checked_display_name(shown.display_name)
        checked_status(shown.status)
    except InvalidInput as wrong:
        raise ValueError(wrong.message) from wrong
    return msgspec.structs.replace(shown, account=wanted.account)
