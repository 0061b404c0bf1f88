"""`omnisonic rooms top`: all rooms live, like htop. Press `?` for the keys.

The screen uses Textual and asyncio. A thread (`omnisonic.cli.rooms.feed`) reads from the gateways, and its last views
are drawn once a second. Gateways that do not answer are shown at the top, and the room that blocks one is `stuck`.
"""

import sys
from collections.abc import Sequence
from typing import ClassVar, Final, Protocol

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Static

from omnisonic.cli.rooms.feed import Feed
from omnisonic.cli.rooms.inspect_client import GatewayAddress, NotInspected
from omnisonic.cli.rooms.table import (
    GAP,
    STYLES,
    Column,
    Row,
    View,
    choose_columns,
    filter_rows,
    printable,
    rows_of,
    sort_rows,
    summarise,
)

DRAW_S: Final = 1.0
SCROLLBAR: Final = 2
ROWS: Final = 500
"""The most rows that are shown; use the filter to see others."""
HELP: Final = """\
Rooms, a look each second.

  Up, Down, PgUp, PgDn, Home, End   move
  s, S      sort by the next column, or the one before (or click its title)
  r         the other way round
  /         filter by room, state or note; Enter keeps it, Esc ends it
  p, Space  pause, and go on
  ?         this help, and away with it
  q         quit

State, the worst first: stuck (its handler keeps the gateway busy now),
restarting, crashed and hogged (in the last minute), degraded (it may have
another owner), behind (more waits than one turn handles), live, quiet (nothing
for 10 s), waiting (all connections broke), empty, edge (another gateway's).
IN/S and OUT/S are over 10 s; P50 and P99 are how long 128 of the last turns
of the room's handler took; MAIL waits in its mailbox, QUEUED for its members.
"""


class Views(Protocol):
    """The source of the views: a `Feed`, or a fake in tests."""

    def views(self) -> list[View]: ...


class Help(ModalScreen[None]):
    """The screen with the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,escape,q,enter", "dismiss", "Close", key_display="?")
    ]
    DEFAULT_CSS = """
    Help { align: center middle; }
    Help VerticalScroll {
        width: 80; max-width: 100%; height: auto; max-height: 100%; border: round $accent; padding: 0 1;
    }
    """

    def compose(self) -> ComposeResult:
        yield VerticalScroll(Static(HELP, markup=False))


class RoomTop(App[None]):
    """The screen."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("s", "sort(1)", "Sort"),
        Binding("S", "sort(-1)", "Sort back", show=False),
        Binding("r", "reverse", "Reverse"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("p,space", "pause", "Pause"),
        Binding("escape", "unfilter", "All", show=False),
    ]
    CSS = """
    Screen { background: $background; }
    #total { height: auto; text-style: bold; }
    #problems { height: auto; color: $error; display: none; }
    #detail { height: auto; max-height: 3; }
    #filter { display: none; border: none; height: 1; padding: 0; }
    DataTable { height: 1fr; }
    """

    def __init__(self, feed: Views, *, by: str = "state", reverse: bool = False, several: bool = False) -> None:
        super().__init__()
        self._feed = feed
        self._by = by
        self._reverse = reverse
        self._several = several
        self._wanted = ""
        self._paused = False
        self._width = 0
        self._columns: tuple[Column, ...] = ()
        self._rows: list[Row] = []
        # Held here and not asked for: a tick may come when the screen has been taken down already.
        self._total, self._problems, self._detail = (
            Static(id=name, markup=False) for name in ("total", "problems", "detail")
        )
        self._table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=False, cell_padding=GAP // 2)
        self._filter = Input(id="filter", placeholder="room, state or note")

    def compose(self) -> ComposeResult:
        yield from (self._total, self._problems, self._table, self._detail, self._filter, Footer())

    def on_mount(self) -> None:
        """Draw now, and each second."""
        self._table.focus()
        self._width = self.size.width
        self._lay_out()
        self.set_interval(DRAW_S, self._tick)

    def on_resize(self, event: Resize) -> None:
        """Show the columns that fit."""
        self._width = event.size.width
        if self._columns:
            self._lay_out()

    # Keys

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help())

    def action_sort(self, step: int) -> None:
        """Sort by another of the columns that are shown."""
        names = [column.name for column in self._columns]
        at = names.index(self._by) if self._by in names else 0
        self._sort_by(names[(at + step) % len(names)])

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._reverse = not self._reverse
        self._lay_out()

    def action_pause(self) -> None:
        """Stop drawing, or go on."""
        self._paused = not self._paused
        self._draw_total()
        self._tick()

    def action_filter(self) -> None:
        """Ask for what to show."""
        self._filter.display = True
        self._filter.focus()

    def action_unfilter(self) -> None:
        """Show all rooms."""
        self._filter.value = ""
        self._end_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self._wanted = event.value
        self._draw()

    def on_input_submitted(self) -> None:
        """Keep the filter."""
        self._end_filter()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sort by the title that was clicked."""
        self._sort_by(self._columns[event.column_index].name)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Show the details of the selected room."""
        self._draw_detail(event.cursor_row)

    def _end_filter(self) -> None:
        self._filter.display = bool(self._filter.value)
        self._table.focus()

    def _sort_by(self, name: str) -> None:
        self._by, self._reverse = name, False
        self._lay_out()

    # Drawing

    def _tick(self) -> None:
        if not self._paused:
            self._draw()

    def _lay_out(self) -> None:
        """Begin the table again, with the columns that fit now."""
        self._columns = tuple(
            column
            for column in choose_columns(self._width - SCROLLBAR - GAP, several=self._several)
            if column.name != "note"
        )
        self._table.clear(columns=True)
        words = sum(column.width + GAP for column in self._columns)
        for column in self._columns:
            mark = (
                ("\N{BLACK DOWN-POINTING TRIANGLE}" if not self._reverse else "\N{BLACK UP-POINTING TRIANGLE}")
                if column.name == self._by
                else ""
            )
            spare = max(0, self._width - words - SCROLLBAR) if column.name == "room" else 0
            title = Text(f"{column.title}{mark}", justify="right" if column.is_number else "left")
            self._table.add_column(title, width=column.width + min(spare, 2 * column.width))
        self._draw()

    def _draw(self) -> None:
        if not self._columns:
            return
        found = filter_rows(rows_of(self._feed.views()), self._wanted)
        self._rows = sort_rows(found, self._by, reverse=self._reverse)[:ROWS]
        drawn = [[self._cell(column, row) for column in self._columns] for row in self._rows]
        while self._table.row_count > len(drawn):
            self._table.remove_row(self._table.coordinate_to_cell_key(Coordinate(self._table.row_count - 1, 0)).row_key)
        for number, cells in enumerate(drawn):
            if number >= self._table.row_count:
                self._table.add_row(*cells)
                continue
            for at, (old, new) in enumerate(zip(self._table.get_row_at(number), cells, strict=True)):
                if old != new:
                    self._table.update_cell_at(Coordinate(number, at), new)
        self._draw_total()
        self._draw_detail(self._table.cursor_row)

    def _cell(self, column: Column, row: Row) -> Text:
        style = STYLES[row.line.state] if column.name == "state" else ""
        return Text(column.text(row), style, justify="right" if column.is_number else "left", no_wrap=True)

    def _draw_total(self) -> None:
        views = self._feed.views()
        filtered = f" [{printable(self._wanted)}]" if self._wanted else ""
        paused = " PAUSED" if self._paused else ""
        self._total.update(f"{summarise(views)}{filtered}{paused}")
        sentences = [view.sentence() for view in views if view.sentence()]
        sentences += [
            f"{printable(closed.room)} was closed at {closed.at:%H:%M:%S}: {printable(closed.reason)}"
            for view in views
            for closed in view.closed
        ]
        self._problems.update("\n".join(sentences[:5]))
        self._problems.display = bool(sentences)

    def _draw_detail(self, number: int) -> None:
        detail = ""
        if 0 <= number < len(self._rows):
            line = self._rows[number].line
            detail = f"{printable(line.room)}: {line.state}{f', {printable(line.note)}' if line.note else ''}"
        self._detail.update(detail)


def run(places: Sequence[GatewayAddress], *, by: str, reverse: bool) -> None:
    """Show the screen until it is quit. Errors: `NotInspected` without a terminal."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):  # Textual draws on the last one
        raise NotInspected("top needs a terminal: use --json, or `omnisonic rooms ls`.")
    feed = Feed(places)
    feed.start()
    try:
        RoomTop(feed, by=by, reverse=reverse, several=len(places) > 1).run()
    finally:
        feed.stop()
