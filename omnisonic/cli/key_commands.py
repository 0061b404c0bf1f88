"""The commands `omnisonic keys …`: their arguments and their help.

Settings are read before anything heavy is imported.
"""

from typing import Annotated

import typer

from omnisonic.cli.command import DatabaseCommand

keys = typer.Typer(
    help="Make, list and revoke the keys by which programs send messages into rooms.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@keys.command("create", cls=DatabaseCommand)
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for, such as the name of the program.")],
    room: Annotated[str | None, typer.Option("--room", help="The only room that the key is for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it. It is not shown again."""
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli import keys

    keys.create(settings, name, room=room, as_json=as_json)


@keys.command("ls", cls=DatabaseCommand)
def list_keys(as_json: AsJson = False) -> None:
    """List the keys: their names, their rooms, and when they were last used."""
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli import keys

    keys.show(settings, as_json=as_json)


@keys.command("revoke", cls=DatabaseCommand)
def revoke_key(name: Annotated[str, typer.Argument(help="The name of the key.")]) -> None:
    """Revoke a key. From then on it is refused."""
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli import keys

    keys.revoke(settings, name)
