"""Files go through the whole product bit for bit, whatever they are kept on and whatever happens."""

import base64
import contextlib
import hashlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest

from tests.cli.running import START_S, completed, eventually
from tests.postgres_server import blocking
from tests.s3_server import S3Server
from tests.system.musicians import PASSWORD
from tests.system.studio import Served, Studio, running_studio
from tests.system.test_memory import linux_only

HEAD: Final = b"fLaC\x00\x00\x00\x22"
"""So much says that a file is a FLAC."""
SIZES: Final = (len(HEAD), 1_048_576, 104_857_600)
KILLS: Final = int(os.environ.get("OMNISONIC_KILLS", "6"))
"""How often the web is killed: more with the environment, as before a release."""
SLOW_KILLS: Final = max(4, KILLS // 3)
"""The same in the middle of an upload in pieces, of which so much comes each time."""
SLOW_BYTES: Final = 1_000_000
TUS: Final = {"Tus-Resumable": "1.0.0"}
SPARED_S: Final = 2.1
"""The time between two: after more than five in ten seconds `serve` itself gives up."""
ONE_BYTES: Final = 16 * 2**20
EIGHT_BYTES: Final = 64 * 2**20
"""By how much the web may grow with one upload of 100 MB, and with eight."""
FULL_MB: Final = 24
BREATH_S: Final = 0.02
"""The time between two uploads of one person while the web is killed: it is killed in one of them all the same, and
more would only take the processor from the other tests."""


def content(size: int) -> bytes:
    """Bytes that count as audio."""
    return HEAD + os.urandom(size - len(HEAD))


def signed_in(studio: Studio, email: str = "ada@example.com") -> httpx.Client:
    """A client with a sign-in."""
    client = httpx.Client(base_url=f"http://127.0.0.1:{studio.visitors.web_port}", timeout=START_S)
    answer = client.post("/api/auth/callback/credentials", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return client


def send(client: httpx.Client, data: bytes) -> httpx.Response:
    return client.post("/api/upload", files={"file": ("take.flac", data)})


async def _rows(url: str, query: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [str(row[0]) for row in await connection.fetch(query)]
    finally:
        await connection.close()


def rows(studio: Studio, query: str) -> list[str]:
    """The first column of what a query gives."""
    return blocking(_rows(studio.database_url, query))


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_what_goes_in_comes_out_bit_for_bit(kind: str, s3: S3Server, tmp_path: Path) -> None:
    """From the smallest file to the largest, by SHA-256, on a disk and on S3; one byte is nothing that can be told.

    What is removed is in the bin: the web serves it no more, and a link of the store's own works until it expires.
    """
    settings = {} if kind == "local" else s3.environ("s3")
    with running_studio("serve", tmp_path, **settings) as studio, contextlib.closing(signed_in(studio)) as ada:
        eventually(lambda: ada.get("/readyz").status_code == 200, what="the studio and its storage are ready")
        assert send(ada, b"x").status_code == 415
        for size in SIZES:
            data = content(size)
            made = send(ada, data)
            assert made.status_code == 201, made.text
            digest = hashlib.sha256(data).hexdigest()
            assert made.json()["upload"]["sha256"] == digest
            upload_id = made.json()["upload"]["id"]
            for place in (made.json()["downloadUrl"], f"/api/upload/{upload_id}/content"):
                got = ada.get(place)
                assert (got.status_code, hashlib.sha256(got.content).hexdigest()) == (200, digest)
            assert ada.get(f"/api/upload/{upload_id}/content", headers={"Range": "bytes=3-5"}).content == data[3:6]
            assert ada.delete(f"/api/upload/{upload_id}").status_code == 200
            assert ada.get(f"/api/upload/{upload_id}/content").status_code == 404
            by_link = httpx.get(made.json()["downloadUrl"], timeout=START_S)
            assert by_link.status_code == (404 if kind == "local" else 200)
        assert rows(studio, "SELECT object_key FROM loose_objects") == []


def test_no_kill_loses_an_upload_or_leaves_an_orphan(tmp_path: Path) -> None:
    """The web is killed while three people upload: what was acknowledged is there, and the rest leaves nothing."""
    chance = random.Random(4)
    with running_studio("serve", tmp_path) as studio:
        assert isinstance(studio, Served)
        stop, acknowledged = threading.Event(), dict[str, str]()
        threads = [
            threading.Thread(target=_upload_until, args=(stop, signed_in(studio, f"{name}@example.com"), acknowledged))
            for name in ("ada", "bob", "cy")
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in range(KILLS):
                before, next_s = len(acknowledged), time.monotonic() + SPARED_S
                eventually(lambda before=before: len(acknowledged) > before, what="uploads go on")  # type: ignore[misc]
                moment_s = next_s + chance.random() * 0.2
                eventually(lambda moment_s=moment_s: time.monotonic() >= moment_s, what="a moment")  # type: ignore[misc]
                studio.end("web", signal.SIGKILL)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        _sweep(studio, tmp_path)
        folder = tmp_path / "data" / "uploads"
        stored = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert stored == set(rows(studio, "SELECT object_key FROM uploads"))
        with contextlib.closing(signed_in(studio)) as ada:
            ids = set(rows(studio, "SELECT id FROM uploads"))
            assert set(acknowledged) <= ids
            mine = {line["upload"]["id"] for line in ada.get("/api/upload/list").json()["uploads"]}
            for upload_id in mine & set(acknowledged):
                got = ada.get(f"/api/upload/{upload_id}/content").content
                assert hashlib.sha256(got).hexdigest() == acknowledged[upload_id]


def test_no_kill_takes_back_what_counts_of_an_upload_in_pieces(tmp_path: Path) -> None:
    """The web is killed while a PATCH brings it: the offset never falls, and in the end the bytes are the same."""
    chance, data = random.Random(7), content(SLOW_KILLS * SLOW_BYTES)
    with running_studio("serve", tmp_path) as studio, contextlib.closing(signed_in(studio)) as ada:
        assert isinstance(studio, Served)
        name = base64.b64encode(b"take.flac").decode()
        said = {"Upload-Length": str(len(data)), "Upload-Metadata": f"filename {name}"}
        place = ada.post("/api/upload/tus", headers=TUS | said).headers["Location"]
        for _ in range(SLOW_KILLS - 1):
            next_s = time.monotonic() + SPARED_S
            at = _offset(ada, place)
            with _half_sent(studio, ada, place, at, data[at : at + SLOW_BYTES]):
                eventually(lambda at=at: _offset(ada, place) > at, what="something counts")  # type: ignore[misc]
                counted, moment_s = _offset(ada, place), next_s + chance.random() * 0.2
                eventually(lambda moment_s=moment_s: time.monotonic() >= moment_s, what="a moment")  # type: ignore[misc]
                studio.end("web", signal.SIGKILL)
            assert _offset(ada, place) >= counted
        at = _offset(ada, place)
        headers = TUS | {"Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
        assert ada.patch(place, content=data[at:], headers=headers).status_code == 204
        got = ada.get(f"/api/upload/{place.rpartition('/')[2]}/content").content
        assert hashlib.sha256(got).hexdigest() == hashlib.sha256(data).hexdigest()
        _sweep(studio, tmp_path)
        folder = tmp_path / "data" / "uploads"
        stored = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert stored == set(rows(studio, "SELECT object_key FROM uploads"))


def _offset(client: httpx.Client, place: str) -> int:
    """How much has arrived, once the web is there to say it."""
    answers: list[httpx.Response] = []

    def asked() -> bool:
        with contextlib.suppress(httpx.TransportError):
            answers.append(client.head(place, headers=TUS))
        return bool(answers) and answers[-1].status_code == 200

    eventually(asked, what="the offset is told")
    return int(answers[-1].headers["Upload-Offset"])


@contextlib.contextmanager
def _half_sent(studio: Studio, client: httpx.Client, place: str, at: int, part: bytes) -> Iterator[None]:
    """A PATCH that was to bring more than this."""
    (cookie,) = client.cookies.items()
    head = (
        f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1:{studio.visitors.web_port}\r\nCookie: {'='.join(cookie)}\r\n"
        f"Tus-Resumable: 1.0.0\r\nUpload-Offset: {at}\r\nContent-Length: {len(part) + 1}\r\n"
        "Content-Type: application/offset+octet-stream\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", studio.visitors.web_port), timeout=START_S) as opened:
        opened.sendall(head.encode() + part)
        yield


def _upload_until(stop: threading.Event, client: httpx.Client, acknowledged: dict[str, str]) -> None:
    with contextlib.closing(client):
        while not stop.wait(BREATH_S):
            data = content(300_000)
            with contextlib.suppress(httpx.TransportError):
                answer = send(client, data)
                if answer.status_code == 201:
                    acknowledged[answer.json()["upload"]["id"]] = hashlib.sha256(data).hexdigest()


def _sweep(studio: Studio, folder: Path) -> None:
    """Let time pass for what is loose, and keep house."""
    rows(studio, "UPDATE loose_objects SET due_at = now()")
    done = completed("clean-uploads", OMNISONIC_DATA_DIR=str(folder / "data"))
    assert done.returncode == 0, done.stderr
    assert rows(studio, "SELECT object_key FROM loose_objects") == []


@linux_only
def test_the_webs_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """One upload of 100 MB costs less than 16 MB, and eight at once less than 64 MB."""
    file = tmp_path / "take.flac"
    file.write_bytes(content(SIZES[-1]))
    with running_studio("serve", tmp_path) as studio, contextlib.closing(signed_in(studio)) as ada:
        pid = studio.pid("web")
        _send_file(ada, file, 1)  # what the first upload loads is not what an upload costs
        assert _growth(pid, lambda: _send_file(ada, file, 1)) < ONE_BYTES
        assert _growth(pid, lambda: _send_file(ada, file, 8)) < EIGHT_BYTES


def _send_file(client: httpx.Client, file: Path, times: int) -> None:
    def one() -> None:
        with file.open("rb") as stream:
            answers.append(client.post("/api/upload", files={"file": ("take.flac", stream)}).status_code)

    answers: list[int] = []
    threads = [threading.Thread(target=one) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [201] * times


def _growth(pid: int, act: Any) -> int:
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before = _resident(pid, "VmRSS")
    act()
    return _resident(pid, "VmHWM") - before


def _resident(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


@pytest.fixture(name="small_disk")
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A disk of `FULL_MB`."""
    folder = tmp_path / "small"
    folder.mkdir()
    size = f"size={FULL_MB}m"
    mount = ["/bin/mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["/bin/umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_told_and_nothing_is_left(small_disk: Path, tmp_path: Path) -> None:
    """507 (RELIABILITY 16); what fits is taken before and after."""
    with (
        running_studio("serve", tmp_path, STORAGE_LOCAL_DIR=str(small_disk)) as studio,
        contextlib.closing(signed_in(studio)) as ada,
    ):
        assert send(ada, content(2**20)).status_code == 201
        full = send(ada, content((FULL_MB + 8) * 2**20))
        assert (full.status_code, full.json()["code"]) == (507, "storage_full")
        eventually(lambda: rows(studio, "SELECT object_key FROM loose_objects") == [], what="nothing is left")
        assert len([path for path in small_disk.rglob("*") if path.is_file()]) == 1
        assert send(ada, content(2**20)).status_code == 201
