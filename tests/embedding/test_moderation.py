"""Hooks that decide what others see: they fail closed, and nothing passes them by (SPEC 8)."""

import functools
import logging
import types
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio

import omnisonic
from omnisonic.actors.hosting.hook_contract import apply_result, require_plain_function
from tests.clients import DEADLINE_S
from tests.embedding.staging import band, hear, member, until

HOOKS = (
    "initial_state",
    "on_join",
    "on_message",
    "on_binary",
    "on_presence",
    "on_leave",
    "on_tick",
    "on_crash",
)


async def coroutine_function(*_args: Any) -> bool:
    return False


def generator(*_args: Any) -> Iterator[bool]:
    yield False


async def async_generator(*_args: Any) -> AsyncIterator[bool]:
    yield False


class AsyncCallable:
    async def __call__(self, *_args: Any) -> bool:
        return False


WAITING = [
    coroutine_function,
    generator,
    async_generator,
    AsyncCallable(),
    functools.partial(coroutine_function, 1),
    staticmethod(coroutine_function),
]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("function", WAITING, ids=lambda each: getattr(each, "__name__", type(each).__name__))
def test_a_hook_that_must_be_awaited_is_refused_when_the_class_is_defined(hook: str, function: Any) -> None:
    """In the class itself, or in another one that it is mixed with; the sentence names the hook."""
    with pytest.raises(TypeError, match=rf"Filter\.{hook} must be a plain function"):
        types.new_class("Filter", (omnisonic.Room[None],), exec_body=lambda body: body.update({hook: function}))
    mixin = type("Mixin", (), {hook: function})
    with pytest.raises(TypeError, match=rf"Filter\.{hook} must be a plain function"):
        types.new_class("Filter", (mixin, omnisonic.Room[None]))


@pytest.mark.parametrize("function", WAITING[:5], ids=lambda each: getattr(each, "__name__", type(each).__name__))
async def test_a_hook_for_all_rooms_that_must_be_awaited_is_refused_at_the_start(function: Any) -> None:
    """Before there is a gateway."""
    with pytest.raises(TypeError, match="on_message must be a plain function"):
        async with omnisonic.open_gateway(on_message=function):
            pass


def test_what_is_no_function_is_no_hook() -> None:
    """A flag, say."""
    with pytest.raises(TypeError, match="on_message must be a function"):
        require_plain_function(True, "on_message")


ODD: list[Any] = [0, 1, "", "no", (), [], {}, 0.0, NotImplemented, object(), lambda: True]


@pytest.mark.parametrize("answer", ODD, ids=lambda each: type(each).__name__)
def test_an_answer_that_is_not_allowed_is_no_answer(answer: Any) -> None:
    """Neither what is falsy nor what is truthy counts as a yes or a no."""
    with pytest.raises(TypeError, match="on_message must return None, True, False or a bytes"):
        apply_result(answer, b"asked", bytes, "on_message")


def test_allowed_answers_do_what_they_say() -> None:
    """As it is, not at all, or another one."""
    assert apply_result(None, "asked", str, "hook") == "asked"
    assert apply_result(True, "asked", str, "hook") == "asked"
    assert apply_result(False, "asked", str, "hook") is None
    assert apply_result("other", "asked", str, "hook") == "other"


class Odd(omnisonic.Room[None]):
    """Its hooks answer what they must not, for whoever is called `odd` or says so."""

    @staticmethod
    def answer() -> Any:
        return "keep it back"

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> Any:
        return self.answer() if message.type == "odd" else None

    def on_binary(self, member: omnisonic.Member, data: bytes) -> Any:
        return self.answer() if data == b"odd" else None

    def on_presence(self, member: omnisonic.Member, before: omnisonic.Member | None) -> Any:
        return self.answer() if member.display_name == "Odd" else None

    def on_join(self, member: omnisonic.Member) -> Any:
        return self.answer() if member.member_id == "joiner" else None

    def on_leave(self, member: omnisonic.Member, reason: str) -> Any:
        return self.answer() if member.member_id == "leaver" else None


class Awaitable(Odd):
    """Its hooks return a coroutine, from a plain function."""

    @staticmethod
    def answer() -> Any:
        return coroutine_function()


@pytest.mark.parametrize("room_class", [Odd, Awaitable])
async def test_an_odd_answer_crashes_the_room_and_nothing_is_relayed(
    room_class: type[Odd], caplog: pytest.LogCaptureFixture
) -> None:
    """Of a message, of bytes, of a name; who asked is told at once, with the id of their message."""
    async with band("ada", "bo", room_class=room_class) as (gateway, [ada, bo]):
        with trio.fail_after(DEADLINE_S), pytest.raises(omnisonic.NotTaken) as refused:
            await ada.ask("odd", "secret")
        assert refused.value.code == "room_crashed"
        await ada.say_bytes(b"odd")
        assert (await hear(ada, "error")).payload["code"] == "room_crashed"
        with pytest.raises(omnisonic.NotTaken) as refused:
            await ada.set_presence(name="Odd")
        assert refused.value.code == "room_crashed"
        await ada.say("done")
        assert await until(bo, "done") == []
        assert [each.display_name for each in gateway.members("jam")] == ["Ada", "Bo"]
        assert ["must return" in letter.reason for letter in gateway.dead_letters("jam")] == [True] * 3
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == ["room.crashed"] * 3


async def test_an_odd_answer_of_a_hook_that_only_watches_is_a_crash_too() -> None:
    """A filter that is written into the wrong hook does not look as if it worked."""
    async with band("ada", room_class=Odd) as (gateway, [ada]):
        async with member(gateway, "joiner") as joiner:
            await joiner.ask("note")
        await hear(ada, "presence.leave")
        async with member(gateway, "leaver"):
            pass
        await hear(ada, "presence.leave")
        await ada.ask("note")
        kinds = [(letter.kind, "must return nothing" in letter.reason) for letter in gateway.dead_letters("jam")]
        assert kinds == [("Join", True), ("Leave", True)]


class Censor(omnisonic.Room[None]):
    """Moderates messages, and nothing else."""

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> bool:
        return "secret" not in str(message.payload)


def censor(room: omnisonic.Room[Any], member: omnisonic.Member, message: omnisonic.Message) -> bool:
    return "secret" not in str(message.payload)


@pytest.mark.parametrize("options", [{"room_class": Censor}, {"on_message": censor}], ids=["room", "all rooms"])
async def test_where_messages_are_moderated_bytes_and_names_are_refused(options: dict[str, Any]) -> None:
    """What is kept back as a message does not reach others in another way; a status says nothing, and is taken."""
    async with band("ada", "bo", **options) as (gateway, [ada, bo]):
        await ada.say("note", "secret")
        await ada.say_bytes(b"secret")
        assert (await hear(ada, "error")).payload["code"] == "binary_refused"
        with pytest.raises(omnisonic.NotTaken) as refused:
            await ada.set_presence(name="secret")
        assert refused.value.code == "name_refused"
        await ada.set_presence(status="away", name="Ada")
        async with omnisonic.connect(gateway.url, room="jam", name="secret", member_id="ada") as again:
            await again.say("done")
            received = await until(bo, "done")
            assert [message.type for message in received] == ["presence.update"] * 2
            assert "secret" not in str(received)
            names = [each.display_name for each in gateway.members("jam")]
            assert names == [each.display_name for each in again.members] == ["Ada", "Bo"]


async def test_without_moderation_bytes_and_names_go_on() -> None:
    """As they always did."""
    async with band("ada", "bo") as (_, [ada, bo]):
        await ada.say_bytes(b"\x90\x40")
        await ada.set_presence(name="Countess")
        message = await hear(bo, "")
        assert (message.is_binary, message.payload, message.sender) == (True, b"\x90\x40", "ada")
        assert (await hear(bo, "presence.update")).payload["displayName"] == "Countess"


class Doorkeeper(omnisonic.Room[None]):
    """Decides on bytes and names as well."""

    def on_binary(self, member: omnisonic.Member, data: bytes) -> bytes | bool | None:
        match data:
            case b"keep":
                return False
            case b"swap":
                return b"swapped"
            case b"words":
                raise omnisonic.InvalidInput("Not here.", code="not_here")
            case b"swell":
                return bytes(70_000)
        return None

    def on_presence(self, member: omnisonic.Member, before: omnisonic.Member | None) -> omnisonic.Member | bool | None:
        match member.display_name:
            case "Keep":
                return False
            case "Swap":
                return omnisonic.Member(member.member_id, "Swapped", member.status)
            case "Words":
                raise omnisonic.InvalidInput("Choose another name.", code="rude_name")
            case "Thief":
                return omnisonic.Member("somebody else", "Thief")
            case "Long":
                return omnisonic.Member(member.member_id, "x" * 65)
        return None


async def test_a_room_decides_on_bytes() -> None:
    """They go on, stay, are swapped or refused in words; messages are not moderated by that."""
    async with band("ada", "bo", room_class=Doorkeeper) as (gateway, [ada, bo]):
        for data in (b"plain", b"keep", b"swap", b"words", b"swell"):
            await ada.say_bytes(data)
        await ada.say("done", "as it is")
        assert [message.payload for message in await until(bo, "done")] == [b"plain", b"swapped"]
        assert [(await hear(ada, "error")).payload["code"] for _ in range(2)] == ["not_here", "room_crashed"]
        assert "70000" in gateway.dead_letters("jam")[0].reason


async def test_a_room_decides_on_names_of_who_is_there_and_of_who_comes() -> None:
    """A newcomer with a name that is refused does not get in, and hears why; who is there stays as they are shown."""
    async with band("ada", "bo", room_class=Doorkeeper) as (gateway, [ada, bo]):
        await hear(ada, "presence.join")
        refusals = []
        for name in ("Words", "Thief", "Long"):
            with pytest.raises(omnisonic.NotTaken) as not_taken:
                await ada.set_presence(name=name)
            refusals.append(not_taken.value.code)
        assert refusals == ["rude_name", "room_crashed", "room_crashed"]
        for name in ("Keep", "Swap", "Countess"):
            await ada.set_presence(name=name)
        updates = [(await hear(bo, "presence.update")).payload["displayName"] for _ in range(2)]
        assert updates == ["Swapped", "Countess"]
        for name, code in (("Keep", "name_refused"), ("Words", "rude_name")):
            with pytest.raises(omnisonic.EntryRefused) as refused:
                async with omnisonic.connect(gateway.url, room="jam", name=name, member_id="cy"):
                    pass
            assert refused.value.code == code
        async with omnisonic.connect(gateway.url, room="jam", name="Swap", member_id="cy"):
            assert (await hear(bo, "presence.join")).payload["displayName"] == "Swapped"
        async with omnisonic.connect(gateway.url, room="jam", name="Words", member_id="ada") as again:
            assert [each.display_name for each in again.members] == ["Countess", "Bo"]
