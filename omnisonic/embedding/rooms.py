"""Rooms of one's own: a class to subclass, with hooks for what happens in a room, and a state (SPEC 8)."""

from collections.abc import Sequence
from typing import Any, Final, Generic, Protocol, TypeVar, cast, get_args

from omnisonic.embedding.hook_contract import require_plain_function
from omnisonic.models import Member, MemberId, RoomId
from omnisonic.wire.decoded_message import Message

State = TypeVar("State")

HOOKS: Final = (
    "initial_state",
    "on_join",
    "on_message",
    "on_binary",
    "on_presence",
    "on_leave",
    "on_tick",
    "on_crash",
)
"""What a subclass may define."""


class RoomHost(Protocol):
    """What a room stands on: given to its constructor, and what its methods do."""

    @property
    def name(self) -> RoomId: ...

    @property
    def members(self) -> Sequence[Member]: ...

    @property
    def now_s(self) -> float: ...

    def say(self, type: str, payload: Any, to: MemberId | None) -> None: ...  # noqa: A002

    def kick(self, member_id: MemberId, reason: str) -> None: ...

    def close(self, reason: str) -> None: ...


class Room(Generic[State]):
    """One room. Subclass it, define the hooks you want, and give the class to `open_gateway(room_class=...)`.

    Life: the constructor runs when the first member is about to enter, and `initial_state`; then the other hooks are
    called, one at a time and in the room's order, and what they say goes out in that order, behind what they were
    called for. A room that has been empty for a minute is forgotten; nothing is called then.

    Hooks are plain functions on the trio thread, run in turn with all other rooms: they must not wait nor take long.
    For that start a task of your own; it may use `say`, `kick` and `close` at any time. A coroutine function as a hook
    is a `TypeError` when the class is defined. An answer that a hook must not give counts as an error that it raised.

    A room that defines `on_message` decides what its members may say. So that nothing passes it by, such a room refuses
    binary messages (`error` `binary_refused`) unless it defines `on_binary`, and changes of a display name
    (`name_refused`) unless it defines `on_presence`.

    What a hook raises ends this object: the error is logged with its traceback, and within 100 ms there is a new object
    with the same members, on which `on_crash` is called. Nobody's connection is closed, and nothing that the hook had
    said goes out. What `on_message`, `on_binary` or `on_presence` was asked about goes to the dead letters and not to
    others, and its sender gets the error `room_crashed` with the `id` of the message. With the other hooks everybody
    has been told already of who came or went. A constructor or an `on_crash` that raises counts as another crash; a
    constructor that raises for a room's first member turns them away (HTTP 500). After more than 3 crashes in 5 s the
    room, and no other, is closed (1011).

    `Room[State]` says what `state` is, and then needs `initial_state`. A bare `Room` has none.
    """

    tick_s: float = 0.0
    """Seconds between ticks; 0 for none. It may be changed at any time, and counts after the next tick."""
    state: State
    """Whatever the room is to remember. It lives as long as the object, or longer: see `on_crash`."""

    def __init__(self, host: RoomHost) -> None:
        self._host = host

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for hook in HOOKS:
            require_plain_function(getattr(cls, hook), f"{cls.__name__}.{hook}")
        given = [argument for base in getattr(cls, "__orig_bases__", ()) for argument in get_args(base)]
        has_state = any(argument is not type(None) and not isinstance(argument, TypeVar) for argument in given)
        if has_state and cls.initial_state is Room.initial_state:
            raise TypeError(f"{cls.__name__} says what its state is, so it must define initial_state(self).")

    # Hooks

    def initial_state(self) -> State:
        """Called on a new room, and after a crash unless `on_crash` says otherwise: the state to begin with."""
        return cast("State", None)

    def on_join(self, member: Member) -> None:
        """A member is here who was not before: they have their welcome, and the others are told.

        Not called for somebody who comes back before they were missed, or is connected anew as the same member.
        """

    def on_message(self, member: Member, message: Message) -> Message | bool | None:
        """A member says something, to all or to one (`message.to`). None or True: it goes on as it is.

        False keeps it back: the sender gets an `ack`, if they asked for one, and nobody else anything. A `Message` goes
        on in its place, its `type`, `payload` and `to` (`message.replace(payload=...)`), still as from the sender.
        `InvalidInput` may be raised to refuse it: that is no crash, the sender gets it as an `error`.

        Not called for heartbeats, `presence.set`, binary messages, nor for what is refused anyway: see `on_presence`
        and `on_binary`.
        """

    def on_binary(self, member: Member, data: bytes) -> bytes | bool | None:
        """A member sends bytes to all. None or True: they go on. False: they do not. `bytes`: those go on instead.

        `InvalidInput` may be raised to refuse them, as in `on_message`. Without this hook bytes go on in a room that
        does not define `on_message`, and are refused in one that does.
        """

    def on_presence(self, member: Member, before: Member | None) -> Member | bool | None:
        """The others are about to see `member` like this. `before` is how they see them now, None for a newcomer.

        None or True: so they do. False: it stays as before. A `Member` with the same `member_id`: they see that in its
        place. `InvalidInput` may be raised to say why not. A newcomer who is refused is turned away (1008,
        `name_refused` or your code); whoever is connected anew under a name that is refused keeps the one they had.

        Called for `presence.set`, for who enters, and for who is connected anew under another name or status. Without
        this hook a room that defines `on_message` keeps the names that members entered with; who may enter under which
        name is then decided by `admit` alone.
        """

    def on_leave(self, member: Member, reason: str) -> None:
        """A member is gone, and the others are told. `reason` is the word in their `presence.leave` (SPEC 5.2).

        Not called for who was in the room when it was closed by itself for crashing too often.
        """

    def on_tick(self, now_s: float) -> None:
        """Called every `tick_s` while somebody is in the room, in seconds of trio's clock. Missed ones are gone."""

    def on_crash(self, error: Exception, state: State) -> State:
        """Called on the new room, in place of `initial_state`, after the one before has raised `error`.

        `state` is what that one had when it raised, maybe half changed: return it to go on with it, or another one.
        This returns `initial_state()`.
        """
        del error, state
        return self.initial_state()

    # What it knows and does

    @property
    def name(self) -> RoomId:
        """The room's id."""
        return self._host.name

    @property
    def members(self) -> Sequence[Member]:
        """Who is in the room now, in the order they came."""
        return self._host.members

    @property
    def now_s(self) -> float:
        """The time on trio's clock."""
        return self._host.now_s

    def say(self, type: str, payload: Any = None, *, to: MemberId | None = None) -> None:  # noqa: A002
        """Say something to everybody, or to one: `from` is null. One who is not connected gets nothing.

        Errors: `ValueError` for what no message can be: a type that is none or the gateway's own (`welcome`,
        `presence.*`, `ack`, `error`, …), a payload that is no JSON, or over 64 KiB of it; `RuntimeError` on a room that
        has crashed, or was forgotten.
        """
        self._host.say(type, payload, to)

    def kick(self, member_id: MemberId, reason: str = "") -> None:
        """Send a member out (4003, `kicked`). They can come back unless admission keeps them out."""
        self._host.kick(member_id, reason)

    def close(self, reason: str = "") -> None:
        """Send everybody out (4004, `room_closed`)."""
        self._host.close(reason)
