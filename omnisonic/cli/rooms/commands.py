"""`omnisonic rooms`, the room inspector: its commands and their options (SPEC 1).

The work is in `views`, `actions`, `tree` and `top`, each imported when it is needed. The operator's token comes from
the environment or a file, never from the command line, which other users of the machine can read.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnisonic.cli.command import RoomsCommand
from omnisonic.errors import BadSettings
from omnisonic.models.checks import plain_id

if TYPE_CHECKING:
    from omnisonic.cli.rooms.inspect_client import GatewayAddress

rooms = typer.Typer(
    help="See inside the rooms of a running gateway, and step in.", no_args_is_help=True, rich_markup_mode=None
)

Gateways = Annotated[
    list[str] | None,
    typer.Option("--gateway", metavar="URL", help="Where a gateway is, such as ws://127.0.0.1:8080; may be repeated."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="Where the operator's token is, instead of ADMIN_TOKEN."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Room = Annotated[str, typer.Argument(help="The room's id.", callback=plain_id)]
Sort = Annotated[
    str, typer.Option("--sort", metavar="COLUMN", help="The column to sort by, such as state, room or out.")
]
Reverse = Annotated[bool, typer.Option("--reverse", help="The other way round.")]

_FOR: Final = re.compile("([0-9]{1,3})(s|m)?")


@rooms.command(cls=RoomsCommand)
def ls(
    gateway: Gateways = None,
    token_file: TokenFile = None,
    sort: Sort = "state",
    reverse: Reverse = False,
    as_json: AsJson = False,
) -> None:
    """List all rooms, those first that want an operator."""
    places = _find_gateways(gateway, token_file)
    from omnisonic.cli.rooms import views

    _exit(views.ls(places, by=_column(sort), reverse=reverse, as_json=as_json))


@rooms.command(cls=RoomsCommand)
def show(room: Room, gateway: Gateways = None, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Show one room, with its members and what became of it before."""
    places = _find_gateways(gateway, token_file)
    from omnisonic.cli.rooms import views

    _exit(views.show(places, room, as_json=as_json))


@rooms.command(cls=RoomsCommand)
def tree(
    gateway: Gateways = None,
    token_file: TokenFile = None,
    all_rooms: Annotated[bool, typer.Option("--all", help="All rooms, however many.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the supervision tree: the gateway, its tasks and its rooms."""
    places = _find_gateways(gateway, token_file)
    from omnisonic.cli.rooms import tree as room_tree

    _exit(room_tree.tree(places, all_rooms=all_rooms, as_json=as_json))


@rooms.command(cls=RoomsCommand)
def top(
    gateway: Gateways = None,
    token_file: TokenFile = None,
    sort: Sort = "state",
    reverse: Reverse = False,
    as_json: AsJson = False,
) -> None:
    """Watch all rooms, a look each second: `?` shows the keys, `q` ends it. With --json, a line each second."""
    places = _find_gateways(gateway, token_file)
    by = _column(sort)
    if as_json:
        from omnisonic.cli.rooms import feed

        feed.print_forever(places, by=by, reverse=reverse)
        return

    from omnisonic.cli.rooms import top as room_top

    room_top.run(places, by=by, reverse=reverse)


@rooms.command(cls=RoomsCommand)
def tap(
    room: Room,
    gateway: Gateways = None,
    token_file: TokenFile = None,
    payload: Annotated[bool, typer.Option("--payload", help="Show what is said, and not only that.")] = False,
    for_: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long, such as 30s or 2m; 10m at most.")
    ] = "30s",
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, max=10_000, help="So many messages.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Watch messages pass in a room: a sample, 20 a second at most. It stops by itself. Payloads are hidden."""
    for_s = _seconds(for_)
    places = _find_gateways(gateway, token_file)
    from omnisonic.cli.rooms import actions
    from omnisonic.wire.inspection import AskTap

    _exit(actions.tap(places, AskTap("1", room, for_s, most, payload=payload), as_json=as_json))


@rooms.command(cls=RoomsCommand)
def kick(
    room: Room,
    member: Annotated[str, typer.Argument(help="The member's id.")],
    gateway: Gateways = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Send a member out of a room (4003), or stop waiting for one. They may come back, if their program does."""
    places = _find_gateways(gateway, token_file)
    from omnisonic.cli.rooms import actions
    from omnisonic.wire.inspection import AskKick

    _exit(actions.act(places, AskKick("1", room, member), "The member is sent out.", as_json=as_json))


@rooms.command(cls=RoomsCommand)
def close(room: Room, gateway: Gateways = None, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Send everybody out of a room (4004)."""
    places = _find_gateways(gateway, token_file)
    from omnisonic.cli.rooms import actions
    from omnisonic.wire.inspection import AskClose

    _exit(actions.act(places, AskClose("1", room), "The room is closed.", as_json=as_json))


@rooms.command(cls=RoomsCommand)
def restart(room: Room, gateway: Gateways = None, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Throw a room's state away and start it again. Its members stay, and notice nothing."""
    places = _find_gateways(gateway, token_file)
    from omnisonic.cli.rooms import actions
    from omnisonic.wire.inspection import AskRestart

    _exit(actions.act(places, AskRestart("1", room), "The room is started again.", as_json=as_json))


@rooms.command("dead-letters", cls=RoomsCommand)
def dead_letters(
    room: Annotated[str | None, typer.Argument(help="The room's id; all without one.")] = None,
    gateway: Gateways = None,
    token_file: TokenFile = None,
    payload: Annotated[bool, typer.Option("--payload", help="Show what was said, and not only that.")] = False,
    replay: Annotated[
        int | None, typer.Option("--replay", metavar="N", help="Say letter N again, as its sender, once.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what made rooms crash, or say one of it again."""
    places = _find_gateways(gateway, token_file)
    if replay is None:
        from omnisonic.cli.rooms import views

        _exit(views.dead_letters(places, room, payload=payload, as_json=as_json))
        return
    if len(places) > 1:
        raise typer.BadParameter("--replay is for one --gateway: each numbers its own letters.")
    from omnisonic.cli.rooms import actions
    from omnisonic.wire.inspection import AskReplay

    _exit(actions.act(places, AskReplay("1", replay), "The letter is in the room again.", as_json=as_json))


def _find_gateways(gateways: list[str] | None, token_file: Path | None) -> "list[GatewayAddress]":
    """The gateways to ask. The settings are read first, so that a bad one is reported at once."""
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli.rooms.gateway_urls import find_gateways
    from omnisonic.observability.logs import configure_logs

    configure_logs(settings, "rooms")
    return find_gateways(settings, gateways or [], token_file)


def _column(name: str) -> str:
    from omnisonic.cli.rooms.table import SORTS

    if name not in SORTS:
        raise typer.BadParameter(f"--sort must be one of {', '.join(SORTS)}.")
    return name


def _seconds(text: str) -> float:
    found = _FOR.fullmatch(text)
    seconds = 0 if found is None else int(found[1]) * (60 if found[2] == "m" else 1)
    if not 0 < seconds <= 600:
        raise BadSettings(["--for must be a time such as 30s or 2m, and 10m at most."])
    return float(seconds)


def _exit(is_well: bool) -> None:
    if not is_well:
        raise typer.Exit(1)
