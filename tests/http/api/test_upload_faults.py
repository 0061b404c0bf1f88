"""Uploads while the store stands still or fails, the row cannot be made, or the client vanishes, at every moment.

There is an upload with its object, or neither, once whoever keeps house has been there (RELIABILITY 13, 14).
"""

import hashlib
import os
import select
import socket
import struct
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from omnisonic.stores.storage import StorageFull
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from tests.cli.running import eventually
from tests.http.api.test_sessions import make
from tests.http.api.test_tus import begun, offset, piece
from tests.http.api.test_upload_refusals import FORM, PART
from tests.http.api.test_uploads import is_clean, published_events, send
from tests.http.faulty_uploads import Fault, FaultyStorage, FaultyUploads, Moment, away
from tests.http.running import CLIENT_TIMEOUT_S, Web, running_web
from tests.http.sounds import wav
from tests.postgres_server import PostgresServer, fresh_database

STALL_S: Final = 0.3
QUIET_S: Final = 1.0
"""A socket that takes nothing for so long takes nothing: longer than a client may stand still."""
SOUND: Final = wav(0.1) + os.urandom(3 * 2**20)
"""Three blocks for the store, and a little more."""
LARGE_BYTES: Final = 64 * 2**20
HELD_BYTES: Final = 16 * 2**20
"""Most that a client gets rid of while the store stands still: two blocks, and what the kernel keeps on the way."""
MEMORY_BYTES: Final = 6 * 2**20
"""Two blocks while they are made of chunks, and the chunks that are ahead of them."""
END: Final = b"\r\n--B--\r\n"
PUT: Final[tuple[Moment, ...]] = ("first", "middle", "whole")
FAILURES: Final = [(away(), 503), (StorageFull(), 507), (RuntimeError("as nobody expected"), 500)]


@pytest.fixture(scope="module")
def fault() -> Fault:
    """What happens to the store and to the rows."""
    return Fault()


@pytest.fixture(scope="module")
def shared_web(
    postgres_process: PostgresServer, fault: Fault, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Web]:
    folder: Path = tmp_path_factory.mktemp("uploads")
    with (
        fresh_database(postgres_process) as url,
        running_web(
            database_url=url,
            storage=FaultyStorage(folder, fault),
            uploads=lambda store: FaultyUploads(store, fault),
            config={"STALL_TIMEOUT": STALL_S},
        ) as web,
    ):
        web.folder = folder
        yield web


@pytest.fixture(autouse=True)
def well(fault: Fault, shared_web: Web) -> Iterator[None]:
    """Each test begins and ends with nothing the matter."""
    yield
    shared_web.loop.call_soon_threadsafe(fault.go_on)
    fault.at("never")


@pytest.fixture
def ada(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com")


def listed(client: httpx.Client) -> list[dict[str, Any]]:
    """The uploads that the user finds."""
    answer = client.get("/api/upload/list")
    assert answer.status_code == 200
    return [line["upload"] for line in answer.json()["uploads"]]


def sweep(web: Web) -> None:
    """Let time pass for what is loose, and keep house."""
    web.do(web.database.row("UPDATE loose_objects SET due_at = now()"))
    web.do(GarbageCollector(web.stores.retention, web.stores.storage).sweep())


def hold_up(fault: Fault) -> None:
    """Wait until somebody is held up."""
    eventually(lambda: bool(fault.waiting), what="somebody waits")


def go_on(web: Web, fault: Fault) -> None:
    web.loop.call_soon_threadsafe(fault.go_on)


@contextmanager
def connection(web: Web, client: httpx.Client, size: int) -> Iterator[socket.socket]:
    """A connection on which the head of an upload was sent, whose form has `size` bytes."""
    (cookie,) = client.cookies.jar
    head = (
        f"POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nCookie: {cookie.name}={cookie.value}\r\n"
        f"Content-Type: {FORM}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", web.port), timeout=CLIENT_TIMEOUT_S) as opened:
        opened.sendall(head.encode())
        yield opened


def answer_of(opened: socket.socket) -> bytes:
    """What comes until the server closes."""
    return b"".join(iter(lambda: opened.recv(65_536), b""))


def vanish(opened: socket.socket) -> None:
    """Reset the connection."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    opened.close()


def sent_until_stuck(opened: socket.socket, form: memoryview) -> int:
    """Send as much of `form` as is taken; how much that was."""
    sent = 0
    while sent < len(form) and select.select([], [opened], [], QUIET_S)[1]:
        sent += opened.send(form[sent : sent + 65_536])
    return sent


def test_a_store_that_stands_still_holds_up_the_client(web: Web, ada: httpx.Client, fault: Fault) -> None:
    """What is in memory is bounded; the wait is not the client's fault, and all goes through when the store goes on."""
    sound = SOUND + bytes(LARGE_BYTES - len(SOUND))
    form = memoryview(PART + sound + END)
    fault.at("middle")
    with connection(web, ada, len(form)) as opened:
        tracemalloc.start()
        try:
            sent = sent_until_stuck(opened, form)
            _, most_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert fault.waiting
        assert sent < HELD_BYTES
        assert most_bytes < MEMORY_BYTES
        go_on(web, fault)
        opened.sendall(form[sent:])
        assert answer_of(opened).startswith(b"HTTP/1.1 201 ")
    assert [upload["sha256"] for upload in listed(ada)] == [hashlib.sha256(sound).hexdigest()]
    assert is_clean(web)


@pytest.mark.parametrize("moment", PUT)
@pytest.mark.parametrize(("failure", "status"), FAILURES)
def test_a_put_that_fails_leaves_nothing(
    web: Web, ada: httpx.Client, fault: Fault, moment: Moment, failure: Exception, status: int
) -> None:
    """At its beginning, in its middle, and when it is done but cannot say so; then the same file is taken."""
    session = make(ada)["id"]
    fault.at(moment, raising=failure)
    answer = send(ada, SOUND, session=session)
    assert answer.status_code == status
    assert (status == 503) == ("Retry-After" in answer.headers)
    assert web.stored() == set()
    assert is_clean(web)
    assert (listed(ada), published_events(web)) == ([], [])
    fault.at("never")
    assert send(ada, SOUND, session=session).status_code == 201
    assert is_clean(web)


@pytest.mark.parametrize("failure", [away(), RuntimeError("as nobody expected")])
def test_a_commit_that_fails_takes_the_object_with_it(
    web: Web, ada: httpx.Client, fault: Fault, failure: Exception
) -> None:
    """No row, no object, and nobody is told (RELIABILITY 14)."""
    fault.at("before", raising=failure)
    assert send(ada, SOUND, session=make(ada)["id"]).status_code in (500, 503)
    assert web.stored() == set()
    assert is_clean(web)
    assert (listed(ada), published_events(web)) == ([], [])


def test_a_commit_that_was_done_but_not_told_keeps_its_object(web: Web, ada: httpx.Client, fault: Fault) -> None:
    """503, since nobody knows; but there is a row, and no sweep takes its bytes away."""
    fault.at("after", raising=away())
    assert send(ada, SOUND).status_code == 503
    sweep(web)
    (upload,) = listed(ada)
    assert ada.get(f"/api/upload/{upload['id']}/content").content == SOUND
    assert is_clean(web)


@pytest.mark.parametrize(
    "moments", [("before", "abandon"), ("before", "delete"), ("middle", "abandon"), ("whole", "delete")]
)
def test_what_could_not_be_given_up_is_swept(
    web: Web, ada: httpx.Client, fault: Fault, moments: tuple[Moment, ...]
) -> None:
    """The database or the store fails once more when it is all to be undone: what is left is loose until a sweep."""
    fault.at(*moments, raising=away())
    assert send(ada, SOUND).status_code == 503
    assert listed(ada) == []
    assert not is_clean(web)
    fault.at("never")
    sweep(web)
    assert web.stored() == set()
    assert is_clean(web)


def test_what_was_done_and_cannot_be_asked_about_is_kept(web: Web, ada: httpx.Client, fault: Fault) -> None:
    """The row was made, nobody was told, and the database is away when it is asked whether it was."""
    fault.at("after", "abandon", raising=away())
    assert send(ada, SOUND).status_code == 503
    fault.at("never")
    sweep(web)
    (upload,) = listed(ada)
    assert ada.get(f"/api/upload/{upload['id']}/content").content == SOUND
    assert is_clean(web)


def test_an_upload_that_was_swept_before_its_row_was_made_is_none(web: Web, ada: httpx.Client, fault: Fault) -> None:
    """It took so long that housekeeping came first: 503, and no row without an object."""
    fault.at("before")
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, ada, SOUND)
        hold_up(fault)
        sweep(web)
        go_on(web, fault)
        assert sending.result().status_code == 503
    assert listed(ada) == []
    assert is_clean(web)


@pytest.mark.parametrize("moment", ["first", "middle"])
def test_a_client_that_vanishes_before_its_file_is_whole_leaves_nothing(
    web: Web, ada: httpx.Client, fault: Fault, moment: Moment
) -> None:
    """Though the store was busy with it when it did."""
    form = PART + SOUND + END
    fault.at(moment)
    with connection(web, ada, len(form)) as opened:
        opened.sendall(form[:-1_000_000])
        hold_up(fault)
        vanish(opened)
    go_on(web, fault)
    eventually(lambda: is_clean(web), what="nothing is left")
    assert (web.stored(), listed(ada)) == (set(), [])


@pytest.mark.parametrize("moment", ["whole", "before", "after"])
def test_a_client_that_vanishes_after_its_file_was_whole_has_uploaded_it(
    web: Web, ada: httpx.Client, fault: Fault, moment: Moment
) -> None:
    """Whatever is being done with it then is done to its end: it finds the file in the list."""
    form = PART + SOUND + END
    fault.at(moment)
    with connection(web, ada, len(form)) as opened:
        opened.sendall(form)
        hold_up(fault)
        vanish(opened)
    go_on(web, fault)
    eventually(lambda: bool(listed(ada)) and is_clean(web), what="the upload")
    assert [upload["sha256"] for upload in listed(ada)] == [hashlib.sha256(SOUND).hexdigest()]


@pytest.mark.parametrize(("moment", "count"), [("first", 0), ("middle", 0), ("whole", 0), ("before", 0), ("after", 1)])
def test_a_request_that_is_cancelled_leaves_all_or_nothing(
    web: Web, ada: httpx.Client, fault: Fault, moment: Moment, count: int
) -> None:
    """As when the web stops and has waited long enough: only what was committed stays."""
    form = PART + SOUND + END
    fault.at(moment)
    with connection(web, ada, len(form)) as opened:
        opened.sendall(form)
        hold_up(fault)
        web.loop.call_soon_threadsafe(fault.waiting[0].cancel)
        eventually(lambda: is_clean(web), what="nothing is left")
    assert len(listed(ada)) == len(web.stored()) == count


def test_a_client_that_stalls_when_much_is_stored_is_cut_off(web: Web, ada: httpx.Client) -> None:
    """408, and what has been written is gone."""
    with connection(web, ada, len(PART + SOUND + END)) as opened:
        opened.sendall(PART + SOUND)
        assert answer_of(opened).startswith(b"HTTP/1.1 408 ")
    eventually(lambda: is_clean(web), what="nothing is left")
    assert (web.stored(), listed(ada)) == (set(), [])


@pytest.mark.parametrize("moment", PUT)
def test_a_piece_that_could_not_be_put_is_sent_again(web: Web, ada: httpx.Client, fault: Fault, moment: Moment) -> None:
    """503, the offset stays, and nothing is left of it; then the last piece makes the upload."""
    place, half = begun(ada, size=len(SOUND)), len(SOUND) // 2
    assert piece(ada, place, 0, SOUND[:half]).status_code == 204
    fault.at(moment, raising=away())
    assert piece(ada, place, half, SOUND[half:]).status_code == 503
    assert offset(ada, place) == half
    assert is_clean(web)
    fault.at("never")
    assert piece(ada, place, half, SOUND[half:]).status_code == 204
    assert [upload["sha256"] for upload in listed(ada)] == [hashlib.sha256(SOUND).hexdigest()]
    assert is_clean(web)
