"""`omnisonic rooms tree`: gateways, the tasks that they supervise, and their rooms; what wants an operator first."""

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.text import Text
from rich.tree import Tree as Branch

from omnisonic.cli.rooms.inspect_client import GatewayAddress, Talk
from omnisonic.cli.rooms.printing import console, print_json, print_out
from omnisonic.cli.rooms.queries import complain, gateway_json, row_json, views_and_answers
from omnisonic.cli.rooms.table import NOTABLE, STYLES, Row, View, counted, lasted, ordered, printable, rate, total
from omnisonic.wire import inspection as words
from omnisonic.wire.inspection_lines import ChildLine

ROOMS_IN_TREE: Final = 20
"""Rooms in a tree that nothing is wrong with; those with which something is are all there."""


def tree(places: Sequence[GatewayAddress], *, all_rooms: bool, as_json: bool) -> bool:
    """Print what each gateway supervises; whether all have answered. Errors: `NotInspected` when none has."""
    found = views_and_answers(places, _rooms_and_tree)
    views = [view for view, _ in found]
    trees = ((view.name, answer) for view, answers in found for answer in answers if isinstance(answer, words.Tree))
    children = {name: answer.children for name, answer in trees}
    if as_json:
        nodes = [
            {
                **gateway_json(view),
                "children": msgspec.to_builtins(children.get(view.name, ())),
                "rooms": [row_json(row) for row in ordered(view.rows(), "state")],
            }
            for view in views
        ]
        print_json({"gateways": nodes})
    else:
        for view in views:
            print_out(console(), _branches(view, children.get(view.name, ()), all_rooms=all_rooms))
    return complain(view.sentence() for view in views)


async def _rooms_and_tree(talk: Talk) -> list[words.Answer]:
    """The answers to both questions; a gateway that does not answer the first is not asked the second."""
    answers = await talk.once(words.AskRooms("1"))
    if not isinstance(answers[-1], words.NotAnswering):
        answers += await talk.once(words.AskTree("2"))
    return answers


def _branches(view: View, children: Sequence[ChildLine], *, all_rooms: bool) -> Branch:
    gateway = view.gateway
    title = f"gateway {view.name}"
    if gateway is not None:
        title += f"  {gateway.version}, up {lasted(gateway.uptime_s)}, {gateway.connections:,} connections"
    root = Branch(Text(title, "bold"))
    if view.sentence():
        root.add(Text(view.sentence(), STYLES["stuck"]))
    for child in children:
        _add_child(root, child)
    rooms = root.add(Text(f"rooms  {total([view])}" if gateway else "rooms"))
    for closed in view.closed:
        told = f"{printable(closed.room)}  closed at {closed.at:%H:%M:%S}: {printable(closed.reason)}"
        rooms.add(Text(told, STYLES["crashed"]))
    _add_rooms(rooms, ordered(view.rows(), "state"), all_rooms=all_rooms)
    return root


def _add_child(root: Branch, child: ChildLine) -> None:
    style = "green" if child.state == "running" else "yellow"
    often = f", {counted(child.restarts, 'restart')}" if child.restarts else ""
    note = f", {child.note}" if child.note else ""
    line = Text.assemble(f"{child.name}  ", (child.state, style), f" {lasted(child.uptime_s)}{often}{note}")
    branch = root.add(line)
    for life in child.ended:
        branch.add(Text(f"ended {life.at:%H:%M:%S}: {printable(life.reason)}", "red"))


def _add_rooms(branch: Branch, rows: list[Row], *, all_rooms: bool) -> None:
    notable = [row for row in rows if row.line.state in NOTABLE]
    others = [row for row in rows if row.line.state not in NOTABLE]
    shown = others if all_rooms else others[:ROOMS_IN_TREE]
    for row in (*notable, *shown):
        line = row.line
        often = f", {counted(line.restarts, 'restart')}" if line.restarts else ""
        note = f", {printable(line.note)}" if line.note else ""
        members = counted(line.members, "member")
        branch.add(
            Text.assemble(
                f"{printable(line.room)}  ",
                (line.state, STYLES[line.state]),
                f" {lasted(line.uptime_s)}, {members}, {rate(line.messages_per_s)} in/s{often}{note}",
            )
        )
    if len(shown) < len(others):
        branch.add(Text(f"and {len(others) - len(shown):,} more (--all)", "dim"))
