"""`omnisonic users`, on a real database and a real terminal."""

import json
import os
import pty
import subprocess
import sys

import asyncpg
import pytest

from omnisonic.identity.passwords import is_password
from tests.cli.running import START_S, completed, environ
from tests.postgres_server import blocking
from tests.processes import ended_with_block

PASSWORD = "correct horse"


async def _account(url: str, email: str) -> asyncpg.Record:
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow("SELECT name, password_hash FROM users WHERE email = $1", email)
        assert row is not None
        return row
    finally:
        await connection.close()


def account(url: str, email: str) -> asyncpg.Record:
    """The row of the account with this address, which must be there."""
    return blocking(_account(url, email))


def test_an_account_is_made_with_the_password_from_standard_input(database_url: str) -> None:
    """Its hash is one that the web knows again; the password is printed nowhere."""
    shown = completed(
        "users", "add", " ada@example.com ", "--name", "Ada", typed=f"{PASSWORD}\n", DATABASE_URL=database_url
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == "ada@example.com can sign in now.\n"
    row = account(database_url, "ada@example.com")
    assert row["name"] == "Ada"
    assert row["password_hash"].startswith("$argon2id$")
    assert is_password(PASSWORD, row["password_hash"])


def test_an_account_is_not_made_twice_but_gets_another_password_when_asked(database_url: str) -> None:
    """In any spelling of the address."""
    assert completed("users", "add", "ada@example.com", typed=PASSWORD, DATABASE_URL=database_url).returncode == 0
    again = completed("users", "add", "ADA@example.com", typed=PASSWORD, DATABASE_URL=database_url)
    assert again.returncode == 1
    assert again.stderr == (
        "omnisonic: There is an account with the e-mail address ADA@example.com: --replace gives it another password.\n"
    )
    replaced = completed("users", "add", "ADA@example.com", "--replace", typed="another one", DATABASE_URL=database_url)
    assert replaced.returncode == 0
    assert is_password("another one", account(database_url, "ada@example.com")["password_hash"])


def test_there_must_be_an_account_to_replace_its_password(database_url: str) -> None:
    """A typing error does not make one."""
    shown = completed("users", "add", "bo@example.com", "--replace", typed=PASSWORD, DATABASE_URL=database_url)
    assert shown.returncode == 1
    assert shown.stderr == (
        "omnisonic: There is no account with the e-mail address bo@example.com: add it without --replace.\n"
    )


def test_accounts_are_listed(database_url: str) -> None:
    """Those made first at the top; no hash of a password is shown."""
    assert completed("users", "ls", DATABASE_URL=database_url).stdout == "0 accounts.\n"
    completed("users", "add", "ada@example.com", "--name", "Ada", typed=PASSWORD, DATABASE_URL=database_url)
    completed("users", "add", "bo@example.com", typed=PASSWORD, DATABASE_URL=database_url)
    shown = completed("users", "ls", DATABASE_URL=database_url)
    assert [line.split() for line in shown.stdout.splitlines()] == [
        ["ada@example.com", "Ada", "password"],
        ["bo@example.com", "password"],
        ["2", "accounts."],
    ]
    listed = json.loads(completed("users", "ls", "--json", DATABASE_URL=database_url).stdout)["users"]
    assert [(user["email"], user["name"], user["signsInBy"]) for user in listed] == [
        ("ada@example.com", "Ada", ["password"]),
        ("bo@example.com", None, ["password"]),
    ]


@pytest.mark.parametrize(
    ("email", "typed", "sentence"),
    [
        ("ada@example.com", "1234567\n", "A password must have 8 characters or more."),
        ("ada@example.com", "", "A password must have 8 characters or more."),
        ("ada@example.com", "x" * 1025, "A password must have 1024 characters or less."),
        ("ada", PASSWORD, "Enter an e-mail address, such as ada@example.com."),
    ],
)
def test_what_cannot_be_an_account_is_a_sentence(email: str, typed: str, sentence: str, database_url: str) -> None:
    """Before anything is written."""
    shown = completed("users", "add", email, typed=typed, DATABASE_URL=database_url)
    assert shown.returncode == 1
    assert shown.stderr == f"omnisonic: {sentence}\n"


@pytest.mark.parametrize(("again", "exit_code"), [(PASSWORD, 0), ("correct house", 1)])
def test_at_a_terminal_the_password_is_asked_for_twice_and_not_shown(
    again: str, exit_code: int, database_url: str
) -> None:
    """Two that differ are refused."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        command = [sys.executable, "-m", "omnisonic", "users", "add", "ada@example.com"]
        started = subprocess.Popen(
            command,
            env=environ(DATABASE_URL=database_url),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        shown = b""
        with ended_with_block(started) as process:
            for prompt, typed in ((b"Password for ada@example.com: ", PASSWORD), (b"The same again: ", again)):
                while prompt not in shown:
                    shown += terminal.read(1024)
                terminal.write(f"{typed}\n".encode())
            while chunk := _rest(terminal.fileno()):
                shown += chunk
            assert process.wait(START_S) == exit_code
    assert PASSWORD.encode() not in shown
    assert (b"The two passwords are not the same." in shown) == bool(exit_code)


def _rest(fd: int) -> bytes:
    """More of what the terminal shows; nothing when the program at its other end is gone."""
    try:
        return os.read(fd, 1024)
    except OSError:
        return b""
