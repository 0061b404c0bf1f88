"""The commands for curl that the documents print, done as printed, one after the other, on a studio that is new.

They are run in the folder of the studio, with its port in place of 3000. Where a reader copies an id out of an answer
(`SESSION=...`), the last answer's is taken.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.running import eventually, running
from tests.http.sounds import wav
from tests.system.musicians import musician
from tests.system.printed import ROOT, block
from tests.system.visitors import Visitors

UPLOADS: Final = ROOT / "docs/uploads.md"
EXPORTS: Final = ROOT / "docs/exports.md"
REALTIME: Final = ROOT / "docs/realtime.md"
README: Final = ROOT / "README.md"
HERE: Final = "http://127.0.0.1:3000"
CURLRC: Final = "silent\nshow-error\nfail-with-body\n"
"""Bad answers are errors."""
TRIES: Final = 5
ANSWER_S: Final = 40.0
IDS: Final = {"SESSION": ("session", "id"), "UPLOAD": ("upload", "id"), "EXPORT": ("exportId",)}
"""Where in an answer the id is that a reader copies."""
SOUND: Final = wav(1)


class Reader:
    """Does what is printed, in a shell's way; `answers` are what the commands of the last block printed."""

    def __init__(self, folder: Path, visitors: Visitors) -> None:
        self.folder = folder
        self.visitors = visitors
        self.names: dict[str, str] = {}
        self.answers: list[str] = []
        self._url = f"http://127.0.0.1:{visitors.web_port}"

    def follow(self, script: str) -> None:
        """Do it all. Errors: `AssertionError`, with the command that failed."""
        self.answers = []
        for command in script.replace(HERE, self._url).replace("\\\n", "").splitlines():
            name, _, value = command.partition("=")
            if value == "...":
                self.names[name] = self._copied(name)
            elif name.isidentifier():
                self.names[name] = self._done(f'printf %s "{value}"')
            else:
                self._wait_for(command)
                self.answers.append(self._done(command))

    def last(self) -> Any:
        """What the last command answered."""
        return json.loads(self.answers[-1])

    def _copied(self, name: str) -> str:
        found = self.last()
        for key in IDS[name]:
            found = found[key]
        return str(found)

    def _wait_for(self, command: str) -> None:
        """What takes a moment is waited for, as a reader would: waveforms, and mixdowns."""
        if command.endswith("/peaks"):
            eventually(lambda: self._run(command).returncode == 0, what="the waveform is there")
        if command.endswith("/download"):
            asking = 'curl -b cookies.txt "$studio/api/export?id=$EXPORT"'
            eventually(lambda: json.loads(self._done(asking))["status"] == "completed", what="the mixdown is made")

    def _done(self, command: str) -> str:
        """What it says. A reader who is told to try again does: a busy machine misses deadlines."""
        ended = self._run(command)
        for _ in range(TRIES):
            if '"code":"unavailable"' in ended.stdout:
                ended = self._run(command)
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": "/usr/bin:/bin", "CURL_HOME": str(self.folder), **self.names}
        shell = ["/bin/sh", "-eu", "-c", command]
        return subprocess.run(
            shell, cwd=self.folder, env=environ, capture_output=True, text=True, timeout=ANSWER_S, check=False
        )


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody in a folder in which `bin/serve` runs, with a file to bring."""
    if shutil.which("curl") is None:
        pytest.skip("curl is missing here")
    folder = tmp_path_factory.mktemp("reader")
    (folder / ".curlrc").write_text(CURLRC)
    (folder / "bass.wav").write_bytes(SOUND)
    with running("serve", OMNISONIC_DATA_DIR=str(folder / ".omnisonic")) as serve:
        serve.printed("is running")
        yield Reader(folder, Visitors(serve.port("Studio"), serve.port("Gateway")))


def test_a_file_is_brought_and_taken_by_what_is_printed(reader: Reader) -> None:
    """Signed in, uploaded, listed, changed, drawn, fetched bit for bit, and removed."""
    reader.follow(block("sh", "api/auth/callback", UPLOADS))
    reader.follow(block("sh", "bass.wav", UPLOADS))
    brought, listed, changed, drawn, *_ = map(json.loads, filter(None, reader.answers))
    assert [line["upload"]["id"] for line in listed["uploads"]] == [brought["upload"]["id"]]
    assert (changed["upload"]["gainDb"], changed["upload"]["pan"]) == (-6, 0.5)
    assert 0 < len(drawn["peaks"]) <= 1000
    assert (reader.folder / "copy.wav").read_bytes() == SOUND
    assert reader.last() == {"ok": True}


def test_a_mixdown_is_made_and_taken_home_by_what_is_printed(reader: Reader) -> None:
    """With the cookie and the session of the page before."""
    reader.follow(block("sh", "api/auth/callback", UPLOADS))
    before = set(reader.folder.iterdir())
    reader.follow(block("sh", "api/export", EXPORTS))
    (made,) = set(reader.folder.iterdir()) - before
    assert made.read_bytes()[:4] == b"RIFF"
    assert reader.last() == {"ok": True}


async def test_an_operator_says_something_into_a_room_by_what_is_printed(reader: Reader) -> None:
    """By the token that `serve` has kept; whoever is there hears it from nobody."""
    async with musician(reader.visitors, "bo") as bo:
        session = await bo.create("Cue")
        reader.names["SESSION"] = session
        target = f"/?roomId={session}&memberId={bo.id}&displayName=Bo"
        async with bo.with_cookie(target) as client:
            reader.follow(block("sh", "-X POST http://127.0.0.1:3000/api/rooms/$SESSION/messages", REALTIME))
            received = await client.next("cue")
            assert (received["from"], received["payload"], received["offset"]) == (
                None,
                {"bar": 17},
                reader.last()["offset"],
            )


async def test_a_program_is_on_a_roster_without_a_socket_by_what_is_printed(reader: Reader) -> None:
    """It comes, is seen, also by the README's command, and goes."""
    reader.follow(block("sh", "api/presence", REALTIME))
    came, seen, gone = map(json.loads, reader.answers)
    assert (came, gone) == ({"ok": True}, {"ok": True})
    assert [line["memberId"] for line in seen["members"]] == ["recorder"]
    (asking,) = re.findall(r"`(curl [^`]+)`", README.read_text())
    reader.follow(asking)
    assert reader.last() == {"members": []}
