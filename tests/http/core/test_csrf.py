"""CSRF tokens: a form that is not one of our own pages' changes nothing (RELIABILITY, attacks: sign-in)."""

import httpx
import pytest

from tests.http.running import Web
from tests.http.signing_in import EMAIL, PASSWORD, cookies_set, csrf_token, session, sign_in

FORM = {"email": EMAIL, "password": PASSWORD}


def send(client: httpx.Client, path: str = "callback/credentials", **fields: str) -> httpx.Response:
    return client.post(f"/api/auth/{path}", data=FORM | fields)


def test_a_form_without_a_token_is_403(web: Web) -> None:
    """For programs; people are sent back to the page, which gives them a fresh one."""
    client = web.new_client()
    csrf_token(client)
    reported = send(client, json="true")
    assert (reported.status_code, reported.json()["code"]) == (403, "csrf_token_missing")
    assert reported.json()["url"].startswith(f"{web.url}/signin?error=Csrf")
    shown = send(client, callbackUrl="/about")
    assert (shown.status_code, shown.headers["Location"]) == (302, "/signin?error=Csrf&callbackUrl=%2Fabout")
    assert session(client) == {}


def test_a_token_is_no_good_without_its_cookie(web: Web) -> None:
    """An attacker's own token, in a victim's browser: with no cookie, and with the victim's."""
    theirs = csrf_token(web.new_client())
    victim = web.new_client()
    for _ in range(2):
        answer = send(victim, csrfToken=theirs, json="true")
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf_token_invalid")
        csrf_token(victim)
    assert session(victim) == {}


@pytest.mark.parametrize("cookie", ["a", "a|", "|", "a|a", "a|" + "0" * 64, "\xe9|\xe9"])
def test_a_cookie_that_we_did_not_make_vouches_for_nothing(web: Web, cookie: str) -> None:
    """Whoever can set a cookie cannot make its digest. The page then gives a token of its own."""
    header = b"omnisonic.csrf=" + cookie.encode("latin-1")
    headers = {b"Cookie": header}
    made_up = cookie.partition("|")[0] or "a"
    body = {**FORM, "csrfToken": made_up, "json": "true"}
    answer = httpx.post(f"{web.url}/api/auth/callback/credentials", data=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_token_invalid")
    fresh = httpx.get(f"{web.url}/api/auth/csrf", headers=headers)
    assert fresh.json()["csrfToken"] != made_up
    assert cookies_set(fresh)["omnisonic.csrf"].value.startswith(fresh.json()["csrfToken"])


def test_signing_out_and_providers_need_a_token_too(web: Web) -> None:
    """Every form of the API."""
    client = web.new_client()
    sign_in(client)
    for path, page in (("signout", "/signout"), ("signin/github", "/signin")):
        answer = send(client, path, csrfToken="made up")
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (302, page)
    assert session(client)["user"]["email"] == EMAIL


def test_a_token_outlives_sign_in(web: Web) -> None:
    """Other tabs with forms in them go on working."""
    client = web.new_client()
    token = csrf_token(client)
    sign_in(client)
    answer = client.post("/api/auth/signout", data={"csrfToken": token})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert session(client) == {}


def test_a_token_in_json_is_not_asked_for(web: Web) -> None:
    """A foreign page cannot send JSON without asking first, and the Origin check says no."""
    answer = web.client.post("/api/auth/callback/credentials", json=FORM, headers={"Origin": "null"})
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
