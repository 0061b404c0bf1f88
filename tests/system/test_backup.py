"""The backup that docs/operating.md prints, made while the studio runs: nothing is lost, and nobody is signed out."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tests.cli.running import START_S, Command, completed, environ, running
from tests.http.sounds import wav
from tests.system.musicians import PASSWORD
from tests.system.printed import block, replaced

ARCHIVE: Final = "/var/backups/omnisonic/omnisonic.tar"
SOUND: Final = wav(2)
CREDENTIALS: Final = "/api/auth/callback/credentials"


@dataclass(frozen=True)
class Stem:
    """An upload, and the cookie of whoever made it."""

    cookie: str
    upload_id: str
    sha256: str


def follow(script: str, archive: Path, data: Path) -> None:
    """Do what a printed script says, with these in place of the archive and the data directory."""
    subprocess.run(
        ["/bin/sh", "-eu", "-c", replaced(script, {ARCHIVE: str(archive)})],
        env=environ(OMNISONIC_DATA_DIR=str(data)) | {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"},
        check=True,
        timeout=START_S,
    )


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
    """Whoever made it is signed in as before, and it is there, bit for bit. Nothing else is."""
    with httpx.Client(base_url=url, timeout=START_S, headers={"Cookie": stem.cookie}) as client:
        assert client.get("/api/auth/session").json()["user"]["email"] == "ada@example.com"
        content = client.get(f"/api/upload/{stem.upload_id}/content")
        assert (content.status_code, hashlib.sha256(content.content).hexdigest()) == (200, stem.sha256)
        assert [line["upload"]["id"] for line in client.get("/api/upload/list").json()["uploads"]] == [stem.upload_id]


def test_a_studio_that_was_wiped_is_restored_from_the_printed_backup(tmp_path: Path) -> None:
    """Backed up while it runs, and again when it is stopped. Then its data directory is lost."""
    data, archive, later = tmp_path / "data", tmp_path / "omnisonic.tar", tmp_path / "later.tar"
    with running("serve", OMNISONIC_DATA_DIR=str(data)) as serve:
        stem = upload(address(serve))
        follow(block("sh", "# back up\n"), archive, data)
        upload(address(serve))
    stopped = completed("backup", "--json", str(later), OMNISONIC_DATA_DIR=str(data))
    assert stopped.returncode == 0, stopped.stderr
    assert (json.loads(stopped.stdout)["files"], json.loads(stopped.stdout)["missing"]) == (2, [])
    assert archive.stat().st_mode & 0o077 == 0
    shutil.rmtree(data)
    follow(block("sh", "# restore\n"), archive, data)
    with running("serve", OMNISONIC_DATA_DIR=str(data)) as serve:
        check(address(serve), stem)
