"""The `Cookie` header, as browsers write it and as the web and the gateway read it (RFC 6265 5.4)."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisonic.identity.logins import LoginCookies, login_id
from omnisonic.wire.cookies import read_cookie

SECRET = "a secret that is long enough to sign with"
NEIGHBOURS = [
    'g_state={"i_l":0}',
    "a[b]=1",
    "flag",
    "=nameless",
    "name=two words",
    "café=crème",
    "pref=a,b",
    'quoted="with \\" and \\054"',
    'open="never closed',
    "empty=",
    "a=b=c",
    "=",
    "",
    "  ",
    "omnisonic2=other",
    "xomnisonic=other",
]


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_no_other_cookie_hides_ours(neighbour: str) -> None:
    """Before it, after it, on both sides, with and without a space."""
    cookies = LoginCookies(SECRET, secure=False)
    signed = f"omnisonic={cookies.dump('token')}"
    for header in (
        f"{neighbour}; {signed}",
        f"{signed}; {neighbour}",
        f"{neighbour};{signed};{neighbour}",
        f"{neighbour} ;\t{signed} ",
    ):
        assert cookies.login_in(header) == login_id("token"), header


@given(st.lists(st.text(st.characters(codec="latin-1", exclude_characters=";\r\n\0"), max_size=20), max_size=5))
def test_whatever_stands_before_it_our_cookie_is_read(neighbours: list[str]) -> None:
    """Nothing but a cookie of the same name counts as one."""
    strangers = [each for each in neighbours if each.partition("=")[0].strip() != "ours"]
    assert read_cookie("; ".join([*strangers, "ours=1"]), "ours") == "1"
    assert read_cookie("; ".join(strangers), "ours") is None


@given(st.text(string.ascii_letters + string.digits + "._-|=", min_size=1))
def test_a_value_is_read_as_it_was_set(value: str) -> None:
    """In quotation marks or without."""
    assert read_cookie(f"ours={value}", "ours") == value
    assert read_cookie(f'ours="{value}"', "ours") == value


def test_of_two_cookies_of_a_name_the_first_counts() -> None:
    """Browsers send the more specific path first; that a later one is ours, too, changes nothing."""
    cookies = LoginCookies(SECRET, secure=False)
    mine, other = cookies.dump("mine"), cookies.dump("other")
    assert cookies.login_in(f"omnisonic={mine}; omnisonic={other}") == login_id("mine")
    assert cookies.login_in(f"omnisonic=forged; omnisonic={other}") is None


@pytest.mark.parametrize("header", ["", ";;;", "omnisonic", "Omnisonic=a", 'omnisonic="'])
def test_without_our_cookie_nobody_is_signed_in(header: str) -> None:
    """Names are compared with their case."""
    assert LoginCookies(SECRET, secure=False).login_in(header) is None
