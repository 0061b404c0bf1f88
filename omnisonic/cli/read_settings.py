"""How a command reads its settings: a bad one stops it, and what looks like one and is none is told of (SPEC 2).

A part that runs on says so as an event of its log, `settings.unknown`; any other command on standard error, so that its
output stays its own. Under `serve` only `serve` itself does, for its parts have the same environment.
"""

import logging
import os

import typer

from omnisonic.observability.logs import configure_logs
from omnisonic.settings.settings import Settings, known_variables
from omnisonic.settings.unknown import unknown_settings

_log = logging.getLogger(__name__)


def settings_of_part(part: str, *, supervised: bool = False) -> Settings:
    """The settings of a part, whose log is set up with it. Errors: `BadSettings`."""
    settings = Settings.load()
    configure_logs(settings, part)
    for unknown in () if supervised else unknown_settings(os.environ, known_variables()):
        _log.warning("settings.unknown", extra=unknown._asdict())
    return settings


def settings_of_command() -> Settings:
    """The settings of a command that ends by itself. Errors: `BadSettings`."""
    settings = Settings.load()
    for unknown in unknown_settings(os.environ, known_variables()):
        typer.echo(f"omnisonic: {unknown.sentence()}", err=True)
    return settings
