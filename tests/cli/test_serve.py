"""`omnisonic serve`: the whole studio as processes, kept up, and gone when it is gone."""

import os
import secrets
import signal
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest

from omnisonic.operations.supervisor import STOP_STEP_S
from tests.cli.running import START_S, STOP_S, Command, alive, children, command_line, completed, eventually, running
from tests.prepared_postgres import prepare_data_directory
from tests.processes import send_signal

PARTS = 5 + (sys.platform == "linux")
"""Postgres, Valkey, gateway, web and worker, and the fork server."""
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="there is a fork server on Linux only")
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
    """URLs, how to sign in, data, who may enter, how to stop."""
    studio.printed("^  Sign in   with any e-mail and password; an unknown e-mail makes an account$")
    for label in ("Studio    http://", "Gateway   ws://", "Parity    http://", "Data      /", "Rooms     open: "):
        studio.printed(f"^  {label}")
    studio.printed("^  Stop      Ctrl-C$")


def test_the_parity_service_is_in_service_too(studio: Command) -> None:
    """On a socket of its own."""
    answer = httpx.get(f"http://127.0.0.1:{studio.port('Parity')}/healthz", timeout=5)
    assert (answer.status_code, answer.json()) == (200, {"ok": True})


def test_web_and_gateway_are_in_service_once_it_says_so(studio: Command) -> None:
    """With their ports known to each other, though they were free ones."""
    assert httpx.get(f"http://127.0.0.1:{studio.port('Studio')}/readyz", timeout=5).status_code in (200, 503)
    eventually(lambda: ready(studio), what="all answers within its deadline")  # a busy machine may miss one
    assert b"101" in upgraded(studio, member="ada")
    assert b"403" in upgraded(studio, member="eve", origin="http://127.0.0.1:1")


def test_secrets_are_private(studio: Command) -> None:
    """They stand in files of mode 0600 in folders of mode 0700, on no command line, and in no line of output."""
    data = Path(studio.printed(r"Data +(/.*)$")[1])
    files = [data / "valkey" / "valkey.conf", data / "postgres" / "password", data / "secret", data / "admin-token"]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 4
    configuration, *kept = [file.read_text() for file in files]
    kept.append(configuration.partition("requirepass ")[2].splitlines()[0])
    seen = "".join([*map(command_line, [studio.pid, *children(studio.pid)]), *studio.lines])
    assert (data / "valkey").stat().st_mode & 0o777 == 0o700
    for secret in kept:
        assert len(secret.strip()) > 32
        assert secret.strip() not in seen


@pytest.mark.parametrize("name", ["gateway", "web", "worker", "parity", "valkey", "postgres"])
def test_a_part_that_is_killed_comes_back_while_the_others_live_on(studio: Command, name: str) -> None:
    """And everything works again, under the same URLs."""
    before = set(children(studio.pid))
    killed = studio.part(name)
    assert send_signal(killed, signal.SIGKILL)
    studio.printed(f"`{name}` was killed by SIGKILL. Starting it again.")
    eventually(lambda: len(children(studio.pid)) == len(before), what=f"the {name} is back")
    assert before - {killed} <= set(children(studio.pid))
    eventually(lambda: ready(studio), what="the studio is ready again")
    assert b"101" in upgraded(studio, member=name)


def test_a_visitor_who_comes_while_the_gateway_is_down_waits_and_gets_in(studio: Command) -> None:
    """The listening socket outlives the gateway: nobody is refused."""
    assert send_signal(studio.part("gateway"), signal.SIGKILL)
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
        f"omnisonic: Another `omnisonic serve` uses the data directory {data}, or a backup or restore of it runs; "
        "stop it, or set OMNISONIC_DATA_DIR.\n"
    )
    eventually(lambda: ready(studio), what="the studio is ready")


@linux_only
def test_parts_are_forked_and_come_back_without_the_fork_server(tmp_path: Path) -> None:
    """It has one thread and no secret. When it is killed, it comes back, and nothing else ends."""
    words = {"DISCORD_CLIENT_ID": "x", "DISCORD_CLIENT_SECRET": "canary-bird", "OTHER_PASSWORD": "canary-seed"}
    data = str(prepare_data_directory(tmp_path))
    with running("serve", OMNISONIC_DATA_DIR=data, PARITY_ENABLED="true", **words) as studio:
        studio.printed("is running")
        before = set(children(studio.pid))
        server = fork_server(studio)
        assert len(list(Path(f"/proc/{server}/task").iterdir())) == 1
        assert {Path(f"/proc/{pid}/comm").read_text() for pid in before} >= {"omni-gateway\n", "omni-web\n"}
        secret = (tmp_path / "secret").read_bytes().strip()
        for pid, holds in ((server, False), (studio.part("parity"), False), (studio.part("web"), True)):
            assert [memory_has(pid, word) for word in (b"canary-bird", secret)] == [holds, holds]
        assert not memory_has(server, b"canary-seed")
        assert send_signal(server, signal.SIGKILL)
        studio.printed("`fork-server` was killed by SIGKILL. Starting it again.")
        web = studio.part("web")
        assert send_signal(web, signal.SIGKILL)  # maybe it is executed
        eventually(lambda: len(set(children(studio.pid)) - before) == 2, what="both are back")
        eventually(lambda: ready(studio), what="the studio is ready again")
        assert before - {server, web} <= set(children(studio.pid))
        parts = children(studio.pid)
        assert studio.stop() == 0
        assert not any(map(alive, parts))


def fork_server(studio: Command) -> int:
    """Its process id."""
    (pid,) = [pid for pid in children(studio.pid) if "omnisonic.operations.fork_server" in command_line(pid)]
    return pid


def memory_has(pid: int, word: bytes) -> bool:
    """Whether `word` is somewhere in what the process can write to."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            begin, end = (int(number, 16) for number in place.split("-"))
            if rights.startswith("rw"):
                memory.seek(begin)
                if word in memory.read(end - begin):
                    return True
    return False


@pytest.mark.timing
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_all_of_it_cleanly(how: signal.Signals, tmp_path: Path) -> None:
    """Exit code 0 within 10 s, and no process left."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
    with running("serve", OMNISONIC_DATA_DIR=str(prepare_data_directory(tmp_path))) as studio:
        studio.printed("is running")
        parts = children(studio.pid)
        assert len(parts) == PARTS
        begun_s = time.monotonic()
        assert studio.stop(how) == 0
        assert time.monotonic() - begun_s < STOP_S
        assert not any(map(alive, parts))


@pytest.mark.timing
def test_parts_that_do_not_stop_cost_the_rooms_nothing(tmp_path: Path) -> None:
    """Two processes of the web and a worker that hang are waited for together; all others stop in order after that."""
    with running("serve", OMNISONIC_DATA_DIR=str(prepare_data_directory(tmp_path)), WEB_WORKERS="2") as studio:
        studio.printed("is running")
        hanging = [pid for pid in children(studio.pid) if command_line(pid).split()[3:4] in (["web"], ["worker"])]
        assert len(hanging) == 3
        for pid in hanging:
            send_signal(pid, signal.SIGSTOP)
        begun_s = time.monotonic()
        studio.signal(signal.SIGTERM)
        studio.printed("gateway.stopping")
        assert time.monotonic() - begun_s < STOP_STEP_S
        eventually(lambda: not alive(studio.pid), what="the studio has ended", within_s=STOP_S)
        assert time.monotonic() - begun_s < STOP_S
        assert studio.stop() == 0
    assert (tmp_path / "valkey" / "dump.rdb").exists()
    assert not (tmp_path / "postgres" / "data" / "postmaster.pid").exists()


def test_a_studio_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    """A hang-up that is ignored when it starts stays ignored; it stops as ever when it is told to."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # children begin with it
    try:
        with running("serve", OMNISONIC_DATA_DIR=str(prepare_data_directory(tmp_path))) as studio:
            studio.printed("is running")
            assert send_signal(studio.pid, signal.SIGHUP)
            eventually(lambda: ready(studio), what="the studio is ready")
            assert studio.stop() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_studio_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its parts notice, and end by themselves; so do the servers, and what Postgres has started itself."""
    with running("serve", OMNISONIC_DATA_DIR=str(prepare_data_directory(tmp_path))) as studio:
        studio.printed("is running")
        parts = children(studio.pid)
        assert len(parts) == PARTS
        parts += children(studio.part("postgres"))
        studio.kill()
        eventually(lambda: not any(map(alive, parts)), what="all parts are gone", within_s=STOP_S)


def test_what_was_kept_is_there_after_a_studio_was_killed(tmp_path: Path) -> None:
    """The next start finds the database and the secrets, though nobody had time to tidy up."""
    with running("serve", OMNISONIC_DATA_DIR=str(prepare_data_directory(tmp_path))) as studio:
        studio.printed("is running")
        added = completed("users", "add", "ada@example.com", typed="correct horse\n", OMNISONIC_DATA_DIR=str(tmp_path))
        assert (added.returncode, added.stderr) == (0, "")
        secret = (tmp_path / "secret").read_text()
        studio.kill()
    with running("serve", OMNISONIC_DATA_DIR=str(tmp_path)) as studio:
        studio.printed("is running")
        again = completed("users", "add", "ada@example.com", typed="correct horse\n", OMNISONIC_DATA_DIR=str(tmp_path))
        assert again.returncode == 1
        assert again.stderr.startswith("omnisonic: There is an account with the e-mail address ada@example.com: ")
        assert (tmp_path / "secret").read_text() == secret


def test_production_says_how_people_sign_in_and_who_may_enter(tmp_path: Path) -> None:
    """By what is on, and how accounts are made where nobody registers by themselves. Rooms are for members there."""
    production = {
        "OMNISONIC_ENV": "production",
        "LOG_FORMAT": "text",
        "NEXTAUTH_SECRET": secrets.token_urlsafe(32),
        "AUTH_ENABLE_CREDENTIALS": "true",
        "DISCORD_CLIENT_ID": "x",
        "DISCORD_CLIENT_SECRET": "canary",
    }
    with running("serve", OMNISONIC_DATA_DIR=str(prepare_data_directory(tmp_path)), **production) as studio:
        studio.printed("^  Sign in   with Discord or e-mail and password \\(`omnisonic users add` makes accounts\\)$")
        studio.printed("^  Rooms     for members: people enter the rooms of their own sessions")
        assert not (tmp_path / "secret").exists()
        assert "canary" not in "".join(studio.lines)


def test_servers_that_are_named_are_used_and_none_is_embedded(tmp_path: Path, database_url: str) -> None:
    """Even while Redis is down: the studio runs, and says what it misses where it is asked (`/readyz`)."""
    named = {"REDIS_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": database_url}
    with running("serve", OMNISONIC_DATA_DIR=str(tmp_path), **named) as studio:
        studio.printed("is running")
        assert len(children(studio.pid)) == PARTS - 2  # no server
        assert not (tmp_path / "valkey").exists()
        assert not (tmp_path / "postgres").exists()
        assert not ready(studio)


def test_a_database_that_cannot_be_reached_is_a_sentence(tmp_path: Path) -> None:
    """The parts are not started, for what they need cannot be brought up to date; no password is shown."""
    shown = completed("serve", OMNISONIC_DATA_DIR=str(tmp_path), DATABASE_URL="postgresql://me:canary@127.0.0.1:1/x")
    assert shown.returncode == 1
    assert "The database at 127.0.0.1:1 cannot be reached, it refuses connections" in shown.stdout
    assert shown.stderr == "omnisonic: `migrate` exited with code 1.\n"
    assert "canary" not in shown.stdout + shown.stderr


def test_the_rooms_come_first_on_the_processors(tmp_path: Path) -> None:
    """Pages, the worker and the database come behind the gateway by their niceness."""
    with running("serve", OMNISONIC_DATA_DIR=str(prepare_data_directory(tmp_path)), ROOMS_FIRST="true") as studio:
        studio.port("Studio")
        assert niceness(studio) == {"gateway": 0, "web": 10, "worker": 10, "postgres": 10}


def test_the_rooms_do_not_come_first_where_it_is_switched_off(studio: Command) -> None:
    """As in the studio that most of these tests share."""
    assert niceness(studio) == {"gateway": 0, "web": 0, "worker": 0, "postgres": 0}


def niceness(studio: Command) -> dict[str, int]:
    """By how much each of these parts comes behind this program."""
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    parts = ("gateway", "web", "worker", "postgres")
    return {name: os.getpriority(os.PRIO_PROCESS, studio.part(name)) - ours for name in parts}


def test_several_web_processes_share_one_port(tmp_path: Path) -> None:
    """Each is kept up by itself, and the others answer meanwhile."""
    with running("serve", OMNISONIC_DATA_DIR=str(prepare_data_directory(tmp_path)), WEB_WORKERS="2") as studio:
        studio.printed("is running")
        assert len(children(studio.pid)) == PARTS + 1
        assert send_signal(studio.part("web"), signal.SIGKILL)
        assert httpx.get(f"http://127.0.0.1:{studio.port('Studio')}/", timeout=START_S).status_code == 200
        studio.printed(r"`web-\d` was killed by SIGKILL\. Starting it again\.")
        eventually(lambda: len(children(studio.pid)) == PARTS + 1, what="both are back")
        eventually(lambda: ready(studio), what="the studio is ready")
