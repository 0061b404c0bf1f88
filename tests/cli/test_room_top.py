"""`omnisonic rooms top`, by Textual's pilot: what is on the screen, and what the keys do."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from omnisonic.cli.rooms.table import View
from omnisonic.cli.rooms.top import ROWS, Help, RoomTop
from omnisonic.wire.inspection import NotAnswering
from omnisonic.wire.inspection_lines import GatewayLine, RoomLine
from tests.patience import patient_timeout

LINE = RoomLine("jam", 1, "live", "", 4, 0, 7, 900, 80.0, 2700, 240.0, 0.02, 0.3, 0, 0, 0, 0.0, 61.0)
GATEWAY = GatewayLine("here", 1, "0.1.0", 9.0, 8, 3, 12, 900, 80.0, 2700, 240.0, 2, 1, 1)


def line(room: str, **differently: Any) -> RoomLine:
    return msgspec.structs.replace(LINE, room=room, **differently)


@dataclass
class Feed:
    """Gives the views that the test puts there."""

    seen: list[View] = field(
        default_factory=lambda: [
            View("here", (line("b"), line("a", state="crashed", note="ValueError"), line("c10"), line("c9")), GATEWAY)
        ]
    )

    def views(self) -> list[View]:
        return self.seen


def on(
    act: Callable[[RoomTop, "Pilot[None]"], Awaitable[None]],
    feed: Feed | None = None,
    size: tuple[int, int] = (130, 30),
    **options: Any,
) -> None:
    """Run the app without a terminal, and `act` on it. Textual is asyncio's."""

    async def run() -> None:
        app = RoomTop(feed or Feed(), **options)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await act(app, pilot)

    async def within() -> None:
        async with patient_timeout(20):
            await run()

    asyncio.run(within())


def rows(app: RoomTop) -> list[list[str]]:
    table = app.query_one(DataTable)
    return [[str(cell) for cell in table.get_row_at(number)] for number in range(table.row_count)]


def names(app: RoomTop) -> list[str]:
    return [row[0] for row in rows(app)]


def titles(app: RoomTop) -> list[str]:
    return [
        str(column.label).strip("\N{BLACK DOWN-POINTING TRIANGLE}\N{BLACK UP-POINTING TRIANGLE}")
        for column in app.query_one(DataTable).ordered_columns
    ]


def text(app: RoomTop, id_: str) -> str:
    return str(app.query_one(f"#{id_}", Static).content)


def test_all_rooms_are_shown_and_the_worst_first() -> None:
    """With what is wrong with the one under the cursor, and everything in one line at the top."""

    async def act(app: RoomTop, pilot: "Pilot[None]") -> None:
        assert names(app) == ["a", "b", "c9", "c10"]
        assert text(app, "total").startswith("3 rooms, 12 members, 80.0 in/s, 240 out/s, 2 restarts, 1 dead letter")
        assert text(app, "detail") == "a: crashed, ValueError"
        await pilot.press("down")
        assert text(app, "detail") == "b: live"

    on(act)


def test_it_is_sorted_by_any_column_both_ways() -> None:
    """By keys; the title says by which."""
    feed = Feed([View("here", tuple(line(name, members=count) for name, count in (("a", 3), ("b", 9), ("c", 1))))])

    async def act(app: RoomTop, pilot: "Pilot[None]") -> None:
        await pilot.press("s")
        assert names(app) == ["b", "a", "c"]
        await pilot.press("r")
        assert names(app) == ["c", "a", "b"]
        await pilot.press("S", "S")
        assert names(app) == ["a", "b", "c"]

    on(act, feed)


def test_drawing_when_the_screen_has_been_taken_down_does_nothing() -> None:
    """As a tick does that comes while it quits: nobody sees a traceback."""

    async def act(app: RoomTop, pilot: "Pilot[None]") -> None:
        await app.screen.remove_children()
        await pilot.press("p", "p")

    on(act)


def test_it_is_filtered_while_it_is_typed() -> None:
    """By room, state or note; Enter keeps the filter, Esc ends it."""

    async def act(app: RoomTop, pilot: "Pilot[None]") -> None:
        await pilot.press("slash", *"C1")
        assert names(app) == ["c10"]
        await pilot.press("enter")
        assert app.focused is app.query_one(DataTable)
        assert "[C1]" in text(app, "total")
        await pilot.press("escape")
        assert len(names(app)) == 4
        assert not app.query_one("#filter", Input).display
        await pilot.press("slash", *"valueerror")
        assert names(app) == ["a"]

    on(act)


def test_it_follows_what_happens_until_it_is_paused() -> None:
    """Rooms come, change and go."""
    feed = Feed()

    async def act(app: RoomTop, pilot: "Pilot[None]") -> None:
        feed.seen = [View("here", (line("new", members=9),), GATEWAY)]
        app._tick()
        assert (names(app), rows(app)[0][2]) == (["new"], "9")
        await pilot.press("p")
        feed.seen = [View("here", (line("newer"), line("newest")), GATEWAY)]
        app._tick()
        assert names(app) == ["new"]
        assert "PAUSED" in text(app, "total")
        await pilot.press("space")
        assert names(app) == ["newer", "newest"]

    on(act, feed)


def test_a_stuck_room_and_a_gateway_that_is_lost_are_named() -> None:
    """At the top in a sentence, and in its row, whether or not the room was known."""
    stall = NotAnswering("1", "b", 3.25, "band.py:7 in heard")
    views = [
        View("here", (line("a"), line("b")), GATEWAY, stall=stall),
        View("there", problem="Nothing answers there."),
    ]

    async def act(app: RoomTop, pilot: "Pilot[None]") -> None:
        reported = text(app, "problems").splitlines()
        assert reported == [
            "here is not answering: the room b keeps it busy, for 3.2 s by now (band.py:7 in heard).",
            "Nothing answers there.",
        ]
        assert rows(app)[0][1:3] == ["b", "stuck"]
        assert "band.py:7 in heard" in text(app, "detail")
        assert titles(app)[0] == "GATEWAY"

    on(act, Feed(views), several=True)


def test_a_narrow_terminal_has_fewer_columns() -> None:
    """And when it becomes wider, more."""

    async def act(app: RoomTop, pilot: "Pilot[None]") -> None:
        assert titles(app)[:3] == ["ROOM", "STATE", "MEMBERS"]
        narrow = len(titles(app))
        assert app.query_one(DataTable).virtual_size.width <= 60
        await pilot.resize_terminal(160, 30)
        await pilot.pause()
        assert len(titles(app)) > narrow
        assert len(names(app)) == 4

    on(act, size=(60, 20))


def test_help_tells_the_keys_and_goes_away() -> None:
    """By `?`, both."""

    async def act(app: RoomTop, pilot: "Pilot[None]") -> None:
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        await pilot.press("question_mark")
        assert not isinstance(app.screen, Help)
        await pilot.press("q")
        assert app._exit

    on(act)


def test_more_rooms_than_anybody_reads_are_cut() -> None:
    """The filter finds the others."""
    many = tuple(line(f"room{number}") for number in range(ROWS + 100))

    async def act(app: RoomTop, pilot: "Pilot[None]") -> None:
        assert len(names(app)) == ROWS
        await pilot.press("slash", *f"room{ROWS + 50}")
        assert names(app) == [f"room{ROWS + 50}"]

    on(act, Feed([View("here", many, GATEWAY)]))


def test_what_members_are_called_does_nothing_to_the_terminal() -> None:
    """No escape, no markup."""
    feed = Feed([View("here", (line("\x1b[31m[bold]evil[/]", note="\x1b]0;title\x07"),), GATEWAY)])

    async def act(app: RoomTop, pilot: "Pilot[None]") -> None:
        assert names(app) == ["\N{REPLACEMENT CHARACTER}[31m[bold]evil[/]"]
        assert "\x1b" not in text(app, "detail")

    on(act, feed)
