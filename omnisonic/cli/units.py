"""`omnisonic units`: prints the systemd units of this installation, or writes them into a folder (SPEC 9)."""

import sysconfig
from pathlib import Path
from typing import Final

import typer

from omnisonic.errors import BadSettings, OmnisonicError
from omnisonic.operations.units import Place, backup_units, part_units, studio_unit
from omnisonic.settings.settings import Settings

FOLDER: Final = "/etc/systemd/system"
"""Where systemd looks for units of an operator."""


class CannotWriteUnits(OmnisonicError):
    """A folder for units cannot be written."""

    code = "cannot_write_units"


def run(settings: Settings, *, parts: bool, into: Path | None, account: str, settings_file: Path) -> None:
    """Print the units, or write them.

    Args:
        settings: Where gateway and web listen.
        parts: A unit for each process, instead of one for all.
        into: The folder to write into. None: they are printed.
        account: The account that they run as.
        settings_file: The file with the settings.

    Raises:
        BadSettings: A port is 0.
        CannotWriteUnits: With a sentence that says why.
    """
    program = Path(sysconfig.get_path("scripts")) / "omnisonic"
    place = Place(program, account, settings_file, _listeners(settings) if parts else {})
    units = (part_units(place) if parts else studio_unit(place)) | backup_units(place)
    if into is None:
        typer.echo("\n".join(f"# {FOLDER}/{name}\n{text}" for name, text in units.items()), nl=False)
        return
    for name, text in units.items():
        try:
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_text(text, encoding="utf-8")
        except OSError as problem:
            raise CannotWriteUnits(f"{into / name} cannot be written: {problem.strerror}.") from None
        typer.echo(f"{into / name}")


def _listeners(settings: Settings) -> dict[str, str]:
    addresses = {
        "gateway": (settings.gateway_host, settings.gateway_port),
        "web": (settings.web_host, settings.web_port),
    }
    problems = [
        f"{part.upper()}_PORT is 0, and a unit needs the port that it listens on."
        for part, (_, port) in addresses.items()
        if not port
    ]
    if problems:
        raise BadSettings(problems)
    return {part: _listener(host or "0.0.0.0", port) for part, (host, port) in addresses.items()}  # noqa: S104


def _listener(host: str, port: int) -> str:
    """An address for `ListenStream=`. systemd takes no names."""
    if host == "localhost":
        host = "127.0.0.1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
