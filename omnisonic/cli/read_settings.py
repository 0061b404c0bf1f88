"""Reads the settings of a command, and warns of variables that look like a setting but are none (SPEC 2).

A part logs the event `settings.unknown`; other commands print a sentence on standard error. Under `serve` only `serve`
itself warns, because its parts have the same environment.
"""

import logging
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import typer

from omnisonic.observability.logs import configure_logs
from omnisonic.settings.settings import Settings, known_variables
from omnisonic.settings.unknown import unknown_settings

NOTHING: Final[Mapping[str, str | None]] = MappingProxyType({})

_log = logging.getLogger(__name__)


def read_part_settings(part: str, *, supervised: bool = False, given: Mapping[str, str | None] = NOTHING) -> Settings:
    """Read the settings of a part, and set up its log. Raises `BadSettings`.

    `given` are variables that options of the command line set, unless they are None. They come before the environment.
    """
    settings = Settings.load(os.environ | {name: value for name, value in given.items() if value is not None})
    configure_logs(settings, part)
    for unknown in () if supervised else unknown_settings(os.environ, known_variables()):
        _log.warning("settings.unknown", extra=unknown._asdict())
    return settings


def read_command_settings() -> Settings:
    """Read the settings of a command that ends by itself. Raises `BadSettings`."""
    settings = Settings.load()
    for unknown in unknown_settings(os.environ, known_variables()):
        typer.echo(f"omnisonic: {unknown.sentence()}", err=True)
    return settings
