"""Where people land after signing in: never on anybody else's page (RELIABILITY, attacks: sign-in)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from omnisonic.http.core.callback_urls import own_origin, own_path
from omnisonic.settings.settings import Settings
from tests.http.running import Web
from tests.http.signing_in import EMAIL, PASSWORD, post_form

ORIGIN = "https://studio.example"
FOREIGN = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,x",
    "https://evil.example/",
    "https:evil.example",
    "https:/evil.example",
    "http://studio.example/",
    "https://studio.example:8443/",
    "https://studio.example.evil.example/",
    "https://studio.example@evil.example/",
    "https://evil.example\\@studio.example/",
    "https://ada:pw@studio.example/",
    "https://studio.example//evil.example",
    "https://studio.example/%2f/evil.example",
    "https://studio.example:x/",
    "https://[::1/",
    "/%2fevil.example",
    "/%2Fevil.example",
    "/%252fevil.example",
    "/%5cevil.example",
    "/%255c/evil.example",
    "/%0d%0aSet-Cookie:a=b",
    "/a\r\nSet-Cookie: a=b",
    "/%00",
    "/\x00",
    "/\x7f",
    "/\ud800",
    "/%25252525252525252fevil.example",
    "sessions",
    "?a=b",
    "#a",
    "/" + "a" * 2048,
]
OWN = {
    "": "/sessions",
    "/": "/",
    "/sessions": "/sessions",
    "/sessions/1?tab=talk&x=a%20b#top": "/sessions/1?tab=talk&x=a%20b#top",
    "/sessions?next=https://evil.example/": "/sessions?next=https://evil.example/",
    "/a//b": "/a//b",
    "/jäm session": "/j%C3%A4m%20session",
    "https://studio.example": "/",
    "https://studio.example/": "/",
    "https://STUDIO.example:443/sessions?a=b#c": "/sessions?a=b#c",
    "https://studio.example?a=b": "/?a=b",
}


@pytest.mark.parametrize("url", FOREIGN)
def test_what_leads_elsewhere_leads_home(url: str) -> None:
    """Another host, another scheme, whatever a browser would take for one."""
    assert own_path(url, ORIGIN) == "/"


@pytest.mark.parametrize(("url", "path"), OWN.items())
def test_what_is_ours_is_kept(url: str, path: str) -> None:
    """Paths, and our own address before them."""
    assert own_path(url, ORIGIN) == path


@given(st.text(alphabet="/\\:@?#%25cfF. \t\n\x00ahtpsjv-studio.exmple", max_size=40) | st.text(max_size=20))
@example("/%2e%2e//evil.example")
def test_nothing_ever_leads_to_another_host(url: str) -> None:
    """Whatever is asked for, the answer is a path in plain characters."""
    path = own_path(url, ORIGIN)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert path.isascii()
    assert path.isprintable()
    assert "\\" not in path


@pytest.mark.parametrize("url", ["//evil.example", "/\\evil.example", "javascript:alert(1)", "https://evil.example/"])
def test_signing_in_lands_here_whatever_the_form_says(web: Web, url: str) -> None:
    """For people and for programs, with the right password and with a wrong one."""
    login = {"email": EMAIL, "password": PASSWORD}
    landed = post_form(web.new_client(), "callback/credentials", **login, callbackUrl=url)
    assert landed.headers["Location"] == "/"
    reported = post_form(web.new_client(), "callback/credentials", **login, callbackUrl=url, json="true")
    assert reported.json() == {"url": f"{web.url}/"}
    refused = post_form(web.new_client(), "callback/credentials", email=EMAIL, password="x", callbackUrl=url)
    assert refused.headers["Location"] == "/signin?error=CredentialsSignin&callbackUrl=%2F"
    left = post_form(web.new_client(), "signout", callbackUrl=url)
    assert left.headers["Location"] == "/"


@pytest.mark.parametrize(
    ("public_url", "host", "origin"),
    [
        (None, "127.0.0.1:3000", "http://127.0.0.1:3000"),
        (None, "LOCALHOST:3000", "http://localhost:3000"),
        ("https://Studio.Example/", "127.0.0.1:3000", "https://studio.example"),
        ("https://studio.example:443", "127.0.0.1:3000", "https://studio.example"),
        ("http://studio.example:3000/base", "127.0.0.1:3000", "http://studio.example:3000"),
        ("http://[::1]:3000", "127.0.0.1:3000", "http://[::1]:3000"),
    ],
)
def test_our_origin_is_the_public_one(public_url: str | None, host: str, origin: str) -> None:
    """`NEXTAUTH_URL`'s, or that of the name we were asked by, which the door has let in."""
    settings = Settings.load({"NEXTAUTH_URL": public_url} if public_url else {})
    assert own_origin(settings, host) == origin
