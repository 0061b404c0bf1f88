"""The commands `omnisonic users …`: their arguments and their help.

Settings are read before anything heavy is imported.
"""

from typing import Annotated

import typer

from omnisonic.cli.command import DatabaseCommand

users = typer.Typer(
    help="List accounts, make them, and give them other passwords.", no_args_is_help=True, rich_markup_mode=None
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@users.command(cls=DatabaseCommand)
def add(
    email: Annotated[str, typer.Argument(help="The e-mail address to sign in with.")],
    name: Annotated[str | None, typer.Option("--name", help="What others see.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give an account another password, and sign it out everywhere.")
    ] = False,
) -> None:
    """Make an account with a password.

    The password is asked for, or read as a line of standard input; it has 8 characters or more.
    """
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli import users

    if replace and name is not None:
        raise typer.BadParameter("--name is for a new account, not for --replace.")
    if replace:
        users.replace_password(settings, email)
    else:
        users.add(settings, email, name=name)


@users.command(cls=DatabaseCommand)
def ls(as_json: AsJson = False) -> None:
    """List all accounts, and how they sign in."""
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli import users

    users.show(settings, as_json=as_json)
