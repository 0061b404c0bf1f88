"""Passwords: guessing them is slow, costs little, and tells nothing (RELIABILITY, attacks: sign-in)."""

import asyncio
import contextlib
import functools
import json
import socket
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from argon2 import PasswordHasher

from omnisonic.errors import Unavailable
from omnisonic.http.auth.credentials import MAX_WAITING, WORKERS, PasswordThreads
from omnisonic.identity.passwords import hash_password, needs_rehash
from tests.cli.running import eventually
from tests.http.conftest import DEADLINE_S, emptied
from tests.http.running import Web, running_web
from tests.http.signing_in import EMAIL, PASSWORD, session, sign_in
from tests.no_tls import NO_TLS
from tests.postgres_server import PostgresServer, fresh_database
from tests.valkey_server import ValkeyServer

PRODUCTION = {
    "OMNISONIC_ENV": "production",
    "NEXTAUTH_URL": "http://127.0.0.1",
    "AUTH_ENABLE_CREDENTIALS": "true",
    "TRUSTED_PROXIES": "127.0.0.1",
}


@pytest.fixture(scope="module")
def shared_production(postgres_process: PostgresServer) -> Iterator[Web]:
    with fresh_database(postgres_process) as url, running_web(PRODUCTION, database_url=url) as web:
        yield web


@pytest.fixture
def production(shared_production: Web) -> Web:
    """A web in production, behind a proxy on loopback, with nobody in it."""
    return emptied(shared_production)


def attempt(web: Web, password: str = "wrong", *, email: str = EMAIL, forwarded: str = "") -> httpx.Response:
    """One try to sign in, by a program."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    body = {"email": email, "password": password}
    return httpx.post(
        f"{web.url}/api/auth/callback/credentials", json=body, headers=headers, timeout=DEADLINE_S, verify=NO_TLS
    )


def register(web: Web, *emails: str) -> None:
    """Accounts with these e-mail addresses, or one with the usual, and the usual password."""
    for email in emails or (EMAIL,):
        web.do(web.stores.accounts.register(email, usual_hash()))


@functools.cache
def usual_hash() -> str:
    """Of the usual password, made once: a hash is slow on purpose."""
    return hash_password(PASSWORD)


def test_in_production_nobody_registers_by_trying(production: Web) -> None:
    """An unknown e-mail is told the same as a wrong password, word for word, and makes no account."""
    register(production)
    unknown, wrong = attempt(production, email="bob@example.com"), attempt(production)
    assert unknown.status_code == wrong.status_code == 401
    assert unknown.json() == wrong.json()
    assert [name.lower() for name in unknown.headers] == [name.lower() for name in wrong.headers]
    assert production.do(production.database.row("SELECT count(*) FROM users"))[0] == 1  # type: ignore[index]
    assert attempt(production, PASSWORD).status_code == 200


def test_unknown_and_wrong_take_alike(production: Web) -> None:
    """Each takes one hash: the medians are less than half a hash apart, in processor time, which others do not take."""
    register(production)
    took_s: dict[str, list[float]] = {EMAIL: [], "bob@example.com": []}
    for index in range(4):
        for email, times in took_s.items():
            began_s = time.process_time()
            assert attempt(production, email=email, forwarded=f"198.51.100.{index}").status_code == 401
            times.append(time.process_time() - began_s)
    began_s = time.process_time()
    hash_password("wrong")
    one_hash_s = time.process_time() - began_s
    known_s, unknown_s = (statistics.median(times) for times in took_s.values())
    assert abs(known_s - unknown_s) < one_hash_s / 2


def test_the_sixth_bad_password_of_an_account_is_429(production: Web) -> None:
    """From whatever addresses, however the e-mail is written; also the right one then, and it costs no hash."""
    register(production)
    register(production, "bob@example.com")
    for index in range(5):
        email = EMAIL if index % 2 else EMAIL.upper()
        assert attempt(production, email=email, forwarded=f"198.51.100.{index}").status_code == 401
    for password in ("wrong", PASSWORD):
        answer = attempt(production, password, forwarded="198.51.100.9")
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_tries")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert "/signin?error=TooManyTries" in answer.json()["url"]
        assert "Set-Cookie" not in answer.headers
    assert attempt(production, PASSWORD, email="bob@example.com", forwarded="198.51.100.9").status_code == 200
    production.clock.now_s += 61
    assert attempt(production, PASSWORD).status_code == 200


def test_the_sixth_bad_password_from_an_address_is_429(production: Web) -> None:
    """Whatever accounts are tried; others are not kept out, and the account is not charged for it."""
    register(production)
    for index in range(5):
        answer = attempt(production, email=f"user{index}@example.com", forwarded="192.0.2.1, 198.51.100.7")
        assert answer.status_code == 401
    for made_up in ("192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"):
        answer = attempt(production, forwarded=f"{made_up}, 198.51.100.7")
        assert answer.status_code == 429
    assert attempt(production, PASSWORD, forwarded="198.51.100.8").status_code == 200


def test_nobody_else_is_believed_about_addresses(web: Web) -> None:
    """Without TRUSTED_PROXIES a header makes no other client of anybody."""
    for index in range(5):
        register(web, f"user{index}@example.com")
        assert attempt(web, email=f"user{index}@example.com", forwarded=f"198.51.100.{index}").status_code == 401
    assert attempt(web, email="user9@example.com", forwarded="198.51.100.9").status_code == 429


def at_once(webs: list[Web], tries: list[tuple[str, str]], **forwarded: str) -> list[int]:
    """The statuses of these tries (e-mail, password), all made at the same moment, each at the next of the webs.

    Whoever is told that the machine is too busy now (503) comes again: that was no try.
    """

    def make(numbered: tuple[int, tuple[str, str]]) -> int:
        number, (email, password) = numbered
        while True:
            answer = attempt(webs[number % len(webs)], password, email=email, **forwarded)
            if answer.status_code != 503:
                return answer.status_code

    with ThreadPoolExecutor(len(tries)) as pool:
        return sorted(pool.map(make, enumerate(tries)))


@pytest.mark.parametrize(("people", "bad_before"), [(12, 0), (5, 4)])
def test_twelve_people_behind_one_address_sign_in_at_once(production: Web, people: int, bad_before: int) -> None:
    """Whoever has the right password waits for the others, also where four bad ones leave a single slot; then a fifth
    bad one is checked, and a sixth is not.
    """
    band = [f"member{number}@example.com" for number in range(people)]
    register(production, *band)
    for number in range(bad_before):
        assert attempt(production, email=f"unknown{number}@example.com").status_code == 401
    assert at_once([production], [(email, PASSWORD) for email in band]) == [200] * people
    bad = [attempt(production, email=f"nobody{number}@example.com").status_code for number in range(2)]
    assert bad == ([401, 429] if bad_before else [401, 401])


def test_of_fifty_bad_passwords_at_once_five_are_checked(production: Web) -> None:
    """By one account from everywhere, or by one address for everybody: five are told that it is wrong, 45 to wait."""
    register(production)
    by_address = [(f"user{number}@example.com", "wrong") for number in range(50)]
    assert at_once([production], by_address, forwarded="198.51.100.7") == [401] * 5 + [429] * 45
    with ThreadPoolExecutor(50) as pool:
        statuses = pool.map(
            lambda number: at_once([production], [(EMAIL, "wrong")], forwarded=f"203.0.113.{number}"), range(50)
        )
        assert sorted(statuses) == [[401]] * 5 + [[429]] * 45


def test_two_processes_count_together(database_url: str, valkey: ValkeyServer) -> None:
    """Eight right passwords at two webs are eight sign-ins; then twenty bad ones, of which five are checked."""
    with (
        running_web(database_url=database_url, redis_url=valkey.url) as one,
        running_web(database_url=database_url, redis_url=valkey.url) as two,
    ):
        band = [f"member{number}@example.com" for number in range(8)]
        register(one, *band)
        assert at_once([one, two], [(email, PASSWORD) for email in band]) == [200] * 8
        assert at_once([one, two], [(band[n % 8], "wrong") for n in range(20)]) == [401] * 5 + [429] * 15


def test_being_kept_out_costs_no_hashing(production: Web) -> None:
    """The answer is there in a fraction of the time that a hash takes."""
    register(production)
    began_s = time.process_time()
    for _ in range(5):
        attempt(production)
    five_hashes_s = time.process_time() - began_s
    began_s = time.process_time()
    assert [attempt(production).status_code for _ in range(5)] == [429] * 5
    assert time.process_time() - began_s < five_hashes_s / 2


def test_good_passwords_are_not_counted(production: Web) -> None:
    """Somebody may sign in as often as they like, and four typing errors stay four."""
    register(production)
    for _ in range(4):
        assert attempt(production).status_code == 401
    for _ in range(3):
        assert attempt(production, PASSWORD).status_code == 200
    assert attempt(production).status_code == 401
    assert attempt(production).status_code == 429


def test_good_passwords_whose_clients_are_gone_are_not_counted(production: Web) -> None:
    """Somebody presses the button again and again, and each press breaks off the request before."""
    register(production)
    body = json.dumps({"email": EMAIL, "password": PASSWORD}).encode()
    head = "POST /api/auth/callback/credentials HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(production, "users"))
        for _ in range(5):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", production.port)))
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: count_waiting(production) == 5, what="all five are being checked")
    assert attempt(production, PASSWORD).status_code == 200


@contextlib.contextmanager
def locked(web: Web, table: str) -> Iterator[None]:
    """Nobody else reads this table until the block ends."""
    transaction = web.database.transaction()
    connection = web.do(transaction.__aenter__())
    try:
        web.do(connection.execute(f"LOCK TABLE {table}"))
        yield
    finally:
        web.do(transaction.__aexit__(None, None, None))


def count_waiting(web: Web) -> int:
    """How many statements wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return int(web.do(web.database.rows(query))[0][0])


def test_what_breaks_on_our_side_is_not_counted() -> None:
    """503s are nobody's bad password."""
    with running_web() as web:
        assert [attempt(web, PASSWORD).status_code for _ in range(7)] == [503] * 7


def test_without_the_guard_nobody_passes(database_url: str, valkey: ValkeyServer) -> None:
    """Also with the right password: 503 with `Retry-After`. When it is back, everybody does again."""
    with running_web(database_url=database_url, redis_url=valkey.url) as web:
        register(web)
        assert attempt(web, PASSWORD).status_code == 200
        for _ in range(5):
            assert attempt(web).status_code == 401
        assert attempt(web, PASSWORD).status_code == 429
        valkey.kill()
        answer = attempt(web, PASSWORD)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        valkey.start()
        assert attempt(web, PASSWORD).status_code == 200


def test_all_of_a_password_counts(web: Web) -> None:
    """72 bytes and more: nothing is cut off, up to the longest that is taken."""
    long = "x" * 1023
    assert attempt(web, long + "y").status_code == 200
    assert attempt(web, long + "z").status_code == 401
    assert attempt(web, long).status_code == 401
    assert attempt(web, long + "yy").status_code == 400


def test_the_same_characters_are_the_same_password(web: Web) -> None:
    """However a keyboard composes them; case and spaces count."""
    assert attempt(web, "caf\u00e9 noir").status_code == 200
    assert attempt(web, "cafe\u0301 noir").status_code == 200
    for other in ("cafe noir", "Caf\u00e9 noir", "caf\u00e9 noir "):
        assert attempt(web, other).status_code == 401


def test_hashes_are_argon2id_and_never_leave_the_database(web: Web) -> None:
    """With a salt of their own: the same password twice is two hashes."""
    for email in (EMAIL, "bob@example.com"):
        assert PASSWORD not in attempt(web, PASSWORD, email=email).text
    rows = web.do(web.database.rows("SELECT password_hash FROM users"))
    assert len({row[0] for row in rows}) == 2
    assert all(row[0].startswith("$argon2id$v=19$m=65536,t=3,p=4$") for row in rows)


def test_an_old_hash_is_renewed_at_sign_in(web: Web) -> None:
    """The password stays the same, its hash gets today's parameters."""
    old = PasswordHasher(time_cost=1, memory_cost=1024).hash(PASSWORD)
    assert needs_rehash(old)
    web.do(web.stores.accounts.register(EMAIL, old))
    assert attempt(web).status_code == 401
    assert attempt(web, PASSWORD).status_code == 200
    row = web.do(web.database.row("SELECT password_hash FROM users"))
    assert row is not None
    assert not needs_rehash(row[0])
    assert attempt(web, PASSWORD).status_code == 200


def test_an_account_without_a_password_has_no_password(web: Web) -> None:
    """Whoever came through a provider is not signed in, nor given a password, by who knows their address."""
    web.do(web.database.row("INSERT INTO users (email, email_verified_at) VALUES ($1, now())", EMAIL))
    assert attempt(web, PASSWORD).status_code == 401
    assert attempt(web, PASSWORD).status_code == 401
    row = web.do(web.database.row("SELECT password_hash FROM users"))
    assert row is not None
    assert row[0] is None


def test_two_presses_of_the_button_make_one_account(web: Web) -> None:
    """An unknown e-mail sent twice at once: both are signed in, to the same account."""
    clients = [web.new_client() for _ in range(2)]

    async def both() -> list[httpx.Response]:
        async with httpx.AsyncClient(verify=NO_TLS) as sender:
            body = {"email": EMAIL, "password": PASSWORD}
            url = f"{web.url}/api/auth/callback/credentials"
            return await asyncio.gather(*(sender.post(url, json=body) for _ in clients))

    answers = asyncio.run(both())
    assert [answer.status_code for answer in answers] == [200, 200]
    for client, answer in zip(clients, answers, strict=True):
        client.cookies.set("omnisonic", answer.cookies["omnisonic"])
    first, second = (session(client)["user"]["id"] for client in clients)
    assert first == second


def test_more_passwords_than_can_wait_are_turned_away_at_once() -> None:
    """503 for those beyond the limit; the others are not given up for it."""

    async def crowd() -> list[object]:
        passwords = PasswordThreads()
        under_way = [asyncio.ensure_future(passwords.hash("x")) for _ in range(WORKERS + MAX_WAITING)]
        await asyncio.sleep(0)
        try:
            with pytest.raises(Unavailable):
                await passwords.hash("one too many")
            return [await under_way[0]]
        finally:
            passwords.close()
            await asyncio.gather(*under_way, return_exceptions=True)

    (first,) = asyncio.run(crowd())
    assert str(first).startswith("$argon2id$")


def test_no_password_is_ever_logged(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    """Whether it was right, wrong, or broke something."""
    with caplog.at_level("DEBUG"):
        sign_in(web.new_client(), password="canary right")
        sign_in(web.new_client(), password="canary wrong")
        web.client.post("/api/auth/callback/credentials", content=b'{"password": "canary broken"')
    assert "canary" not in caplog.text
