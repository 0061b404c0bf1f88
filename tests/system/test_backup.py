"""The backups that docs/operating.md prints, followed to the letter: nothing is lost, and nobody is signed out."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from omnisonic.operations.embedded.installation import find_postgres
from tests.cli.running import START_S, Command, running
from tests.http.sounds import wav
from tests.postgres_server import PostgresServer, fresh_database
from tests.system.musicians import PASSWORD
from tests.system.printed import block, replaced
from tests.valkey_server import ValkeyServer

DATA: Final = "/var/lib/omnisonic"
ASKED: Final = re.compile(r"^systemctl (stop|start) omnisonic\n", re.MULTILINE)
SOUND: Final = wav(2)
RUN_S: Final = 30.0
CREDENTIALS: Final = "/api/auth/callback/credentials"


class Unit:
    """What systemd does for an operator: `omnisonic` with these arguments and settings, started and stopped."""

    def __init__(self, *arguments: str, **settings: str) -> None:
        self._arguments = arguments
        self._settings = settings
        self._running = contextlib.ExitStack()

    def start(self) -> Command:
        """Start it."""
        return self._running.enter_context(running(*self._arguments, **self._settings))

    def stop(self) -> None:
        """Stop it, if it runs."""
        self._running.close()

    def closing(self) -> contextlib.ExitStack:
        """Stops it with the block."""
        return self._running


@dataclass(frozen=True)
class Stem:
    """An upload, and the cookie of whoever made it."""

    cookie: str
    upload_id: str
    sha256: str


def follow(script: str, unit: Unit, folder: Path, **settings: str) -> Command | None:
    """Do what a printed script says in `folder`: the unit is stopped and started, all else is a shell's work.

    The command that it has started last, if any.
    """
    environ = {"PATH": f"{find_postgres().programs}:{os.environ['PATH']}", **settings}
    started = None
    for number, step in enumerate(ASKED.split(script)):
        if number % 2 == 0:
            shell = ["/bin/sh", "-eu", "-c", step]
            subprocess.run(shell, cwd=folder, env=environ, check=True, timeout=RUN_S)
        elif step == "start":
            started = unit.start()
        else:
            unit.stop()
    return started


def address(command: Command) -> str:
    """Where its web is."""
    return command.printed(r"(http://127\.0\.0\.1:\d+)$")[1]


def upload(url: str) -> Stem:
    """Sign up, and bring a stem."""
    with httpx.Client(base_url=url, timeout=START_S) as client:
        signed_up = client.post(CREDENTIALS, json={"email": "ada@example.com", "password": PASSWORD})
        assert signed_up.status_code == 200, signed_up.text
        answer = client.post("/api/upload", files={"file": ("bass.wav", SOUND, "audio/wav")})
        assert answer.status_code == 201, answer.text
        made = answer.json()["upload"]
        assert made["sha256"] == hashlib.sha256(SOUND).hexdigest()
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        return Stem(cookie, made["id"], made["sha256"])


def check(url: str, stem: Stem) -> None:
    """Whoever made it is signed in as before, it is there, bit for bit, and so is whatever else is listed."""
    with httpx.Client(base_url=url, timeout=START_S, headers={"Cookie": stem.cookie}) as client:
        assert client.get("/api/auth/session").json()["user"]["email"] == "ada@example.com"
        content = client.get(f"/api/upload/{stem.upload_id}/content")
        assert (content.status_code, hashlib.sha256(content.content).hexdigest()) == (200, stem.sha256)
        listed = [line["upload"]["id"] for line in client.get("/api/upload/list").json()["uploads"]]
        assert stem.upload_id in listed
        assert [client.get(f"/api/upload/{each}/content").status_code for each in listed] == [200] * len(listed)


def test_a_studio_that_was_wiped_is_restored_from_the_printed_backup(tmp_path: Path) -> None:
    """With the embedded database: back up, lose the data directory, restore. The archive is its owner's alone."""
    data, words = tmp_path / "data", {DATA: str(tmp_path / "data")}
    unit = Unit("serve", OMNISONIC_DATA_DIR=str(data))
    with unit.closing():
        stem = upload(address(unit.start()))
        backed_up = follow(replaced(block("sh", "# back up\n"), words), unit, tmp_path)
        assert backed_up is not None
        check(address(backed_up), stem)
        assert (tmp_path / "omnisonic.tar.gz").stat().st_mode & 0o077 == 0
        unit.stop()
        shutil.rmtree(data)
        restored = follow(replaced(block("sh", "# restore\n"), words), unit, tmp_path)
        assert restored is not None
        check(address(restored), stem)


def test_a_studio_with_its_own_postgres_is_restored_from_a_backup_made_while_it_ran(
    tmp_path: Path, postgres_process: PostgresServer, valkey: ValkeyServer
) -> None:
    """Into an empty database and an empty folder. What came after the dump costs nothing but space."""
    data, words = tmp_path / "data", {DATA: str(tmp_path / "data")}
    settings = {
        "OMNISONIC_DATA_DIR": str(data),
        "NEXTAUTH_SECRET": secrets.token_urlsafe(32),
        "REDIS_URL": valkey.url,
    }
    database, files = re.split(
        r"(?=^tar )", replaced(block("sh", "# back up while it runs"), words), flags=re.MULTILINE
    )
    with fresh_database(postgres_process) as source, empty_database(postgres_process) as target:
        unit = Unit("web", DATABASE_URL=source, **settings)
        with unit.closing():
            url = address(unit.start())
            stem = upload(url)
            follow(database, unit, tmp_path, DATABASE_URL=source)
            upload(url)
            follow(files, unit, tmp_path, DATABASE_URL=source)
        shutil.rmtree(data)
        unit = Unit("web", DATABASE_URL=target, **settings)
        follow(replaced(block("sh", "# restore into empty"), words), unit, tmp_path, DATABASE_URL=target)
        with unit.closing():
            check(address(unit.start()), stem)


@contextlib.contextmanager
def empty_database(server: PostgresServer) -> Iterator[str]:
    """The URL of a database with nothing in it, dropped with the block."""
    server.execute("CREATE DATABASE restored")
    try:
        yield server.url_of("restored")
    finally:
        server.execute("DROP DATABASE restored WITH (FORCE)")
