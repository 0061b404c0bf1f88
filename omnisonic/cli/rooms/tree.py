"""`omnisonic rooms tree`: gateways, the tasks that they supervise, and their rooms, the most urgent first."""

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.text import Text
from rich.tree import Tree as Branch

from omnisonic.cli.rooms.inspect_client import GatewayAddress, Talk
from omnisonic.cli.rooms.printing import console, print_json, print_out
from omnisonic.cli.rooms.queries import fetch_views_and_answers, gateway_json, print_problems, row_json
from omnisonic.cli.rooms.table import (
    NOTABLE,
    STYLES,
    Row,
    View,
    count_of,
    format_duration,
    format_rate,
    printable,
    sort_rows,
    summarise,
)
from omnisonic.wire import inspection
from omnisonic.wire.inspection_lines import ChildLine, ClusterLine

ROOMS_IN_TREE: Final = 20
"""How many rooms without problems are shown; those with problems are all shown."""
LINK_STYLES: Final = {"open": "green", "silent": "red", "opening": "yellow", "idle": "dim"}


def tree(places: Sequence[GatewayAddress], *, all_rooms: bool, as_json: bool) -> bool:
    """Print what each gateway supervises. Returns whether all have answered. Raises `NotInspected` when none has."""
    found = fetch_views_and_answers(places, _rooms_and_tree)
    views = [view for view, _ in found]
    trees = {view.name: answer for view, answers in found for answer in answers if isinstance(answer, inspection.Tree)}
    if as_json:
        nodes = [
            {
                **gateway_json(view),
                "children": msgspec.to_builtins(trees[view.name].children if view.name in trees else ()),
                "cluster": msgspec.to_builtins(trees[view.name].cluster if view.name in trees else ()),
                "rooms": [row_json(row) for row in sort_rows(view.rows(), "state")],
            }
            for view in views
        ]
        print_json({"gateways": nodes})
    else:
        for view in views:
            print_out(console(), _make_tree(view, trees.get(view.name), all_rooms=all_rooms))
    return print_problems(view.sentence() for view in views)


async def _rooms_and_tree(talk: Talk) -> list[inspection.Answer]:
    """Ask for the rooms, and if the gateway answers, for its tree."""
    answers = await talk.once(inspection.AskRooms("1"))
    if not isinstance(answers[-1], inspection.NotAnswering):
        answers += await talk.once(inspection.AskTree("2"))
    return answers


def _make_tree(view: View, answer: inspection.Tree | None, *, all_rooms: bool) -> Branch:
    gateway = view.gateway
    title = f"gateway {view.name}"
    if gateway is not None:
        title += f"  {gateway.version}, up {format_duration(gateway.uptime_s)}, {gateway.connections:,} connections"
    root = Branch(Text(title, "bold"))
    if view.sentence():
        root.add(Text(view.sentence(), STYLES["stuck"]))
    if answer is not None:
        for child in answer.children:
            _add_child(root, child)
        for member in answer.cluster:
            _add_cluster(root, member)
    rooms = root.add(Text(f"rooms  {summarise([view])}" if gateway else "rooms"))
    for closed in view.closed:
        line = f"{printable(closed.room)}  closed at {closed.at:%H:%M:%S}: {printable(closed.reason)}"
        rooms.add(Text(line, STYLES["crashed"]))
    _add_rooms(rooms, sort_rows(view.rows(), "state"), all_rooms=all_rooms)
    return root


def _add_child(root: Branch, child: ChildLine) -> None:
    style = "green" if child.state == "running" else "yellow"
    often = f", {count_of(child.restarts, 'restart')}" if child.restarts else ""
    note = f", {child.note}" if child.note else ""
    line = Text.assemble(f"{child.name}  ", (child.state, style), f" {format_duration(child.uptime_s)}{often}{note}")
    branch = root.add(line)
    for life in child.ended:
        branch.add(Text(f"ended {life.at:%H:%M:%S}: {printable(life.reason)}", "red"))


def _add_cluster(root: Branch, line: ClusterLine) -> None:
    lease = ("with a lease", "green") if line.has_lease else ("without a lease", "red")
    parts = f", {line.rooms_owned:,} rooms owned, {count_of(line.edge_rooms, 'edge room')}"
    elsewhere = f", {count_of(line.remote_members, 'member')} elsewhere"
    branch = root.add(Text.assemble(f"cluster  {printable(line.gateway)} ", lease, parts, elsewhere))
    for peer in line.peers:
        figures = f" heard {peer.heard_s:.1f} s ago, {peer.lag_s:.2f} s behind, losses: {peer.resets:,}"
        branch.add(Text.assemble(f"{printable(peer.peer)}  ", (peer.state, LINK_STYLES[peer.state]), figures))


def _add_rooms(branch: Branch, rows: list[Row], *, all_rooms: bool) -> None:
    notable = [row for row in rows if row.line.state in NOTABLE]
    others = [row for row in rows if row.line.state not in NOTABLE]
    shown = others if all_rooms else others[:ROOMS_IN_TREE]
    for row in (*notable, *shown):
        line = row.line
        often = f", {count_of(line.restarts, 'restart')}" if line.restarts else ""
        note = f", {printable(line.note)}" if line.note else ""
        members = count_of(line.members, "member")
        branch.add(
            Text.assemble(
                f"{printable(line.room)}  ",
                (line.state, STYLES[line.state]),
                f" {format_duration(line.uptime_s)}, {members}, {format_rate(line.messages_per_s)} in/s{often}{note}",
            )
        )
    if len(shown) < len(others):
        branch.add(Text(f"and {len(others) - len(shown):,} more (--all)", "dim"))
