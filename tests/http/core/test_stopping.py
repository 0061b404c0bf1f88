"""Uploads in flight when the web stops: whole ones are taken, others are told to come again, and nothing is left."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from omnisonic.http.serving import GRACE_S
from omnisonic.stores.storage import Storage
from omnisonic.stores.storage.local import LocalStorage
from tests.cli.running import eventually
from tests.http.api.test_tus import begun, offset
from tests.http.api.test_upload_faults import END, answer_of, connection, hold_up
from tests.http.api.test_upload_refusals import PART
from tests.http.api.test_uploads import is_clean
from tests.http.faulty_uploads import Fault, FaultyStorage
from tests.http.running import Web, running_web
from tests.http.sounds import wav
from tests.postgres_server import PostgresServer, fresh_database

SOUND: Final = wav(0.5)
HALF: Final = len(SOUND) // 2


@contextmanager
def web_on(url: str, storage: Storage, folder: Path) -> Iterator[Web]:
    """A web whose uploads are in this folder: the next one finds them there."""
    with running_web(database_url=url, storage=storage) as web:
        web.folder = folder
        yield web


@pytest.fixture
def url(postgres_process: PostgresServer) -> Iterator[str]:
    with fresh_database(postgres_process) as url:
        yield url


def stop_soon(web: Web) -> threading.Thread:
    """Tell the web to stop, and wait until it has begun to: nobody is let in any more."""
    stopping = threading.Thread(target=web.stop)
    stopping.start()
    while True:
        try:
            socket.create_connection(("127.0.0.1", web.port), timeout=5).close()
        except OSError:
            return stopping


def asks_to_retry(answer: bytes) -> bool:
    """Whether it is 503 that says when, in our own words and with our own headers."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    assert (lines[0].split()[1], json.loads(body)["code"]) == ("503", "unavailable"), answer
    return int(fields["retry-after"]) > 0 and bool(fields["x-request-id"]) and fields["connection"] == "close"


def nothing_is_left(url: str, folder: Path) -> bool:
    """Whether there is no upload, no object and no loose row, as the next web finds it."""
    with web_on(url, LocalStorage(folder), folder) as web:
        listed = web.sign_up("ada@example.com").get("/api/upload/list").json()["uploads"]
        return listed == [] and is_clean(web) and web.stored() == set()


@pytest.mark.timing
@pytest.mark.parametrize("goes_on", [False, True], ids=["a client that waits", "a client that goes on sending"])
def test_a_form_in_flight_at_a_stop_is_503(url: str, tmp_path: Path, goes_on: bool) -> None:
    """With `Retry-After`, in time, and with nothing left behind."""
    with web_on(url, LocalStorage(tmp_path), tmp_path) as web:
        ada = web.sign_up("ada@example.com")
        with connection(web, ada, 10**8) as opened:
            opened.sendall(PART + SOUND)
            eventually(lambda: not is_clean(web), what="the file is being taken")
            began_s = time.monotonic()
            stopping = stop_soon(web)
            if goes_on:
                sending = threading.Thread(target=_send_on, args=(opened,), daemon=True)
                sending.start()
            assert asks_to_retry(answer_of(opened))
            stopping.join()
            assert time.monotonic() - began_s < GRACE_S
    assert nothing_is_left(url, tmp_path)


def _send_on(opened: socket.socket) -> None:
    """Send as a client does that has not read its answer yet, until that is not possible any more."""
    try:
        while True:
            opened.sendall(b"\0" * 4096)
            threading.Event().wait(0.01)
    except OSError:
        return


def test_an_upload_whose_file_comes_whole_in_time_is_taken(url: str, tmp_path: Path) -> None:
    """A stop is no reason to throw away what is nearly there."""
    form = PART + SOUND + END
    with web_on(url, LocalStorage(tmp_path), tmp_path) as web:
        ada = web.sign_up("ada@example.com")
        with connection(web, ada, len(form)) as opened:
            opened.sendall(form[:-10])
            eventually(lambda: not is_clean(web), what="the file is being taken")
            stopping = stop_soon(web)
            opened.sendall(form[-10:])
            assert answer_of(opened).startswith(b"HTTP/1.1 201 ")
            stopping.join()


def test_an_upload_that_the_store_holds_up_is_503(url: str, tmp_path: Path) -> None:
    """Though its file is whole: nobody knows whether it will be kept in time."""
    fault = Fault()
    form = PART + SOUND + END
    with web_on(url, FaultyStorage(tmp_path, fault), tmp_path) as web:
        ada = web.sign_up("ada@example.com")
        fault.at("whole")
        with connection(web, ada, len(form)) as opened:
            opened.sendall(form)
            hold_up(fault)
            stopping = stop_soon(web)
            assert asks_to_retry(answer_of(opened))
            stopping.join()
    assert nothing_is_left(url, tmp_path)


@pytest.mark.parametrize("promised", [False, True], ids=["without a checksum", "with a checksum"])
def test_a_piece_in_flight_at_a_stop_is_503_and_goes_on_later(url: str, tmp_path: Path, promised: bool) -> None:
    """What has arrived is kept, unless a checksum was promised; the client asks for the offset and goes on."""
    with web_on(url, LocalStorage(tmp_path), tmp_path) as web:
        ada = web.sign_up("ada@example.com")
        place = begun(ada, size=len(SOUND))
        with socket.create_connection(("127.0.0.1", web.port), timeout=10) as opened:
            opened.sendall(_piece_head(web, ada, place, promised=promised) + SOUND[:HALF])
            eventually(lambda: bool(web.stored()), what="the piece is being kept")
            stopping = stop_soon(web)
            assert asks_to_retry(answer_of(opened))
            stopping.join()
    with web_on(url, LocalStorage(tmp_path), tmp_path) as web:
        ada = web.sign_up("ada@example.com")
        arrived = 0 if promised else HALF
        assert offset(ada, place) == arrived
        assert len(web.stored()) == (0 if promised else 1)
        headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(arrived)}
        headers["Content-Type"] = "application/offset+octet-stream"
        assert ada.patch(place, headers=headers, content=SOUND[arrived:]).status_code == 204
        assert is_clean(web)


def _piece_head(web: Web, client: httpx.Client, place: str, *, promised: bool) -> bytes:
    (cookie,) = client.cookies.jar
    checksum = "Upload-Checksum: sha256 AAAA\r\n" if promised else ""
    return (
        f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nCookie: {cookie.name}={cookie.value}\r\n"
        f"Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n{checksum}"
        f"Content-Length: {len(SOUND)}\r\n\r\n"
    ).encode()
