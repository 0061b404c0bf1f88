"""`omnisonic migrate`: applies the migrations that this version needs, or lists them (DESIGN 4).

`serve` runs it before the parts start. Crash and Ctrl-C: see `omnisonic.stores.database.migrations`.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from datetime import datetime

import typer

from omnisonic.cli.lifecycle import stop_with_supervisor
from omnisonic.cli.service_urls import find_database_url
from omnisonic.observability.logs import configure_logs
from omnisonic.settings.settings import Settings
from omnisonic.stores.database.migrations import Migration, migrate, status


def run(settings: Settings, *, as_json: bool, supervised: bool) -> None:
    """Apply the pending migrations, and print them. `supervised`: standard input is a readiness pipe.

    Raises `BadSettings`, and the errors of `migrate`.
    """
    configure_logs(settings, "migrate")
    if supervised:
        stop_with_supervisor()
    applied = asyncio.run(migrate(find_database_url(settings)))
    if as_json:
        typer.echo(json.dumps({"applied": [{"number": step.number, "name": step.name} for step in applied]}))
    elif supervised and not logging.getLogger().isEnabledFor(logging.INFO):
        return  # a line in the log of `serve`
    elif applied:
        typer.echo("\n".join(f"Applied {step}." for step in applied))
    else:
        typer.echo("The database is up to date.")


def show(settings: Settings, *, as_json: bool) -> None:
    """Print each migration and when it was applied. Raises `BadSettings`, and the errors of `status`."""
    configure_logs(settings, "migrate")
    steps = asyncio.run(status(find_database_url(settings)))
    if as_json:
        listed = [
            {"number": step.number, "name": step.name, "appliedAt": applied_at and _time(applied_at)}
            for step, applied_at in steps
        ]
        typer.echo(json.dumps({"migrations": listed}))
    else:
        typer.echo(_table(steps))


def _table(steps: Sequence[tuple[Migration, datetime | None]]) -> str:
    width = max((len(str(step)) for step, _ in steps), default=0)
    rows = [
        f"{step!s:<{width}}  {f'applied {_time(applied_at)}' if applied_at else 'waiting'}"
        for step, applied_at in steps
    ]
    waiting = sum(applied_at is None for _, applied_at in steps)
    verdict = f"{waiting} waiting: run `omnisonic migrate`." if waiting else "The database is up to date."
    return "\n".join([*rows, verdict])


def _time(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
