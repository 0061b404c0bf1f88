"""What arrives, while it does: no more than the quota, few files at once of one person, and none too slowly."""

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from tests.cli.running import eventually
from tests.http.api.test_tus import begun, offset, piece
from tests.http.api.test_uploads import is_clean
from tests.http.running import CLIENT_TIMEOUT_S, Web, running_web
from tests.http.sounds import wav
from tests.postgres_server import PostgresServer, fresh_database

MB: Final = 2**20
QUOTA_BYTES: Final = 10 * MB
AT_ONCE: Final = 20
SOUND: Final = wav(0.1) + bytes(4 * MB)
PART: Final = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
END: Final = b"\r\n--B--\r\n"
SLOW_S: Final = 0.5
FEW: Final = 2


@pytest.fixture(name="small", scope="module")
def serve_little(postgres_process: PostgresServer) -> Iterator[Web]:
    """A web with a small quota, and none on the number of files."""
    settings = {"UPLOAD_QUOTA_BYTES": str(QUOTA_BYTES), "UPLOAD_MAX_ACTIVE_PER_USER": "0"}
    with fresh_database(postgres_process) as url, running_web(settings, database_url=url) as web:
        yield web


@pytest.fixture(name="strict", scope="module")
def serve_strictly(postgres_process: PostgresServer) -> Iterator[Web]:
    """A web that takes few files at once of one person, and none that comes slowly."""
    settings = {"UPLOAD_MAX_ACTIVE_PER_USER": str(FEW)}
    config: dict[str, object] = {"SLOW_TIMEOUT": SLOW_S}
    with fresh_database(postgres_process) as url, running_web(settings, database_url=url, config=config) as web:
        yield web


class Sender:
    """Somebody who sends a file by form, and stops in the middle."""

    def __init__(self, web: Web, client: httpx.Client, *, is_chunked: bool = False) -> None:
        (cookie,) = client.cookies.items()
        self.socket = socket.create_connection(("127.0.0.1", web.port), timeout=CLIENT_TIMEOUT_S)
        self._is_chunked = is_chunked
        length = len(PART) + len(SOUND) + len(END)
        framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {length}"
        self.socket.sendall(
            f"POST /api/upload HTTP/1.1\r\nHost: localhost\r\nCookie: {'='.join(cookie)}\r\n{framing}\r\n"
            "Content-Type: multipart/form-data; boundary=B\r\n\r\n".encode()
        )

    def send(self, data: bytes) -> None:
        """Send that, as far as anybody wants it."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(b"%x\r\n%s\r\n" % (len(data), data) if self._is_chunked else data)

    def end(self) -> None:
        if self._is_chunked:
            self.send(b"")

    def answer(self) -> bytes:
        """Its head and what of its body came with it."""
        try:
            return self.socket.recv(65_536)
        except ConnectionError:
            return b""


def on_disk(web: Web) -> int:
    """How many bytes the storage holds, finished or not."""
    sizes = 0
    for path in web.folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            sizes += path.stat().st_size if path.is_file() else 0
    return sizes


@pytest.mark.parametrize("is_chunked", [False, True])
def test_of_twenty_forms_at_once_no_more_than_the_quota_is_ever_on_disk(small: Web, is_chunked: bool) -> None:
    """Whether they say how large they are or not; those that fit are kept, the others are told, and leave nothing."""
    small.forget_everybody()
    ada = small.sign_up("ada@example.com")
    with contextlib.ExitStack() as stack:
        senders = [Sender(small, ada, is_chunked=is_chunked) for _ in range(AT_ONCE)]
        for sender in senders:
            stack.enter_context(sender.socket)
            sender.send(PART)
        most = 0
        for begin in range(0, len(SOUND), MB):
            for sender in senders:
                sender.send(SOUND[begin : begin + MB])
                most = max(most, on_disk(small))
        for sender in senders:
            sender.send(END)
            sender.end()
        answers = [sender.answer() for sender in senders]
    assert most <= QUOTA_BYTES
    kept = sum(answer.startswith(b"HTTP/1.1 201 ") for answer in answers)
    assert kept <= QUOTA_BYTES // len(SOUND)
    assert is_chunked or kept == QUOTA_BYTES // len(SOUND)
    assert sum(b"upload_quota_exceeded" in answer for answer in answers) > 0
    eventually(lambda: on_disk(small) == kept * len(SOUND) and is_clean(small), what="nothing else is left")


def test_of_one_piece_that_is_sent_twenty_times_at_once_no_more_than_the_quota_is_on_disk(small: Web) -> None:
    """What is sent beside the one that fits is told so, and the upload goes on."""
    small.forget_everybody()
    ada = small.sign_up("ada@example.com")
    place = begun(ada, size=len(SOUND))
    (cookie,) = ada.cookies.items()
    head = (
        f"PATCH {place} HTTP/1.1\r\nHost: localhost\r\nCookie: {'='.join(cookie)}\r\nTus-Resumable: 1.0.0\r\n"
        f"Upload-Offset: 0\r\nContent-Length: {len(SOUND)}\r\nContent-Type: application/offset+octet-stream\r\n\r\n"
    ).encode()
    most = 0
    with contextlib.ExitStack() as stack:
        senders = [stack.enter_context(socket.create_connection(("127.0.0.1", small.port))) for _ in range(AT_ONCE)]
        for begin in range(0, len(SOUND) - MB, MB):
            for sender in senders:
                with contextlib.suppress(ConnectionError):
                    sender.sendall((b"" if begin else head) + SOUND[begin : begin + MB])
                most = max(most, on_disk(small))
    assert most <= QUOTA_BYTES
    eventually(lambda: goes_on(ada, place), what="it goes on")
    assert len(ada.get("/api/upload/list").json()["uploads"]) == 1


def goes_on(client: httpx.Client, place: str) -> bool:
    """Whether the rest of the file is taken."""
    at = offset(client, place)
    return piece(client, place, at, SOUND[at:]).status_code == 204


def test_few_files_of_one_person_arrive_at_once(strict: Web) -> None:
    """429 and when to come back; others have their own, and one that breaks off makes room."""
    strict.forget_everybody()
    ada, bo = strict.sign_up("ada@example.com"), strict.sign_up("bo@example.com")
    files = {"file": ("a.wav", wav(0.1))}
    with contextlib.ExitStack() as stack:
        senders = [Sender(strict, ada) for _ in range(FEW)]
        for sender in senders:
            stack.enter_context(sender.socket)
            sender.send(PART + SOUND[:MB])
        eventually(lambda: arriving(strict) == FEW, what="the web knows of those that have begun")
        refused = ada.post("/api/upload", files=files)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_uploads")
        assert int(refused.headers["Retry-After"]) > 0
        assert bo.post("/api/upload", files=files).status_code == 201
        senders[0].socket.close()
        eventually(lambda: ada.post("/api/upload", files=files).status_code == 201, what="there is room")


def arriving(web: Web) -> int:
    """How many files the web is taking in."""
    return len(web.do(web.database.rows("SELECT 1 FROM loose_objects WHERE reserved_until > now()")))


@pytest.mark.parametrize("is_piece", [False, True])
def test_a_file_that_comes_byte_by_byte_is_refused(strict: Web, is_piece: bool) -> None:
    """However steadily, by form or in pieces: 408 after a while, and nothing is left."""
    strict.forget_everybody()
    ada = strict.sign_up("ada@example.com")
    sender = Sender(strict, ada) if not is_piece else TusSender(strict, ada)
    with sender.socket as sock:
        begun_s = time.monotonic()
        while not select.select([sock], [], [], 0)[0]:
            sender.send(b"-" if is_piece else PART[:1])
            assert strict.client.get("/healthz").status_code == 200
            assert time.monotonic() < begun_s + 10 * SLOW_S
        assert time.monotonic() > begun_s + SLOW_S / 2
        assert sender.answer().startswith(b"HTTP/1.1 408 ")
    eventually(lambda: is_piece or is_clean(strict), what="nothing is left")


class TusSender(Sender):
    """The same in pieces."""

    def __init__(self, web: Web, client: httpx.Client) -> None:
        (cookie,) = client.cookies.items()
        self._is_chunked = False
        self.socket = socket.create_connection(("127.0.0.1", web.port), timeout=CLIENT_TIMEOUT_S)
        place = begun(client, size=len(SOUND))
        self.socket.sendall(
            f"PATCH {place} HTTP/1.1\r\nHost: localhost\r\nCookie: {'='.join(cookie)}\r\nTus-Resumable: 1.0.0\r\n"
            f"Upload-Offset: 0\r\nContent-Length: {len(SOUND)}\r\n"
            "Content-Type: application/offset+octet-stream\r\n\r\n".encode()
        )


def test_a_file_that_comes_quickly_enough_may_take_its_time(strict: Web) -> None:
    """Beyond what is allowed to whoever sends nothing, as long as it keeps coming."""
    strict.forget_everybody()
    sender = Sender(strict, strict.sign_up("ada@example.com"))
    with sender.socket as sock:
        sender.send(PART)
        begun_s, sent = time.monotonic(), 0
        while time.monotonic() < begun_s + 3 * SLOW_S:
            sender.send(SOUND[sent : sent + 16_384])
            sent += len(SOUND[sent : sent + 16_384])
            strict.client.get("/healthz")
            assert not select.select([sock], [], [], 0)[0]
        sender.send(SOUND[sent:] + END)
        assert sender.answer().startswith(b"HTTP/1.1 201 ")
