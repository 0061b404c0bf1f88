"""`omnisonic keys`: makes, lists and revokes the keys by which programs send messages into rooms (docs/publishing.md).

A key is printed once, when it is made; only its digest is stored.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import typer

from omnisonic.cli.database import with_database
from omnisonic.cli.service_urls import find_database_url
from omnisonic.models.checks import checked_name, checked_room_id
from omnisonic.observability.logs import configure_logs
from omnisonic.settings.settings import Settings
from omnisonic.studio.access.server_keys import ServerKey, ServerKeyStore

NAME_LENGTH: Final = 120


def create(settings: Settings, name: str, *, room: str | None, as_json: bool) -> None:
    """Make a key and print it. Raises `InvalidInput`, `KeyNameTaken`, `BadSettings`, and database errors."""
    configure_logs(settings, "keys")
    name = checked_name(name.strip(), name="name", longest=NAME_LENGTH)
    if room is not None:
        room = checked_room_id(room)
    url = find_database_url(settings)
    key = asyncio.run(with_database(url, lambda database: ServerKeyStore(database).create(name, room)))
    if as_json:
        typer.echo(json.dumps({"name": name, "room": room, "key": key}, ensure_ascii=False))
        return
    typer.echo(key)
    typer.echo("This key is not shown again. Keep it where your program keeps its passwords.", err=True)


def show(settings: Settings, *, as_json: bool) -> None:
    """Print all keys, without their secrets. Raises `BadSettings`, and database errors."""
    configure_logs(settings, "keys")
    url = find_database_url(settings)
    keys = asyncio.run(with_database(url, lambda database: ServerKeyStore(database).all()))
    typer.echo(json.dumps({"keys": [_key_json(key) for key in keys]}, ensure_ascii=False) if as_json else _table(keys))


def revoke(settings: Settings, name: str) -> None:
    """Revoke a key. Raises `NoSuchKey`, `BadSettings`, and database errors."""
    configure_logs(settings, "keys")
    url = find_database_url(settings)
    asyncio.run(with_database(url, lambda database: ServerKeyStore(database).revoke(name.strip())))
    typer.echo(f"The key named {name.strip()} is revoked.")


def _key_json(key: ServerKey) -> dict[str, str | None]:
    return {
        "name": key.name,
        "room": key.room,
        "createdAt": _time(key.created_at),
        "lastUsedAt": None if key.last_used_at is None else _time(key.last_used_at),
    }


def _table(keys: Sequence[ServerKey]) -> str:
    width = max((len(key.name) for key in keys), default=0)
    rows = [
        f"{key.name:<{width}}  {'every room' if key.room is None else f'room {key.room}'}  "
        f"{'never used' if key.last_used_at is None else f'used {_time(key.last_used_at)}'}"
        for key in keys
    ]
    return "\n".join([*rows, f"{len(keys)} key{'' if len(keys) == 1 else 's'}."])


def _time(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
