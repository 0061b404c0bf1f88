"""`omnisonic serve`: the whole studio as processes, kept up, and gone when it is gone."""

import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.running import STOP_S, Command, alive, children, command_line, completed, eventually, running

UPGRADE = (
    "GET /?roomId=jam&memberId={member}&displayName=Ada HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {origin}\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def ready(studio: Command) -> bool:
    """Whether the web can reach what it depends on."""
    try:
        return httpx.get(f"http://127.0.0.1:{studio.port('Studio')}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def upgraded(studio: Command, *, member: str, origin: str | None = None) -> bytes:
    """The first line that the gateway answers a WebSocket handshake with, from a page of the studio's."""
    origin = origin or f"http://127.0.0.1:{studio.port('Studio')}"
    with socket.create_connection(("127.0.0.1", studio.port("Gateway")), timeout=20) as connection:
        connection.sendall(UPGRADE.format(member=member, origin=origin).encode())
        return connection.recv(65_536).splitlines()[0]


def test_it_says_calmly_where_everything_is(studio: Command) -> None:
    """URLs, data, who may enter, how to stop."""
    for label in ("Studio    http://", "Gateway   ws://", "Data      /", "Rooms     open: ", "Stop      Ctrl-C"):
        studio.printed(f"^  {label}")


def test_web_and_gateway_are_in_service_once_it_says_so(studio: Command) -> None:
    """With their ports known to each other, though they were free ones."""
    assert ready(studio)
    assert b"101" in upgraded(studio, member="ada")
    assert b"403" in upgraded(studio, member="eve", origin="http://127.0.0.1:1")


def test_the_database_is_private(studio: Command) -> None:
    """The password stands in a file of mode 0600, on no command line, and in no line of output."""
    data = Path(studio.printed(r"Data +(/.*)$")[1])
    configuration = data / "valkey" / "valkey.conf"
    assert configuration.stat().st_mode & 0o777 == 0o600
    assert (data / "valkey").stat().st_mode & 0o777 == 0o700
    password = configuration.read_text().partition("requirepass ")[2].splitlines()[0]
    assert len(password) > 32
    assert password not in "".join(map(command_line, [studio.pid, *children(studio.pid)]))
    assert password not in "".join(studio.lines)


@pytest.mark.parametrize("name", ["gateway", "web", "valkey"])
def test_a_part_that_is_killed_comes_back_while_the_others_live_on(studio: Command, name: str) -> None:
    """And everything works again, under the same URLs."""
    before = set(children(studio.pid))
    killed = studio.part(name)
    os.kill(killed, signal.SIGKILL)
    studio.printed(f"The {name} was killed by SIGKILL. Starting it again.")
    eventually(lambda: len(children(studio.pid)) == len(before), what=f"the {name} is back")
    assert before - {killed} <= set(children(studio.pid))
    eventually(lambda: ready(studio), what="the studio is ready again")
    assert b"101" in upgraded(studio, member=name)


def test_a_visitor_who_comes_while_the_gateway_is_down_waits_and_gets_in(studio: Command) -> None:
    """The listening socket outlives the gateway: nobody is refused."""
    os.kill(studio.part("gateway"), signal.SIGKILL)
    assert b"101" in upgraded(studio, member="early")


def test_a_second_studio_on_the_same_port_is_told_so(studio: Command, tmp_path: Path) -> None:
    """Before it has started anything."""
    port = studio.port("Studio")
    shown = completed("serve", WEB_PORT=str(port), OMNISONIC_DATA_DIR=str(tmp_path))
    assert shown.returncode == 1
    assert shown.stderr == f"omnisonic: Port {port} is in use on 127.0.0.1; set WEB_PORT, or stop the other program.\n"


def test_a_second_studio_in_the_same_data_directory_is_told_so(studio: Command) -> None:
    """It would take the first one's database for a stale one."""
    data = studio.printed(r"Data +(/.*)$")[1]
    shown = completed("serve", OMNISONIC_DATA_DIR=data)
    assert shown.returncode == 1
    assert shown.stderr == (
        f"omnisonic: Another `omnisonic serve` uses the data directory {data}; stop it, or set OMNISONIC_DATA_DIR.\n"
    )
    assert ready(studio)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_all_of_it_cleanly(how: signal.Signals, tmp_path: Path) -> None:
    """Exit code 0 within 10 s, and no process left."""
    with running("serve", OMNISONIC_DATA_DIR=str(tmp_path)) as studio:
        studio.printed("is running")
        parts = children(studio.pid)
        assert len(parts) == 3
        begun_s = time.monotonic()
        assert studio.stop(how) == 0
        assert time.monotonic() - begun_s < STOP_S
        assert not any(map(alive, parts))


def test_a_studio_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its parts notice, and end by themselves."""
    with running("serve", OMNISONIC_DATA_DIR=str(tmp_path)) as studio:
        studio.printed("is running")
        parts = children(studio.pid)
        assert len(parts) == 3
        studio.kill()
        eventually(lambda: not any(map(alive, parts)), what="all parts are gone", within_s=STOP_S)


def test_with_tickets_it_says_that_nobody_can_enter_yet(tmp_path: Path) -> None:
    """And how to let everybody in."""
    with running("serve", OMNISONIC_DATA_DIR=str(tmp_path), ROOM_ACCESS="ticket") as studio:
        studio.printed("nobody can enter until there are accounts; ROOM_ACCESS=open lets everybody in")


def test_a_redis_that_is_named_is_used_and_none_is_embedded(tmp_path: Path) -> None:
    """Even while it is down: the studio runs, and says what it misses where it is asked (`/readyz`)."""
    with running("serve", OMNISONIC_DATA_DIR=str(tmp_path), REDIS_URL="redis://127.0.0.1:1/0") as studio:
        studio.printed("is running")
        assert len(children(studio.pid)) == 2
        assert not (tmp_path / "valkey").exists()
