"""`Room`: the class that programs subclass to define how their rooms behave (SPEC 8)."""

from collections.abc import Sequence
from typing import Any, Final, Generic, Protocol, TypeVar, cast, get_args

from omnisonic.actors.hosting.hook_contract import require_async_function, require_plain_function
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
"""The methods that a subclass may define, and that rooms call in their turns."""
ASYNC_HOOKS: Final = ("load", "save")
"""The methods that a subclass may define, and that are awaited outside of turns."""


class RoomHost(Protocol):
    """The argument of a room's constructor: what the gateway does for the room.

    Pass it to `super().__init__(host)`. A room uses it through its own methods. In tests of your hooks, any object with
    these attributes will do.
    """

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
    """One room. Subclass it, define the hooks that you need, and pass the class to `open_gateway(room_class=...)`.

    A room handles one thing at a time, in the order in which things arrive. What a hook sends goes out after the
    message that the hook was called for.

    Hooks are plain functions on trio's thread. They must not wait and must not take long, because all other rooms wait
    meanwhile. For longer work start a task of your own, which may call `say`, `kick` and `close` at any time.

    `Room[State]` names the type of `state`, and then needs `initial_state`. A bare `Room` has no state.

    A room that defines `on_message` decides what its members may send. So it refuses what does not pass through
    `on_message`: binary messages (`binary_refused`) unless it defines `on_binary`, and new display names
    (`name_refused`) unless it defines `on_presence`.

    Life: the constructor, `initial_state` and `load` run when the first member enters. An empty room is forgotten after
    a minute (`empty_room_s`), without a call.

    Crash: when a hook raises, the error is logged with its traceback, and within 100 ms there is a new object with the
    same members, on which `on_crash` is called. No connection is closed, and nothing that the hook sent is relayed. The
    message that `on_message`, `on_binary` or `on_presence` was called for goes to the dead letters, and its sender gets
    the error `room_crashed`. After more than 3 crashes in 5 s the room is closed (1011); other rooms continue.

    Raises:
        TypeError: When the class is defined: a hook is async or a generator, `load` or `save` is not async, or
            `initial_state` is missing.

    Example:
        class Counter(omnisonic.Room[int]):
            def initial_state(self) -> int:
                return 0

            def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> None:
                self.state += 1
                self.say("count", {"messages": self.state})

        async with omnisonic.open_gateway(room_class=Counter) as gateway: ...
    """

    tick_s: float = 0.0
    """Seconds between two calls of `on_tick`. 0: none. You may change it at any time; it counts after the next tick."""
    state: State
    """What the room remembers. It lives as long as the object, or longer with `on_crash`, `load` and `save`."""
    save_every_s: float = 1.0
    """The shortest time between two calls of `save` for one room, in seconds."""

    def __init__(self, host: RoomHost) -> None:
        self._host = host

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for hook in HOOKS:
            require_plain_function(getattr(cls, hook), f"{cls.__name__}.{hook}")
        for hook in ASYNC_HOOKS:
            require_async_function(getattr(cls, hook), f"{cls.__name__}.{hook}")
        given = [argument for base in getattr(cls, "__orig_bases__", ()) for argument in get_args(base)]
        has_state = any(argument is not type(None) and not isinstance(argument, TypeVar) for argument in given)
        if has_state and cls.initial_state is Room.initial_state:
            raise TypeError(f"{cls.__name__} says what its state is, so it must define initial_state(self).")

    # Hooks

    def initial_state(self) -> State:
        """Called for a new room, and by the default `on_crash`.

        Returns:
            The first `self.state`.
        """
        return cast("State", None)

    async def load(self, name: RoomId) -> State | None:
        """Called for a new room, before its first member enters; members wait for it, 5 s at most.

        It runs in a task of its own, and may wait. When it raises or takes too long, the room does not begin: who
        waited is closed with 1011, and the next one who enters tries again.

        Args:
            name: The room's id. It may have any visible characters: do not use it as the name of a file unchanged.

        Returns:
            The state to begin with, as `save` got it. None: that of `initial_state`.
        """
        del name
        return None

    async def save(self, name: RoomId, state: State) -> None:
        """Called after turns of the room, at most once in `save_every_s`, and at the end of `open_gateway`.

        It runs in a task of its own, and may wait, 10 s at most. Take what you need from `state` before you wait for
        anything, because the room goes on meanwhile. One call at a time for each room. When it raises, it is called
        again, more and more seldom.

        Args:
            name: The room's id.
            state: The room's state.

        Example:
            async def save(self, name: str, state: list[str]) -> None:
                data = json.dumps(state)
                await trio.Path(f"{name.encode().hex()}.json").write_text(data)
        """

    def on_join(self, member: Member) -> None:
        """Called after a new member joined. They have received `welcome`, and the others know.

        Not called when a member reconnects before others have seen them leave.

        Args:
            member: The new member.
        """

    def on_message(self, member: Member, message: Message) -> Message | bool | None:
        """Called before a member's message is relayed, to all or to one (`message.to`).

        Not called for heartbeats, `presence.set` and binary messages: see `on_presence` and `on_binary`.

        Args:
            member: The sender.
            message: The message. Use `message.replace(payload=...)` to change it.

        Returns:
            None or True to relay it. False to drop it; the sender gets an `ack` if they asked for one. A `Message` to
            relay its `type`, `payload` and `to` instead, still from the sender.

        Raises:
            InvalidInput: Raise it to refuse the message. The sender gets it as an `error`; this is not a crash.
        """

    def on_binary(self, member: Member, data: bytes) -> bytes | bool | None:
        """Called before a binary message is relayed to all.

        Args:
            member: The sender.
            data: The bytes.

        Returns:
            None or True to relay them, False to drop them, `bytes` to relay those instead.

        Raises:
            InvalidInput: Raise it to refuse the message, as in `on_message`.
        """

    def on_presence(self, member: Member, before: Member | None) -> Member | bool | None:
        """Called before the others see a member differently.

        That is when a member enters, sends `presence.set`, or connects again with another name or status.

        Args:
            member: How the others are about to see the member.
            before: How they see the member now. None when the member is entering.

        Returns:
            None or True to show it, False to keep it as before, a `Member` with the same `member_id` to show that
            instead. A new member who is refused cannot enter (1008, `name_refused` or your code). A member who connects
            again with a refused name keeps the old name.

        Raises:
            InvalidInput: Raise it to refuse with a code and a sentence of your own.
        """

    def on_leave(self, member: Member, reason: str) -> None:
        """Called after a member left, and the others know.

        Not called for the members of a room that is closed because it crashed too often.

        Args:
            member: The member as they were.
            reason: The reason in `presence.leave` (SPEC 5.2).
        """

    def on_tick(self, now_s: float) -> None:
        """Called every `tick_s` seconds while somebody is in the room. Missed ticks are not repeated.

        Args:
            now_s: Seconds on trio's clock.
        """

    def on_crash(self, error: Exception, state: State) -> State:
        """Called on the new room, in place of `initial_state`, after the old room raised.

        Args:
            error: What the old room raised.
            state: Its state, which may be half changed.

        Returns:
            The state to continue with: this one, or another. The default is `initial_state()`.
        """
        del error, state
        return self.initial_state()

    # For the hooks and the tasks of a subclass

    @property
    def name(self) -> RoomId:
        """The room's id."""
        return self._host.name

    @property
    def members(self) -> Sequence[Member]:
        """The members of the room, in the order they came."""
        return self._host.members

    @property
    def now_s(self) -> float:
        """The time on trio's clock."""
        return self._host.now_s

    def say(self, type: str, payload: Any = None, *, to: MemberId | None = None) -> None:  # noqa: A002
        """Send a message to all members, or to one. Its `from` is null.

        Args:
            type: The type of the message, 1 to 128 characters.
            payload: Anything that msgspec can encode as JSON, up to 64 KiB.
            to: The only member who receives it; nobody, when they are not connected. None: all members.

        Raises:
            ValueError: The type is bad or one of the gateway's own (`welcome`, `presence.join`, `ack`, `error`, …), or
                the payload is not JSON or too large.
            RuntimeError: This object has crashed or was forgotten, and is not the room any more.
        """
        self._host.say(type, payload, to)

    def kick(self, member_id: MemberId, reason: str = "") -> None:
        """Remove a member (4003, `kicked`). They may come back unless `admit` refuses them. Raises `RuntimeError`."""
        self._host.kick(member_id, reason)

    def close(self, reason: str = "") -> None:
        """Remove all members (4004, `room_closed`). Raises `RuntimeError`."""
        self._host.close(reason)
