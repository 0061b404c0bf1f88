"""What comes in a request counts while that request still runs, and the last one that has begun goes on (tus 1.0)."""

import contextlib
import hashlib
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from omnisonic.stores.storage.local import LocalStorage
from omnisonic.stores.storage.s3 import S3Storage
from tests.cli.running import eventually
from tests.http.api.test_tus import begun, offset, piece
from tests.http.api.test_uploads import is_clean
from tests.http.running import CLIENT_TIMEOUT_S, Web, running_web
from tests.http.sounds import wav
from tests.postgres_server import PostgresServer, fresh_database
from tests.s3_server import S3Server
from tests.stores.storage.shelves import bucket_at

SOUND: Final = wav(0.1) + bytes(range(256)) * 65_536
"""More than 16 MiB, so that S3 has it in parts."""
HALF: Final = len(SOUND) // 2
SMALL_BYTES: Final = 100_000
STEP_BYTES: Final = 250
SOON_S: Final = 10.0
"""Time enough on a busy machine; a quiet one needs a tenth."""


@pytest.fixture(name="webs", params=["local", "s3"])
def serve_twice(
    request: pytest.FixtureRequest, postgres_process: PostgresServer, tmp_path: Path
) -> Iterator[tuple[Web, Web]]:
    """Two webs that share nothing but the database and the storage."""
    server: S3Server | None = request.getfixturevalue("s3") if request.param == "s3" else None
    storages = [LocalStorage(tmp_path) if server is None else S3Storage(bucket_at(server.port)) for _ in range(2)]
    with fresh_database(postgres_process) as url, contextlib.ExitStack() as stack:
        one, other = [stack.enter_context(running_web(database_url=url, storage=storage)) for storage in storages]
        yield one, other


class Patch:
    """A request that brings a piece of `size` bytes, as slowly as one likes."""

    def __init__(self, web: Web, client: httpx.Client, place: str, *, at: int, size: int, header: str = "") -> None:
        (cookie,) = client.cookies.items()
        self.socket = socket.create_connection(("127.0.0.1", web.port), timeout=CLIENT_TIMEOUT_S)
        self.socket.sendall(
            f"PATCH {place} HTTP/1.1\r\nHost: localhost\r\nCookie: {'='.join(cookie)}\r\nTus-Resumable: 1.0.0\r\n"
            f"Upload-Offset: {at}\r\nContent-Length: {size}\r\n{header}"
            "Content-Type: application/offset+octet-stream\r\n\r\n".encode()
        )

    def send(self, data: bytes) -> None:
        """Send that, as far as anybody wants it."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    @property
    def is_answered(self) -> bool:
        return bool(select.select([self.socket], [], [], 0)[0])

    def answer(self) -> bytes:
        """All of it, with its body."""
        return b"".join(iter(lambda: self.socket.recv(65_536), b""))


@pytest.fixture(name="patches")
def close_patches() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def sha256_of(client: httpx.Client, place: str) -> str:
    """That of what is downloaded, once it is finished."""
    answer = client.get(f"/api/upload/{place.rpartition('/')[2]}/content")
    assert answer.status_code == 200, answer.text
    return hashlib.sha256(answer.content).hexdigest()


def test_what_came_before_a_silence_counts_and_another_request_goes_on(
    webs: tuple[Web, Web], patches: contextlib.ExitStack
) -> None:
    """To the byte, while the old request still hangs; the other web goes on there, and the old one is told."""
    one, other = webs
    ada, same = one.sign_up("ada@example.com"), other.sign_up("ada@example.com")
    place = begun(ada, size=len(SOUND))
    old = Patch(one, ada, place, at=0, size=len(SOUND))
    patches.enter_context(old.socket)
    old.send(SOUND[:HALF])
    eventually(lambda: offset(same, place) == HALF, what="all of it counts", within_s=SOON_S)
    assert not old.is_answered
    assert piece(same, place, HALF, SOUND[HALF:]).status_code == 204
    eventually(lambda: old.is_answered, what="the old one is told", within_s=SOON_S)
    assert old.answer().startswith(b"HTTP/1.1 409 ")
    assert offset(same, place) == len(SOUND)
    assert sha256_of(same, place) == hashlib.sha256(SOUND).hexdigest()
    eventually(lambda: one.do(one.database.rows("SELECT 1 FROM loose_objects")) == [], what="nothing is left")


def test_of_two_requests_that_both_send_only_the_last_that_began_writes(
    webs: tuple[Web, Web], patches: contextlib.ExitStack
) -> None:
    """Their bytes never mix, whatever comes when; the first is told as soon as its piece would count."""
    one, other = webs
    ada, same = one.sign_up("ada@example.com"), other.sign_up("ada@example.com")
    place, wrong = begun(ada, size=len(SOUND)), bytes(len(SOUND))
    first = Patch(one, ada, place, at=0, size=len(SOUND))
    patches.enter_context(first.socket)
    first.send(wrong[:SMALL_BYTES])
    eventually(lambda: arriving(one) == 1, what="the first sends")
    second = Patch(other, same, place, at=0, size=len(SOUND))
    patches.enter_context(second.socket)
    eventually(lambda: writer(one) == 2, what="the second has begun")
    sent = 0
    while not first.is_answered:
        assert sent < HALF, "the first one still writes"
        first.send(wrong[:256])
        second.send(SOUND[sent : sent + STEP_BYTES])
        sent += STEP_BYTES
        assert one.client.get("/healthz").status_code == 200
    assert b'"code":"upload_taken_over"' in first.answer()
    second.send(SOUND[sent:])
    assert second.socket.recv(12) == b"HTTP/1.1 204"
    assert sha256_of(ada, place) == hashlib.sha256(SOUND).hexdigest()


def arriving(web: Web) -> int:
    """How many requests are sending."""
    return len(web.do(web.database.rows("SELECT 1 FROM loose_objects WHERE reserved_until > now()")))


def writer(web: Web) -> int:
    """How many requests have begun to write."""
    ((number,),) = web.do(web.database.rows("SELECT writer FROM resumable_uploads"))
    return int(number)


def test_what_was_promised_a_checksum_counts_when_it_is_whole(web: Web, patches: contextlib.ExitStack) -> None:
    """Not before: damage in the last byte takes all of it back, however long it took."""
    ada = web.sign_up("ada@example.com")
    place = begun(ada, size=len(SOUND))
    patch = Patch(web, ada, place, at=0, size=SMALL_BYTES, header="Upload-Checksum: md5 AAAAAAAAAAAAAAAAAAAAAA==\r\n")
    patches.enter_context(patch.socket)
    patch.send(SOUND[: SMALL_BYTES - 1])
    unchecked = begun(ada, size=len(SOUND))
    beside = Patch(web, ada, unchecked, at=0, size=SMALL_BYTES)
    patches.enter_context(beside.socket)
    beside.send(SOUND[: SMALL_BYTES - 1])
    eventually(lambda: offset(ada, unchecked) == SMALL_BYTES - 1, what="what has no checksum counts", within_s=SOON_S)
    assert offset(ada, place) == 0
    patch.send(b"-")
    assert patch.socket.recv(12) == b"HTTP/1.1 460"
    assert offset(ada, place) == 0


def test_a_piece_that_is_longer_than_what_is_wanted_is_refused_before_it_comes(
    web: Web, patches: contextlib.ExitStack
) -> None:
    """413 at once, and nothing counts."""
    ada = web.sign_up("ada@example.com")
    place = begun(ada, size=1000)
    patch = Patch(web, ada, place, at=0, size=10**8)
    patches.enter_context(patch.socket)
    assert patch.socket.recv(12) == b"HTTP/1.1 413"
    assert offset(ada, place) == 0
    assert is_clean(web)


def test_whoever_takes_over_waits_for_room_instead_of_being_refused(
    postgres_process: PostgresServer, patches: contextlib.ExitStack
) -> None:
    """One file of a person may arrive at once: the request that has broken without a word is not a second one."""
    settings = {"UPLOAD_MAX_ACTIVE_PER_USER": "1"}
    with fresh_database(postgres_process) as url, running_web(settings, database_url=url) as web:
        ada = web.sign_up("ada@example.com")
        place = begun(ada, size=len(SOUND))
        old = Patch(web, ada, place, at=0, size=len(SOUND))
        patches.enter_context(old.socket)
        old.send(SOUND[:SMALL_BYTES])
        eventually(lambda: offset(ada, place) == SMALL_BYTES, what="it counts", within_s=SOON_S)
        assert piece(ada, place, SMALL_BYTES, SOUND[SMALL_BYTES:]).status_code == 204
        assert sha256_of(ada, place) == hashlib.sha256(SOUND).hexdigest()
        eventually(lambda: is_clean(web), what="nothing is left")
