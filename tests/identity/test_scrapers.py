"""Who may read `/metrics`: a program on this machine, or one that shows the token, and nobody else (SPEC 9)."""

from typing import Final

import pytest

from omnisonic.identity.scrapers import FORWARDED, ScraperAccess

TOKEN: Final = "a token of this test"
HERE: Final = {"host": "127.0.0.1:3000"}
AWAY: Final = "203.0.113.9"


def answer(peer: str | None, token: str | None = None, **headers: str) -> str:
    """What the request gets: `ok`, or status and code. `_` in the name of a header is `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    denied = ScraperAccess(token).check(peer, HERE | named)
    return "ok" if denied is None else f"{denied.status} {denied.code}"


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost", "LOCALHOST.:8080", "[::1]:8080"])
def test_a_program_on_this_machine_may_read(peer: str, host: str) -> None:
    """With a token set as well as without."""
    assert answer(peer, host=host) == answer(peer, TOKEN, host=host) == "ok"


@pytest.mark.parametrize("peer", [AWAY, "10.0.0.5", "2001:db8::1", "::ffff:203.0.113.9", "", None, "localhost"])
def test_nobody_else_may_without_a_token(peer: str | None) -> None:
    """Whatever they say they are; a Unix socket has no address."""
    assert answer(peer) == "403 loopback_only"
    assert answer(peer, TOKEN) == "401 token_required"


@pytest.mark.parametrize("name", FORWARDED)
def test_what_a_proxy_on_this_machine_passes_on_is_not_from_here(name: str) -> None:
    """Everybody in the world comes from loopback then; even where the header names loopback, or nothing."""
    for value in (AWAY, "127.0.0.1", ""):
        assert answer("127.0.0.1", **{name: value}) == "403 loopback_only"
        assert answer("127.0.0.1", TOKEN, **{name: value}) == "401 token_required"


@pytest.mark.parametrize("host", ["studio.example", "studio.example:443", "127.0.0.1.evil.example", "10.0.0.5", ""])
def test_what_is_for_another_host_is_not_from_here(host: str) -> None:
    """A proxy that adds no header passes on the name that the world knows."""
    assert answer("127.0.0.1", host=host) == "403 loopback_only"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens_from_anywhere(scheme: str) -> None:
    """Through proxies, too, and by a socket without an address."""
    shown = {"authorization": f"{scheme} {TOKEN} "}
    assert answer(AWAY, TOKEN, **shown, host="studio.example", x_forwarded_for=AWAY) == "ok"
    assert answer(None, TOKEN, **shown) == "ok"


@pytest.mark.parametrize("shown", [TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\udcff", "é"])
@pytest.mark.parametrize("peer", [AWAY, "127.0.0.1"])
def test_a_wrong_token_is_worse_than_none(shown: str, peer: str) -> None:
    """401, from this machine as well: somebody believes that they have a token."""
    assert answer(peer, TOKEN, authorization=f"Bearer {shown}") == "401 invalid_token"


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_of_its_own_none_is_right(token: str | None) -> None:
    """Not even the empty one."""
    assert answer(AWAY, token, authorization="Bearer x") == "401 invalid_token"
    assert answer(AWAY, token, authorization="Bearer ") == "403 loopback_only"


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer  ", TOKEN, f"Basic {TOKEN}"])
def test_what_is_no_bearer_token_is_none(authorization: str) -> None:
    """Missing, empty, or by another scheme."""
    assert answer(AWAY, TOKEN, authorization=authorization) == "401 token_required"
