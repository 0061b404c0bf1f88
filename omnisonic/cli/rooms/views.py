"""`omnisonic rooms ls`, `show` and `dead-letters`: print the answers of gateways once.

On a terminal a table has the columns that fit; in a pipe it has all.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from omnisonic.cli.rooms.inspect_client import GatewayAddress, NotInspected
from omnisonic.cli.rooms.printing import console, print_json, print_line, print_out
from omnisonic.cli.rooms.queries import (
    ask_gateways,
    ask_once,
    fetch_views,
    gateway_json,
    pick_answers,
    print_problems,
    row_json,
)
from omnisonic.cli.rooms.table import (
    GAP,
    NOTABLE,
    STYLES,
    Column,
    Row,
    choose_columns,
    count_of,
    format_duration,
    format_rate,
    format_size,
    printable,
    rows_of,
    sort_rows,
    summarise,
)
from omnisonic.wire import inspection
from omnisonic.wire.inspection_lines import HeldBy, MemberLine, RoomDetail

ROOM_WIDTH: Final = 16
"""On a narrow terminal a room's id is cut, but not below this many characters."""
HELD_BY: Final[dict[HeldBy, str]] = {"connection": "", "wait": "waited for", "lease": "lease"}
"""What stands in place of the status of a member who has no connection."""
LAST: Final = ("ADDRESS", "NAME")


def ls(places: Sequence[GatewayAddress], *, by: str, reverse: bool, as_json: bool) -> bool:
    """Print all rooms. Returns whether all gateways have answered. Raises `NotInspected` when none has."""
    views = fetch_views(places)
    rows = sort_rows(rows_of(views), by, reverse=reverse)
    if as_json:
        print_json({"gateways": [gateway_json(view) for view in views], "rooms": [row_json(row) for row in rows]})
        return print_problems(view.sentence() for view in views)
    output = console()
    columns = choose_columns(output.width if output.is_terminal else None, several=len(places) > 1)
    if rows:
        print_out(output, _table(output, columns, rows))
    if all(column.name != "note" for column in columns):
        for line in (row.line for row in rows if row.line.state in NOTABLE and row.line.note):
            print_out(output, Text(f"{printable(line.room)}: {printable(line.note)}"))
    for closed in (closed for view in views for closed in view.closed):
        print_out(output, Text(f"closed at {closed.at:%H:%M:%S}: {printable(closed.room)}, {printable(closed.reason)}"))
    if any(view.gateway is not None for view in views):
        print_out(output, Text(f"{summarise(views)}."))
    return print_problems(view.sentence() for view in views)


def show(places: Sequence[GatewayAddress], room: str, *, as_json: bool) -> bool:
    """Print one room, from every gateway that has it. Raises `NotInspected` when none has it.

    A gateway that is asked alone asks the owner, if that is another one.
    """
    question = inspection.AskRoom("1", room, here=len(places) > 1)
    found, problems = pick_answers(ask_gateways(places, partial(ask_once, question)), inspection.RoomAnswer)
    if not found:
        raise NotInspected(" ".join(problems))
    if as_json:
        print_json({"rooms": [_room_json(name, answer) for name, answer in found]})
        return True
    for name, answer in found:
        _show_room(console(), name if len(places) > 1 else "", answer)
    return True


def _room_json(gateway: str, answer: inspection.RoomAnswer) -> dict[str, Any]:
    return {"gateway": gateway, "owner": answer.owner, **msgspec.to_builtins(answer.room)}


def dead_letters(places: Sequence[GatewayAddress], room: str | None, *, payload: bool, as_json: bool) -> bool:
    """Print dead letters. Returns whether all gateways have answered."""
    question = inspection.AskDeadLetters("1", room, payload)
    found, problems = pick_answers(ask_gateways(places, partial(ask_once, question)), inspection.DeadLetterAnswer)
    letters = [(name, letter) for name, answer in found for letter in answer.letters]
    if as_json:
        print_json({"deadLetters": [{"gateway": name, **msgspec.to_builtins(letter)} for name, letter in letters]})
        return print_problems(problems)
    for name, letter in letters:
        whose = f"{name}  " if len(places) > 1 else ""
        who = printable(letter.sender or "nobody")
        print_line(
            f"{whose}{letter.letter:>4}  {letter.at:%Y-%m-%d %H:%M:%S}  {printable(letter.room)}  {who}"
            f"  {printable(letter.kind)}  {letter.size} B  {printable(letter.reason)}"
            f"{'  (sent again)' if letter.replayed else ''}"
        )
        if letter.payload is not None:
            print_line(f"      {printable(letter.payload)}")
    if found:
        print_line(f"{len(letters)} dead letter{'' if len(letters) == 1 else 's'}.")
    return print_problems(problems)


def _table(output: Console, columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    used = sum(column.width + GAP for column in columns if column.name not in ("room", "note"))
    spare = output.width - used - sum(GAP for column in columns if column.name in ("room", "note"))
    has_note = columns[-1].name == "note"
    widest = {"room": max(ROOM_WIDTH, spare // 2 if has_note else spare), "note": max(1, spare // 2)}
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            no_wrap=True,
            overflow="ellipsis",
            max_width=widest.get(column.name),
        )
    for row in rows:
        style = STYLES[row.line.state]
        table.add_row(*(Text(column.text(row), style if column.name == "state" else "") for column in columns))
    return table


def _show_room(console: Console, gateway: str, answer: inspection.RoomAnswer) -> None:
    detail = answer.room
    line = detail.line
    facts = {
        "gateway": gateway,
        "owner": printable(answer.owner or ""),
        "room": printable(line.room),
        "state": f"{line.state}{f' ({printable(line.note)})' if line.note else ''}",
        "up": f"{format_duration(line.uptime_s)}, life number {line.incarnation}, {line.restarts} restarts",
        "messages": f"{line.messages:,} in, {format_rate(line.messages_per_s)} a second; offset {detail.offset:,}",
        "deliveries": f"{line.deliveries:,}, {format_rate(line.deliveries_per_s)} a second",
        "handler": f"{line.handler_p50_ms:.2f} ms (p50), {line.handler_p99_ms:.2f} ms (p99)",
        "history": _describe_history(detail),
        "shared state": f"{count_of(detail.state_keys, 'key')}, {detail.state_bytes:,} bytes",
        "transport": _describe_transport(detail),
        "mailbox": f"{line.mailbox:,} messages wait, {line.mailbox_high_water:,} at most so far",
        "longest hog": f"{detail.last_hog_s:.2f} s at {detail.last_hog_at:%H:%M:%S}" if detail.last_hog_at else "",
        "dead letters": f"{line.dead_letters}",
    }
    for name, fact in facts.items():
        if fact:
            print_out(console, Text(f"{name:<12}  {fact}"))
    for life in detail.ended:
        print_out(console, Text(f"{'ended':<12}  {life.at:%Y-%m-%d %H:%M:%S}, {printable(life.reason)}"))
    if detail.members:
        print_out(console, Text(""))
        print_out(console, _members_table(detail.members))


def _members_table(members: Sequence[MemberLine]) -> Table:
    """The members. Who has no connection has the end of their wait or lease, and what is kept for them."""
    has_absent = any(member.held_by != "connection" for member in members)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("MEMBER", "STATUS", "QUEUED", "LAG S", "FOR", *(("UNTIL", "KEPT") if has_absent else ()), *LAST):
        right: Any = "right" if title in ("QUEUED", "LAG S", "FOR", "KEPT") else "left"
        table.add_column(title, justify=right, no_wrap=True, overflow="ellipsis")
    for member in members:
        for_ = "" if member.connected_s is None else format_duration(member.connected_s)
        cells = [printable(member.member), HELD_BY[member.held_by] or member.status]
        cells += [format_size(member.queued_bytes), f"{member.lag_s:.2f}", for_]
        if has_absent:
            why = "" if member.reason is None else f" ({member.reason})"
            cells += ["" if member.until is None else f"{member.until:%H:%M:%S}{why}", str(member.kept or "")]
        table.add_row(*map(Text, (*cells, member.address or "", printable(member.display_name))))
    return table


def _describe_history(detail: RoomDetail) -> str:
    history = detail.history
    if history.first_offset is None:
        return "nothing"
    age = "" if history.age_s is None else f", the oldest {format_duration(history.age_s)} old"
    messages = f"{count_of(history.messages, 'message')}, {history.size_bytes:,} bytes"
    return f"{messages}; offset {history.first_offset:,} to {history.last_offset:,}{age}"


def _describe_transport(detail: RoomDetail) -> str:
    transport, loop = detail.transport, detail.transport.loop
    repeats = "" if loop is None else f", repeats beat {loop.start_beat:g} to {loop.end_beat:g}"
    tempo = f"{transport.tempo_bpm:g} BPM, {count_of(transport.beats_per_bar, 'beat')} a bar"
    return f"{'plays' if transport.playing else 'stands'} at beat {detail.beat:.1f}, {tempo}{repeats}"
