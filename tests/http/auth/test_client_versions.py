"""next-auth 4 and Auth.js 5: what each sends, and what it reads in the answers (SPEC 4).

Headers, bodies and the way answers are read are those of the published clients: `react/index` and `client/_utils` of
next-auth 4, `react` and `lib/client` of next-auth 5.
"""

from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.http.running import Web
from tests.http.signing_in import EMAIL, PASSWORD

FETCHED: Final = {"Content-Type": "application/json", "Accept": "*/*"}
"""What both generations send with each GET, next-auth 4 since 4.21."""
AUTH_JS: Final = {"Content-Type": "application/x-www-form-urlencoded", "X-Auth-Return-Redirect": "1"}


def fetched(client: httpx.Client, path: str) -> Any:
    """What a client's `fetchData` reads."""
    answer = client.get(f"/api/auth/{path}", headers=FETCHED)
    assert answer.status_code == 200
    return answer.json()


def auth_js_post(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """What Auth.js 5 posts: the query is there and empty."""
    token = fetched(client, "csrf")["csrfToken"]
    return client.post(f"/api/auth/{path}?", data={**fields, "csrfToken": token}, headers=AUTH_JS)


def next_auth_4_post(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    token = fetched(client, "csrf")["csrfToken"]
    return client.post(f"/api/auth/{path}", data={**fields, "csrfToken": token, "json": "true"})


def query_of(answer: httpx.Response) -> dict[str, list[str]]:
    """What `new URL(data.url).searchParams` holds."""
    assert answer.headers["Content-Type"] == "application/json"
    url = urlsplit(answer.json()["url"])
    assert url.scheme == "http"
    return parse_qs(url.query)


def test_auth_js_signs_in_and_out_and_reads_json(web: Web) -> None:
    """200 with an absolute URL, each time; before, between and after it is told who is there, or `null`."""
    client = web.new_client()
    assert fetched(client, "session") is None
    back = f"{web.url}/sessions?from=here"
    answer = auth_js_post(client, "callback/credentials", email=EMAIL, password=PASSWORD, callbackUrl=back)
    assert (answer.status_code, answer.json()) == (200, {"url": back})
    assert fetched(client, "session")["user"]["email"] == EMAIL
    answer = auth_js_post(client, "signout", callbackUrl=f"{web.url}/about")
    assert (answer.status_code, answer.json()) == (200, {"url": f"{web.url}/about"})
    assert fetched(client, "session") is None


@pytest.mark.parametrize(
    ("path", "fields", "status", "error", "code"),
    [
        ("callback/credentials", {"email": EMAIL, "password": "wrong"}, 401, "CredentialsSignin", "wrong_credentials"),
        ("callback/credentials", {"email": "ada", "password": PASSWORD}, 400, "CredentialsSignin", "invalid_email"),
        ("signin/github", {}, 404, "Callback", "no_such_provider"),
    ],
    ids=["password", "address", "provider"],
)
def test_auth_js_reads_what_went_wrong_out_of_the_url(
    web: Web, path: str, fields: dict[str, str], status: int, error: str, code: str
) -> None:
    """`error` and `code` are in its query, where the client looks for both."""
    web.sign_up(EMAIL)
    client = web.new_client()
    answer = auth_js_post(client, path, **fields, callbackUrl=f"{web.url}/sessions")
    assert answer.status_code == status
    assert query_of(answer) == {"error": [error], "code": [code], "callbackUrl": ["/sessions"]}
    assert fetched(client, "session") is None


def test_auth_js_without_a_token_is_refused_in_json(web: Web) -> None:
    """The header of Auth.js is no token."""
    answer = web.client.post("/api/auth/signout", data={"callbackUrl": web.url}, headers=AUTH_JS)
    assert answer.status_code == 403
    assert query_of(answer) == {"error": ["Csrf"], "code": ["csrf_token_missing"], "callbackUrl": ["/"]}


def test_next_auth_before_4_21_and_programs_get_an_empty_object(web: Web) -> None:
    """They send no type with a GET."""
    assert web.client.get("/api/auth/session").json() == {}


def test_next_auth_4_gets_an_empty_object_once_it_has_shown_itself(web: Web) -> None:
    """It logs an error at `null`, sends it to us, and never has to again."""
    client = web.new_client()
    assert fetched(client, "session") is None
    log = {"level": "error", "code": "CLIENT_FETCH_ERROR", "client": "true", "url": "/api/auth/session"}
    assert client.post("/api/auth/_log", data=log).status_code == 200
    assert fetched(client, "session") == {}
    assert fetched(web.new_client(), "session") is None


def test_next_auth_4_shows_itself_by_signing_in(web: Web) -> None:
    """After it has signed out, nobody is `{}` again."""
    client = web.new_client()
    signed_in = next_auth_4_post(client, "callback/credentials", email=EMAIL, password=PASSWORD, callbackUrl=web.url)
    assert signed_in.json() == {"url": f"{web.url}/"}
    assert fetched(client, "session")["user"]["email"] == EMAIL
    next_auth_4_post(client, "signout", callbackUrl=web.url)
    assert fetched(client, "session") == {}


def test_a_browser_that_comes_to_run_auth_js_gets_null(web: Web) -> None:
    """What it posts says that it is no longer next-auth 4."""
    client = web.new_client()
    next_auth_4_post(client, "signout", callbackUrl=web.url)
    assert fetched(client, "session") == {}
    auth_js_post(client, "signout", callbackUrl=web.url)
    assert fetched(client, "session") is None
