"""The table of rooms: order, columns and figures. Pure."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.cli.rooms.table import (
    GAP,
    ORDER,
    SORTS,
    Row,
    View,
    choose_columns,
    format_duration,
    format_rate,
    format_size,
    make_view,
    rows_of,
    sort_rows,
)
from omnisonic.wire.inspection import NotAnswering, Rooms
from omnisonic.wire.inspection_lines import GatewayLine, RoomLine

bounded = settings(max_examples=200)
GATEWAY = GatewayLine("a:1", 1, "1.0", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
LINE = RoomLine("jam", 1, "live", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@bounded
@given(st.integers(1, 400), st.booleans())
def test_columns_fit_or_there_is_only_one(width: int, several: bool) -> None:
    """However narrow it is; wider means more of them, and never others."""
    columns = choose_columns(width, several=several)
    assert len(columns) == 1 or sum(column.width + GAP for column in columns) - GAP <= width
    assert set(columns) <= set(choose_columns(width + 1, several=several))
    assert "room" in {column.name for column in columns} or width < 26


def test_sixty_characters_hold_what_matters() -> None:
    """What room, how it is, and how much it does."""
    assert [column.name for column in choose_columns(60, several=False)] == ["room", "state", "members", "in", "p99"]


@pytest.mark.parametrize("by", SORTS)
def test_every_column_sorts(by: str) -> None:
    """Both ways are each other's opposite, where nothing is equal."""
    figures = LINE.__struct_fields__[4:-1]
    rows = [
        Row(
            f"g{number}",
            msgspec.structs.replace(
                LINE, room=f"r{number}", state=ORDER[number], note=f"n{number}", **dict.fromkeys(figures, number)
            ),
        )
        for number in (3, 1, 2)
    ]
    assert sort_rows(rows, by) == sort_rows(rows, by, reverse=True)[::-1]


def test_states_are_sorted_by_how_much_they_want_an_operator() -> None:
    """And rooms of one state as people would."""
    rows = [
        Row("g", msgspec.structs.replace(LINE, room=f"r{number}", state=state))
        for state in ORDER[::-1]
        for number in (10, 9)
    ]
    assert [row.line.state for row in sort_rows(rows, "state")] == [state for state in ORDER for _ in range(2)]
    assert [row.line.room for row in sort_rows(rows, "state")[:2]] == ["r9", "r10"]


def test_an_answer_that_breaks_off_is_not_shown_as_whole() -> None:
    """A stall in the middle keeps what was told before; an end without the last part is said."""
    part = Rooms("1", (LINE,), more=True)
    stalled = make_view("here", [part, NotAnswering("1", "other", 2.0, "")])
    assert [(row.line.room, row.line.state) for row in stalled.rows()] == [("jam", "live"), ("other", "stuck")]
    assert make_view("here", [part]).sentence().endswith("did not answer to the end.")
    assert make_view("here", [part, Rooms("1", (), more=False)]).sentence() == ""


def test_a_stall_without_a_room_is_told_as_such() -> None:
    """Nobody is blamed."""
    view = View("here", (LINE,), stall=NotAnswering("1", None, 1.0, ""))
    assert view.sentence() == "here is not answering: something keeps it busy, for 1.0 s by now."
    assert [row.line.state for row in view.rows()] == ["live"]


def test_figures_are_short() -> None:
    """Whatever they are."""
    assert [format_rate(each) for each in (0, 9.96, 99.94, 12_345.6)] == ["0.0", "10.0", "99.9", "12,346"]
    assert [format_size(each) for each in (0, 999, 1024, 262_144)] == ["0", "999", "1 K", "256 K"]
    assert [format_duration(each) for each in (0, 59.9, 61, 3661, 100_000)] == ["0 s", "59 s", "1:01", "1:01:01", "1 d"]


def test_a_room_is_listed_as_its_owners() -> None:
    """Where the owner is asked, too. Otherwise the edge says whose it is; and rooms of one name may be several."""
    a, b, c = (msgspec.structs.replace(GATEWAY, name=name) for name in ("a:1", "b:1", "c:1"))
    edge = msgspec.structs.replace(LINE, state="edge", owner="a:1")
    views = [View("at a", (LINE,), a), View("at b", (edge,), b), View("at c", (LINE,), c)]
    assert [row.gateway for row in rows_of(views)] == ["at a", "at c"]
    assert [row.gateway for row in rows_of(views[1:])] == ["at b", "at c"]
    assert [row.gateway for row in rows_of([View("at a", (), a), views[1]])] == ["at b"], "it is not there yet"
    of_worker = msgspec.structs.replace(edge, owner="a:1/2")
    assert [row.gateway for row in rows_of([views[0], View("at b", (of_worker,), b)])] == ["at a"]
