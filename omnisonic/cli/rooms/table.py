"""The table of rooms: its columns, the order of its rows, and the format of its cells. Pure.

Text from members (ids, names, types) is printed without control characters.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

import msgspec

from omnisonic.wire.inspection import Answer, NotAnswering, Rooms
from omnisonic.wire.inspection_lines import ClosedRoom, GatewayLine, RoomLine, State, sparse_line

ORDER: Final = get_args(State)
"""The states, the most urgent first."""
STYLES: Final = {
    "stuck": "bold red",
    "restarting": "yellow",
    "crashed": "red",
    "hogged": "magenta",
    "degraded": "magenta",
    "behind": "yellow",
    "live": "green",
    "quiet": "",
    "waiting": "dim",
    "empty": "dim",
    "edge": "dim",
}
NOTABLE: Final = frozenset(ORDER[: ORDER.index("live")])
_DIGITS: Final = re.compile("([0-9]{1,18})")
GAP: Final = 2
"""Blanks between columns."""


@dataclass(frozen=True, slots=True)
class Row:
    """A room of a gateway."""

    gateway: str
    line: RoomLine


@dataclass(frozen=True, slots=True)
class View:
    """The last answer of a gateway. `problem` is a sentence, `stall` says what blocks its event loop."""

    name: str
    lines: tuple[RoomLine, ...] = ()
    gateway: GatewayLine | None = None
    closed: tuple[ClosedRoom, ...] = ()
    stall: NotAnswering | None = None
    problem: str = ""

    def rows(self) -> list[Row]:
        """Its rooms, including the one that blocks it, even if that was not in the last answer."""
        lines = list(self.lines)
        if self.stall is not None and self.stall.room is not None:
            room = self.stall.room
            known = [line for line in lines if line.room == room] or [sparse_line(room, "stuck", "")]
            note = f"keeps everybody waiting, {self.stall.for_s:.1f} s by now: {self.stall.at}"
            lines = [line for line in lines if line.room != room]
            lines.append(msgspec.structs.replace(known[0], state="stuck", note=note))
        return [Row(self.name, line) for line in lines]

    def sentence(self) -> str:
        """A sentence that says what is wrong with the gateway; empty when nothing is."""
        if self.stall is None:
            return self.problem
        what = f"the room {printable(self.stall.room)} keeps it busy" if self.stall.room else "something keeps it busy"
        where = f" ({printable(self.stall.at.partition(' < ')[0])})" if self.stall.at else ""
        return f"{self.name} is not answering: {what}, for {self.stall.for_s:.1f} s by now{where}."


def rows_of(views: Sequence[View]) -> list[Row]:
    """The rooms of several gateways. A room whose owner is one of them is listed as the owner's, and not as an edge."""
    owned = {
        (view.gateway.name, line.room)
        for view in views
        if view.gateway is not None
        for line in view.lines
        if line.owner is None
    }

    def is_owner_here(line: RoomLine) -> bool:
        owner = line.owner
        # A gateway of several workers answers as one; each of them has the name of the gateway, and its number.
        return owner is not None and any((name, line.room) in owned for name in (owner, owner.rpartition("/")[0]))

    return [row for view in views for row in view.rows() if not is_owner_here(row.line)]


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """The sort key of a name, for which `room2` comes before `room10`."""
    parts = (part for part in _DIGITS.split(name[:256]) if part)
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its text for a row, and its sort key. On a narrow terminal the highest `rank` is dropped first."""

    name: str
    title: str
    width: int
    rank: int
    text: Callable[[Row], str]
    key: Callable[[Row], Any]
    is_number: bool = True


COLUMNS: Final = (
    Column("gateway", "GATEWAY", 21, 3, lambda row: row.gateway, lambda row: row.gateway, is_number=False),
    Column("room", "ROOM", 16, 0, lambda row: printable(row.line.room), lambda row: natural_key(row.line.room), False),
    Column("state", "STATE", 10, 0, lambda row: row.line.state, lambda row: -ORDER.index(row.line.state), False),
    Column("members", "MEMBERS", 7, 1, lambda row: f"{row.line.members:,}", lambda row: row.line.members),
    Column("in", "IN/S", 7, 1, lambda row: format_rate(row.line.messages_per_s), lambda row: row.line.messages_per_s),
    Column(
        "out", "OUT/S", 7, 4, lambda row: format_rate(row.line.deliveries_per_s), lambda row: row.line.deliveries_per_s
    ),
    Column("p50", "P50 MS", 7, 6, lambda row: f"{row.line.handler_p50_ms:.2f}", lambda row: row.line.handler_p50_ms),
    Column("p99", "P99 MS", 7, 2, lambda row: f"{row.line.handler_p99_ms:.2f}", lambda row: row.line.handler_p99_ms),
    Column("mail", "MAIL", 6, 3, lambda row: f"{row.line.mailbox:,}", lambda row: row.line.mailbox),
    Column("high", "HIGH", 6, 7, lambda row: f"{row.line.mailbox_high_water:,}", lambda r: r.line.mailbox_high_water),
    Column("queued", "QUEUED", 7, 5, lambda row: format_size(row.line.queued_bytes), lambda row: row.line.queued_bytes),
    Column("lag", "LAG S", 6, 6, lambda row: f"{row.line.lag_s:.2f}", lambda row: row.line.lag_s),
    Column("restarts", "RESTARTS", 8, 2, lambda row: f"{row.line.restarts:,}", lambda row: row.line.restarts),
    Column("dead", "DEAD", 5, 7, lambda row: f"{row.line.dead_letters:,}", lambda row: row.line.dead_letters),
    Column("up", "UP", 7, 5, lambda row: format_duration(row.line.uptime_s), lambda row: row.line.uptime_s),
    Column("note", "NOTE", 24, 8, lambda row: printable(row.line.note), lambda row: row.line.note, is_number=False),
)
SORTS: Final = tuple(column.name for column in COLUMNS)


def make_view(name: str, answers: Iterable[Answer]) -> View:
    """The view of a gateway, from its answers to `AskRooms`."""
    lines: list[RoomLine] = []
    for answer in answers:
        match answer:
            case Rooms():
                lines.extend(answer.rooms)
                if not answer.more:
                    problem = " ".join(map(printable, answer.problems))
                    return View(name, tuple(lines), answer.gateway, answer.closed, problem=problem)
            case NotAnswering():
                return View(name, tuple(lines), stall=answer)
            case _:
                pass
    return View(name, tuple(lines), problem=f"The gateway at {name} did not answer to the end.")


def choose_columns(width: int | None, *, several: bool) -> tuple[Column, ...]:
    """The columns that fit into `width` characters; None: all. With `several` gateways there is a column for them."""
    columns = [column for column in COLUMNS if several or column.name != "gateway"]
    while width is not None and sum(column.width + GAP for column in columns) - GAP > width and len(columns) > 1:
        columns.remove(max(reversed(columns), key=lambda column: column.rank))
    return tuple(columns)


def sort_rows(rows: Iterable[Row], by: str, *, reverse: bool = False) -> list[Row]:
    """The rows sorted by a column: numbers and states in descending order, words from A to Z."""
    column = next(column for column in COLUMNS if column.name == by)
    from_the_top = column.is_number or column.name == "state"
    named = sorted(rows, key=lambda row: (natural_key(row.line.room), row.gateway))
    return sorted(named, key=column.key, reverse=from_the_top != reverse)


def filter_rows(rows: Iterable[Row], text: str) -> list[Row]:
    """The rows with `text` in their room, state or note."""
    wanted = text.casefold()
    return [row for row in rows if wanted in f"{row.line.room} {row.line.state} {row.line.note}".casefold()]


def summarise(views: Sequence[View]) -> str:
    """The totals of all gateways in one line."""
    gateways = [view.gateway for view in views if view.gateway is not None]
    rooms = sum(gateway.rooms for gateway in gateways)
    members = sum(gateway.members for gateway in gateways)
    messages = sum(gateway.messages_per_s for gateway in gateways)
    deliveries = sum(gateway.deliveries_per_s for gateway in gateways)
    restarts = sum(gateway.restarts for gateway in gateways)
    letters = sum(gateway.dead_letters for gateway in gateways)
    return (
        f"{count_of(rooms, 'room')}, {count_of(members, 'member')},"
        f" {format_rate(messages)} in/s, {format_rate(deliveries)} out/s,"
        f" {count_of(restarts, 'restart')}, {count_of(letters, 'dead letter')}"
    )


def count_of(number: int, noun: str) -> str:
    """A number with its noun: `1 room`, `2 rooms`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """`text` with control characters replaced."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def format_rate(per_s: float) -> str:
    """A rate as a short text."""
    return f"{per_s:.1f}" if per_s < 100 else f"{per_s:,.0f}"


def format_size(count: int) -> str:
    """A number of bytes as a short text."""
    return str(count) if count < 1000 else f"{count / 1024:,.0f} K"


def format_duration(seconds: float) -> str:
    """A duration as a short text."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}" if whole < 86400 else f"{whole // 86400} d"
