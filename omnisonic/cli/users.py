"""`omnisonic users`: lists accounts, and creates them where people cannot register themselves (SPEC 4).

The password is read from the terminal, where it is not shown, or from standard input. It is never an argument, because
other users of the machine can read command lines.
"""

import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import typer

from omnisonic.cli.database import with_database
from omnisonic.cli.service_urls import find_database_url
from omnisonic.errors import InvalidInput, OmnisonicError
from omnisonic.identity.emails import checked_email
from omnisonic.identity.passwords import LONGEST, hash_password
from omnisonic.models.checks import checked_name
from omnisonic.observability.logs import configure_logs
from omnisonic.settings.settings import Settings
from omnisonic.stores.database.pool import Row
from omnisonic.studio.accounts import EmailTaken
from omnisonic.studio.accounts.account_statements import LIST_USERS
from omnisonic.studio.accounts.account_store import AccountStore

SHORTEST: Final = 8
"""The shortest password that an operator may give."""
NAME_LENGTH: Final = 120

T = TypeVar("T")


class NoSuchAccount(OmnisonicError):
    """There is no account with that e-mail address."""

    code = "account_not_found"


def add(settings: Settings, email: str, *, name: str | None) -> None:
    """Create an account. Raises `InvalidInput`, `EmailTaken`, `BadSettings`, and database errors."""
    configure_logs(settings, "users")
    email = checked_email(email)
    if name is not None:
        name = checked_name(name.strip(), name="name", longest=NAME_LENGTH)
    url = find_database_url(settings)
    password_hash = hash_password(_read_password(email))
    try:
        asyncio.run(_with_accounts(url, lambda accounts: accounts.register(email, password_hash, name=name)))
    except EmailTaken:
        raise EmailTaken(
            f"There is an account with the e-mail address {email}: --replace gives it another password."
        ) from None
    typer.echo(f"{email} can sign in now.")


def replace_password(settings: Settings, email: str) -> None:
    """Change the password of an account, and end its sign-ins. Raises as `add`, and `NoSuchAccount`."""
    configure_logs(settings, "users")
    email = checked_email(email)
    url = find_database_url(settings)
    password_hash = hash_password(_read_password(email))
    if asyncio.run(_with_accounts(url, lambda accounts: accounts.set_password(email, password_hash))) is None:
        raise NoSuchAccount(f"There is no account with the e-mail address {email}: add it without --replace.")
    typer.echo(f"{email} has another password now, and is signed out everywhere.")


def show(settings: Settings, *, as_json: bool) -> None:
    """Print all accounts. Raises `BadSettings`, and database errors."""
    configure_logs(settings, "users")
    rows = asyncio.run(with_database(find_database_url(settings), lambda database: database.rows(LIST_USERS)))
    accounts = [_account_json(row) for row in rows]
    if as_json:
        typer.echo(json.dumps({"users": accounts}, ensure_ascii=False))
        return
    for account in accounts:
        typer.echo(
            "  ".join([account["email"] or "(no e-mail)", account["name"] or "", ", ".join(account["signsInBy"])])
        )
    typer.echo(f"{len(accounts)} account{'' if len(accounts) == 1 else 's'}.")


def _account_json(row: Row) -> dict[str, Any]:
    return {
        "email": row["email"],
        "name": row["name"],
        "createdAt": f"{row['created_at']:%Y-%m-%dT%H:%M:%SZ}",
        "signsInBy": [*(["password"] if row["has_password"] else []), *row["providers"]],
    }


async def _with_accounts(url: str, act: Callable[[AccountStore], Awaitable[T]]) -> T:
    return await with_database(url, lambda database: act(AccountStore(database)))


def _read_password(email: str) -> str:
    """Read a new password: twice from a terminal, otherwise one line of standard input. Raises `InvalidInput`."""
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {email}: ")
        if getpass.getpass("The same again: ") != password:
            raise InvalidInput("The two passwords are not the same.")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if len(password) < SHORTEST:
        raise InvalidInput(f"A password must have {SHORTEST} characters or more.")
    if len(password) > LONGEST:
        raise InvalidInput(f"A password must have {LONGEST} characters or less.")
    return password
