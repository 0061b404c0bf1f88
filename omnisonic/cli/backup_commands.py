"""The commands `omnisonic backup` and `omnisonic restore`: their arguments and their help.

Settings are read before anything heavy is imported.
"""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def backup(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The archive to write; - for standard output.")],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the whole installation into one archive: database, uploads and mixdowns, secrets.

    The studio may run meanwhile. The archive has the secrets that are files in OMNISONIC_DATA_DIR, and people's music,
    so only you can read it (mode 0600). Settings are not in it.
    """
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli.backup import run_backup

    run_backup(settings, file, replace=force, as_json=as_json)


def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An archive that `omnisonic backup` has written.")],
    check: Annotated[bool, typer.Option("--check", help="Only verify the archive, and restore nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Restore an archive onto an empty installation.

    Stop the studio before. The archive is verified before anything is changed. Whatever interrupts a restore, run it
    again.
    """
    from omnisonic.cli.read_settings import read_command_settings

    settings = read_command_settings()
    from omnisonic.cli.backup import run_restore

    run_restore(settings, file, check_only=check, as_json=as_json)
