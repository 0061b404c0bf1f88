"""Requests a second of the web as a ratio to a FastAPI app with the same query, on this machine, in turns.

usage: python -m tests.bench.web [--wrk wrk] [--rounds 3] [--seconds 4] [--connections 16]

One process each, on the same Postgres and the same Valkey; wrk shares the machine. FastAPI and uvicorn come with the
extra `dev`, wrk with the system. Beside the ratio of requests it prints the processor time a request of each, which
other programs on the machine disturb less.
"""

import argparse
import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from omnisonic.identity.logins import LoginCookies, login_id
from omnisonic.models import PresenceMember
from omnisonic.stores.database.migrations import migrate
from omnisonic.stores.database.pool import Database
from omnisonic.stores.presence.valkey import ValkeyPresence
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.sessions.postgres import PostgresSessions
from tests.postgres_server import running_postgres
from tests.valkey_server import running_valkey

SECRET: Final = "a secret of thirty-two bytes or more"
OURS: Final = ("-m", "omnisonic", "web", "--fd")
PEER: Final = ("-m", "tests.bench.fastapi_peer")
MEMBERS: Final = 8
START_S: Final = 20.0
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


async def furnish(database_url: str, redis_url: str) -> tuple[str, str]:
    """A user with a session in whose room a band is; the cookie's value and the session's id."""
    database, presence = Database(database_url), ValkeyPresence(redis_url, timeout_s=START_S)
    await database.open()
    accounts = AccountStore(database)
    token = await accounts.open_login(await accounts.register("ada@example.com", "no password"))
    session = await PostgresSessions(database).create(login_id(token), "Night jam")
    band = [PresenceMember(f"m{number}", f"Member {number}") for number in range(MEMBERS)]
    await presence.write_rosters("bench", {session.id: band}, ttl_s=900)
    await presence.aclose()
    await database.aclose()
    return LoginCookies(SECRET, secure=False).dump(token), session.id


@contextmanager
def running(command: tuple[str, ...], environ: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """A server on a free port: the port, and its process id."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    with listener:
        port, fd = int(listener.getsockname()[1]), listener.fileno()
        process = subprocess.Popen(
            [sys.executable, *command, str(fd)],
            env={**os.environ, **environ},
            pass_fds=[fd],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield port, process.pid
        finally:
            process.terminate()
            process.wait()


def load(wrk: str, url: str, cookie: str, args: argparse.Namespace) -> int:
    """Load `url`; how many requests were answered, all with 200."""
    headers = {"Cookie": f"omnisonic={cookie}"}
    with httpx.Client(timeout=START_S) as client:
        assert client.get(url, headers=headers).status_code == 200, client.get(url, headers=headers).text
    command = [wrk, "-t1", f"-c{args.connections}", f"-d{args.seconds}s", "-H", f"Cookie: omnisonic={cookie}", url]
    reported = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in reported, reported
    found = re.search(r"(\d+) requests in", reported)
    assert found, reported
    return int(found[1])


def processor_s(pid: int) -> float:
    """Processor seconds that a process has used (proc(5))."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS_PER_S


def main() -> None:
    """Print a line a round and address."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ask.add_argument("--wrk", default="wrk")
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--seconds", type=int, default=4)
    ask.add_argument("--connections", type=int, default=16)
    args = ask.parse_args()
    with (
        tempfile.TemporaryDirectory() as data,
        running_postgres() as postgres,
        running_valkey() as valkey,
    ):
        asyncio.run(migrate(postgres.url))
        cookie, session = asyncio.run(furnish(postgres.url, valkey.url))
        environ = {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": valkey.url,
            "NEXTAUTH_SECRET": SECRET,
            "OMNISONIC_DATA_DIR": data,
            "REST_RATE_PER_S": "0",
            "REST_ADDRESS_RATE_PER_S": "0",
        }
        titles = ("FastAPI/s", "web/s", "ratio", "FastAPI us", "web us", "ratio")
        print(" ".join([f"{'address':>16}", *(f"{title:>10}" for title in titles)]))
        with running(PEER, environ) as peer, running(OURS, environ) as ours:
            for number in range(args.rounds):
                for path in (f"/api/sessions?id={session}", f"/api/presence?roomId={session}"):
                    turns = [ours, peer] if number % 2 else [peer, ours]
                    rates: dict[int, tuple[float, float]] = {}
                    for port, pid in turns:
                        began_s, used_s = time.perf_counter(), processor_s(pid)
                        answered = load(args.wrk, f"http://127.0.0.1:{port}{path}", cookie, args)
                        took_s, spent_s = time.perf_counter() - began_s, processor_s(pid) - used_s
                        rates[pid] = answered / took_s, spent_s / answered * 1e6
                    (theirs, their_us), (own, own_us) = rates[peer[1]], rates[ours[1]]
                    print(
                        f"{path.partition('?')[0]:>16} {theirs:>10,.0f} {own:>10,.0f} {own / theirs:>10.2f}"
                        f" {their_us:>10,.0f} {own_us:>10,.0f} {their_us / own_us:>10.2f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
