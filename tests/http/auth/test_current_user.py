"""Who is calling, by their cookie: known again without its signature, and never somebody else (SPEC 4)."""

import time

import httpx
import pytest

from omnisonic.http.auth.current_user import CACHE_S, CACHED_LOGINS, LONGEST_CACHED_HEADER, LoginCache
from tests.http.api.test_sessions_sharing import user_id
from tests.http.running import Clock, Web


class Reader:
    """What reads a cookie anew: how often it did, and what it says."""

    def __init__(self) -> None:
        self.reads = 0
        self.says: str | None = "ada"

    def __call__(self) -> str | None:
        self.reads += 1
        return self.says


def test_a_cookie_is_read_once_a_minute() -> None:
    """Known meanwhile, and read anew after."""
    read, clock = Reader(), Clock()
    cookies = LoginCache(read, clock)
    assert [cookies.login("omnisonic=a") for _ in range(5)] == ["ada"] * 5
    assert read.reads == 1
    clock.now_s += CACHE_S
    read.says = None
    assert cookies.login("omnisonic=a") is None
    assert read.reads == 2


def test_what_is_not_ours_is_never_known() -> None:
    """Nor what is too long to be worth it: whoever makes things up takes no memory."""
    read = Reader()
    cookies = LoginCache(read, Clock())
    cookies.login("x" * (LONGEST_CACHED_HEADER + 1))
    cookies.login("x" * (LONGEST_CACHED_HEADER + 1))
    read.says = None
    cookies.login("omnisonic=forged")
    cookies.login("omnisonic=forged")
    assert read.reads == 4


def test_only_so_many_are_known() -> None:
    """However many there are, memory is bounded, and each is right."""
    read = Reader()
    cookies = LoginCache(read, Clock())
    for number in range(3 * CACHED_LOGINS):
        read.says = str(number)
        assert cookies.login(f"omnisonic={number}") == str(number)
    assert len(cookies._logins) <= CACHED_LOGINS


@pytest.mark.parametrize("decoy", [b"a=1", b"omnisonic=x", b""])
def test_a_second_cookie_header_makes_nobody_somebody_else(web: Web, decoy: bytes) -> None:
    """Whoever sends their own cookie behind a decoy does not lend it to those who send the decoy alone."""
    eve = web.sign_up("eve@example.com")
    own = b"omnisonic=" + eve.cookies["omnisonic"].encode()
    for _ in range(2):
        httpx.get(f"{web.url}/api/sessions", headers=[(b"Cookie", decoy), (b"Cookie", own)])
        alone = httpx.get(f"{web.url}/api/sessions", headers=[(b"Cookie", decoy)])
        assert alone.status_code == 401


@pytest.mark.timing
def test_an_ended_sign_in_is_over_at_once(web: Web) -> None:
    """That its cookie is known opens nothing: the next request is a stranger's."""
    ada, bob = web.sign_up("ada@example.com"), web.sign_up("bob@example.com")
    assert user_id(ada) != user_id(bob)
    web.do(web.database.row("DELETE FROM logins"))
    before_s = time.monotonic()
    assert ada.get("/api/sessions").status_code == 401
    assert time.monotonic() - before_s < CACHE_S
