"""Rooms of a program that load and save their state (SPEC 8)."""

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest
import trio

import omnisonic
from tests.clients import DEADLINE_S
from tests.embedding.staging import band, hear, member
from tests.rooms import eventually


class Ledger(omnisonic.Room[list[str]]):
    """Writes down what is said, in a file; what it does wrong is said by the test."""

    folder: ClassVar[Path]
    loads: ClassVar[list[str]] = []
    saves: ClassVar[list[list[str]]] = []
    fail_loads: ClassVar[int] = 0
    fail_saves: ClassVar[int] = 0
    loaded: ClassVar[trio.Event]
    save_every_s = 0.0

    def initial_state(self) -> list[str]:
        return ["new"]

    async def load(self, name: str) -> list[str] | None:
        Ledger.loads.append(name)
        await Ledger.loaded.wait()
        if Ledger.fail_loads:
            Ledger.fail_loads -= 1
            raise OSError("the disk is not there")
        path = Ledger.folder / name
        return json.loads(path.read_text()) if path.exists() else None

    async def save(self, name: str, state: list[str]) -> None:
        data = list(state)
        await trio.lowlevel.checkpoint()
        if Ledger.fail_saves:
            Ledger.fail_saves -= 1
            raise OSError("the disk is full")
        Ledger.saves.append(data)
        (Ledger.folder / name).write_text(json.dumps(data))

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> None:
        if message.type == "poison":
            raise ValueError("poison")
        self.state.append(str(message.payload))
        self.say("ledger", self.state)

    def on_crash(self, error: Exception, state: list[str]) -> list[str]:
        return state


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path) -> None:
    """An empty folder, and nothing wrong."""
    Ledger.folder, Ledger.loaded = tmp_path, trio.Event()
    Ledger.loads, Ledger.saves, Ledger.fail_loads, Ledger.fail_saves = [], [], 0, 0
    Ledger.loaded.set()


async def test_a_room_goes_on_when_its_program_is_started_again() -> None:
    """What was said last is there, also when it was said just before the end."""
    for word in ("one", "two"):
        async with band("ada", room_class=Ledger) as (_, (ada,)):
            await ada.ask("note", word)
    async with band("ada", room_class=Ledger) as (gateway, (ada,)):
        room = gateway.room("jam")
        assert room is not None
        assert room.state == ["new", "one", "two"]
    assert json.loads((Ledger.folder / "jam").read_text()) == ["new", "one", "two"]


async def test_members_wait_for_a_room_that_is_being_loaded_and_other_rooms_do_not() -> None:
    """Nobody is let in before the state is there; what waits is handled then."""
    Ledger.loaded = trio.Event()
    entered: list[str] = []
    async with omnisonic.open_gateway(room_class=Ledger) as gateway, trio.open_nursery() as nursery:

        async def enter(name: str) -> None:
            async with member(gateway, name):
                entered.append(name)

        nursery.start_soon(enter, "ada")
        await eventually(lambda: Ledger.loads == ["jam"])
        assert entered == []
        Ledger.loaded.set()
        await eventually(lambda: entered == ["ada"])


async def test_a_room_that_cannot_be_loaded_does_not_begin(caplog: pytest.LogCaptureFixture) -> None:
    """It would overwrite what it could not read: the member is refused for now, and the next attempt loads again."""
    Ledger.fail_loads = 1
    (Ledger.folder / "jam").write_text('["old"]')
    async with omnisonic.open_gateway(room_class=Ledger) as gateway:
        with caplog.at_level(logging.ERROR), pytest.raises(omnisonic.EntryRefused):
            async with member(gateway, "ada"):
                pass
        assert "room.load_failed" in caplog.messages
        assert gateway.rooms == []
        async with member(gateway, "ada") as ada:
            await ada.ask("note", "more")
    assert Ledger.saves[-1] == ["old", "more"]


async def test_saves_coalesce_and_one_runs_at_a_time() -> None:
    """A hundred messages are not a hundred files."""
    running, most = 0, 0
    gate = trio.Event()

    class Slow(Ledger):
        async def save(self, name: str, state: list[str]) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await gate.wait()
            await super().save(name, state)
            running -= 1

    async with band("ada", room_class=Slow) as (_, (ada,)):
        for number in range(100):
            await ada.ask("note", number)
        gate.set()
        await eventually(lambda: bool(Ledger.saves) and Ledger.saves[-1][-1] == "99")
    assert most == 1
    assert len(Ledger.saves) <= 5


async def test_a_save_that_fails_is_made_up_for(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and tried again; nothing is lost."""
    Ledger.fail_saves = 1
    with caplog.at_level(logging.ERROR):
        async with band("ada", room_class=Ledger) as (_, (ada,)):
            await ada.ask("note", "one")
            await eventually(lambda: bool(Ledger.saves), DEADLINE_S)
    assert "room.save_failed" in caplog.messages
    assert Ledger.saves[-1] == ["new", "one"]


async def test_a_room_that_crashed_is_saved_as_it_goes_on() -> None:
    """Not half changed."""
    async with band("ada", "bo", room_class=Ledger) as (_, (ada, bo)):
        await ada.ask("note", "one")
        with suppress(omnisonic.NotTaken):
            await ada.ask("poison")
        await ada.ask("note", "two")
        await hear(bo, "ledger")
    assert Ledger.saves[-1] == ["new", "one", "two"]


@pytest.mark.parametrize("hook", ["load", "save"])
def test_a_hook_that_is_not_async_is_refused_when_the_class_is_defined(hook: str) -> None:
    """It would block all rooms."""
    with pytest.raises(TypeError, match="async"):
        type("Wrong", (omnisonic.Room,), {hook: lambda self, *arguments: None})


async def test_whose_load_or_save_runs_is_known_to_the_watchdog() -> None:
    """What blocks the loop there is logged with the room's name."""
    running: list[tuple[str, str]] = []

    class Watched(omnisonic.Room[int]):
        def initial_state(self) -> int:
            return 0

        async def load(self, name: str) -> None:
            running.append(("load", whose()))

        async def save(self, name: str, state: int) -> None:
            running.append(("save", whose()))

    async with band(room_class=Watched) as (gateway, _):

        def whose() -> str:
            actor = gateway._gateway.registry.dispatcher.running
            return str(getattr(actor, "room_id", actor))

        async with member(gateway, "ada"):
            await eventually(lambda: len(running) == 2)
    assert running[:2] == [("load", "jam"), ("save", "jam")]
