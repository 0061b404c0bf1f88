"""NextAuth's REST endpoints (SPEC 4): what its client and our pages rely on, and sign-ins that really end."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from omnisonic.identity.logins import IDLE_S, LONGEST_S, LoginCookies, login_id
from omnisonic.stores.bus.events import LoginEnded, decode
from tests.http.running import SECRET, Web, running_web
from tests.http.signing_in import EMAIL, PASSWORD, cookies_set, csrf_token, post_form, session, sign_in

LOGIN = {"email": EMAIL, "password": PASSWORD}


def test_the_ways_to_sign_in_are_told_with_their_addresses(web: Web) -> None:
    """Only those that are on, as NextAuth's client reads them."""
    assert web.client.get("/api/auth/providers").json() == {
        "credentials": {
            "id": "credentials",
            "name": "Email",
            "type": "credentials",
            "signinUrl": f"{web.url}/api/auth/signin/credentials",
            "callbackUrl": f"{web.url}/api/auth/callback/credentials",
        }
    }


def test_in_production_only_the_providers_that_are_set_up_are_on() -> None:
    """No passwords unless they are asked for; addresses are those of NEXTAUTH_URL."""
    settings = {"OMNISONIC_ENV": "production", "NEXTAUTH_URL": "https://studio.example/"}
    settings |= {"GITHUB_CLIENT_ID": "us", "GITHUB_CLIENT_SECRET": "shh"}
    with running_web(settings) as web:
        host = {"Host": "studio.example"}
        providers = web.client.get("/api/auth/providers", headers=host).json()
        refused = web.client.post("/api/auth/callback/credentials", json=LOGIN, headers=host)
    assert [(provider["id"], provider["type"]) for provider in providers.values()] == [("github", "oauth")]
    assert providers["github"]["callbackUrl"] == "https://studio.example/api/auth/callback/github"
    assert (refused.status_code, refused.json()["code"]) == (404, "credentials_off")


def test_a_stranger_has_an_empty_session(web: Web) -> None:
    """`{}`, with no cookie and with one that means nothing."""
    assert session(web.client) == {}
    stranger = web.new_client()
    stranger.cookies.set("omnisonic", "InRva2VuIg.made.up")
    assert session(stranger) == {}


def test_an_unknown_e_mail_makes_an_account_and_is_signed_in(web: Web) -> None:
    """As NextAuth's client does it: 200 with an absolute URL without an error, and then there is a session."""
    client = web.new_client()
    answer = sign_in(client, f" {EMAIL} ", callbackUrl=f"{web.url}/sessions?from=here", redirect="false")
    assert (answer.status_code, answer.json()) == (200, {"url": f"{web.url}/sessions?from=here"})
    shown = session(client)
    assert shown["user"] == {"id": shown["user"]["id"], "name": None, "email": EMAIL, "image": None}
    expires = datetime.fromisoformat(shown["expires"])
    assert abs(expires - datetime.now(UTC) - timedelta(seconds=IDLE_S)) < timedelta(minutes=1)
    assert sign_in(web.new_client(), EMAIL.upper()).status_code == 200
    assert web.do(web.database.row("SELECT count(*) FROM users"))[0] == 1  # type: ignore[index]


def test_a_form_of_a_page_is_answered_with_a_redirect(web: Web) -> None:
    """To where it wanted to go, or to the list of sessions; in error back to the sign-in page, which keeps both."""
    client = web.new_client()
    landed = post_form(client, "callback/credentials", email=EMAIL, password=PASSWORD)
    assert (landed.status_code, landed.headers["Location"]) == (302, "/sessions")
    landed = post_form(client, "callback/credentials", **LOGIN, callbackUrl="/invites/abc")
    assert (landed.status_code, landed.headers["Location"]) == (302, "/invites/abc")
    wrong = post_form(web.new_client(), "callback/credentials", email=EMAIL, password="no", callbackUrl="/invites/abc")
    assert wrong.status_code == 302
    assert wrong.headers["Location"] == "/signin?error=CredentialsSignin&callbackUrl=%2Finvites%2Fabc"
    assert "text/html" not in wrong.headers["Content-Type"]
    assert "omnisonic" not in cookies_set(wrong)


def test_a_wrong_password_is_told_as_nextauth_tells_it(web: Web) -> None:
    """401, with the error in the query of the URL, and a sentence and a code of ours."""
    sign_in(web.new_client())
    client = web.new_client()
    answer = sign_in(client, password="wrong")
    assert answer.status_code == 401
    assert parse_qs(urlsplit(answer.json()["url"]).query)["error"] == ["CredentialsSignin"]
    assert answer.json()["url"].startswith(f"{web.url}/signin?")
    assert answer.json()["code"] == "wrong_credentials"
    assert session(client) == {}


def test_programs_sign_in_and_out_with_json(web: Web) -> None:
    """No token is needed: what guards them is the Origin."""
    client = web.new_client()
    assert client.post("/api/auth/callback/credentials", json=LOGIN).json() == {"url": f"{web.url}/sessions"}
    assert session(client)["user"]["email"] == EMAIL
    foreign = client.post("/api/auth/signout", json={}, headers={"Origin": "https://evil.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign_origin")
    assert session(client)["user"]["email"] == EMAIL
    assert client.post("/api/auth/signout", json={}).json() == {"url": f"{web.url}/"}
    assert session(client) == {}


def test_the_cookie_is_out_of_reach_of_scripts_and_foreign_forms(web: Web) -> None:
    """HttpOnly, Lax, for the whole site, for thirty days; over plain HTTP not Secure."""
    cookie = cookies_set(sign_in(web.new_client()))["omnisonic"]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, "", "Lax")
    assert (cookie["path"], cookie["domain"], cookie["max-age"]) == ("/", "", str(LONGEST_S))


def test_under_https_cookies_stay_with_this_host(database_url: str) -> None:
    """With an https NEXTAUTH_URL every cookie is Secure and has the `__Host-` name, when set and when taken back."""
    with running_web({"NEXTAUTH_URL": "https://studio.example"}, database_url=database_url) as web:
        headers = {"Host": "studio.example", "Origin": "https://studio.example"}
        token = web.client.get("/api/auth/csrf", headers=headers)
        signed_in = web.client.post("/api/auth/callback/credentials", json=LOGIN, headers=headers)
        (cookie,) = cookies_set(signed_in).values()
        headers["Cookie"] = f"{cookie.key}={cookie.value}"
        shown = web.client.get("/api/auth/session", headers=headers).json()
        signed_out = web.client.post("/api/auth/signout", json={}, headers=headers)
    assert shown["user"]["email"] == EMAIL
    assert signed_in.json() == {"url": "https://studio.example/sessions"}
    for answer, name in (
        (token, "__Host-omnisonic.csrf"),
        (signed_in, "__Host-omnisonic"),
        (signed_out, "__Host-omnisonic"),
    ):
        kept = cookies_set(answer)[name]
        assert (kept["httponly"], kept["secure"], kept["samesite"], kept["path"]) == (True, True, "Lax", "/")


def test_quart_auth_and_the_gateway_read_the_same_cookie(web: Web) -> None:
    """What quart-auth signed `omnisonic.identity.logins` reads, and the other way round; under another secret neither
    does.
    """
    client = web.new_client()
    signed = cookies_set(sign_in(client))["omnisonic"].value
    cookies = LoginCookies(SECRET, secure=False)
    token = cookies.load(signed)
    assert token is not None
    assert cookies.login_in(f"a=b; omnisonic={signed}") == login_id(token)
    other = web.new_client()
    other.cookies.set("omnisonic", cookies.dump(token))
    assert session(other)["user"] == session(client)["user"]
    other.cookies.set("omnisonic", LoginCookies(SECRET + "?", secure=False).dump(token))
    assert session(other) == {}


def test_signing_in_ends_the_sign_in_before(web: Web) -> None:
    """A cookie that somebody slipped into the browser, or copied out of it, opens nothing afterwards."""
    client = web.new_client()
    sign_in(client)
    before = client.cookies["omnisonic"]
    sign_in(client)
    assert client.cookies["omnisonic"] != before
    assert session(client)["user"]["email"] == EMAIL
    copied = web.new_client()
    copied.cookies.set("omnisonic", before)
    assert session(copied) == {}
    assert [type(decode(delivery.data)) for delivery in web.bus.published] == [LoginEnded]


def test_a_copied_cookie_is_dead_after_sign_out(web: Web) -> None:
    """The row has ended, the cookie is taken back, and the rooms hear of it."""
    client = web.new_client()
    sign_in(client)
    copied = web.new_client()
    copied.cookies.set("omnisonic", client.cookies["omnisonic"])
    token = LoginCookies(SECRET, secure=False).load(client.cookies["omnisonic"])
    assert token is not None
    answer = post_form(client, "signout", callbackUrl="/about", json="true")
    assert (answer.status_code, answer.json()) == (200, {"url": f"{web.url}/about"})
    assert "omnisonic" not in client.cookies
    assert session(copied) == {}
    assert web.bus.events == [LoginEnded(login_id(token))]


@pytest.mark.parametrize("kind", ["down", "hung"])
def test_signing_out_does_not_wait_for_the_bus(web: Web, kind: str) -> None:
    """The rooms find out by themselves; the sign-in is over now."""
    client = web.new_client()
    sign_in(client)
    web.bus.trouble.kind = kind
    copied = web.new_client()
    copied.cookies.set("omnisonic", client.cookies["omnisonic"])
    answer = post_form(client, "signout")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert session(copied) == {}


def test_a_link_never_signs_anybody_out(web: Web) -> None:
    """GET leads to the page that asks."""
    client = web.new_client()
    sign_in(client)
    answer = client.get("/api/auth/signout?callbackUrl=/about")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/signout?callbackUrl=%2Fabout")
    assert session(client)["user"]["email"] == EMAIL
    assert not web.bus.published


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("signin", "/signin"),
        (
            "signin?callbackUrl=/sessions/1&error=OAuthCallback",
            "/signin?error=OAuthCallback&callbackUrl=%2Fsessions%2F1",
        ),
        ("signin/github?callbackUrl=https://evil.example/", "/signin?callbackUrl=%2F"),
        ("signin?error=<script>", "/signin"),
        ("error?error=AccessDenied", "/signin?error=AccessDenied"),
        ("error", "/signin"),
    ],
)
def test_links_of_nextauth_lead_to_our_pages(web: Web, path: str, location: str) -> None:
    """Where to go and what went wrong are kept, when they are ours."""
    answer = web.client.get(f"/api/auth/{path}")
    assert (answer.status_code, answer.headers["Location"]) == (302, location)
    assert answer.content == b""


@pytest.mark.parametrize("path", ["callback/credentials", "signout", "signin/github"])
def test_only_forms_and_json_are_taken(web: Web, path: str) -> None:
    """Anything else that a page can send is 415."""
    for media_type in ("text/plain", "multipart/form-data; boundary=x", ""):
        headers = {"Content-Type": media_type} if media_type else {}
        answer = web.client.post(f"/api/auth/{path}", content=b'{"email": "a"}', headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", ["signout", "signin/github"])
def test_a_post_without_a_body_is_a_form_without_a_token(web: Web, path: str) -> None:
    """Nothing in it is required, so it is not the body that is wrong: back to our page, and nothing is done."""
    answer = web.client.post(f"/api/auth/{path}")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"/{path.partition('/')[0]}?error=")
    assert web.client.post("/api/auth/callback/credentials").status_code == 415


@pytest.mark.parametrize("body", [b"email=%ff", b"email=\xff", b"&".join(b"x%d=" % index for index in range(100))])
def test_a_form_that_is_no_text_is_refused(web: Web, body: bytes) -> None:
    """Bad UTF-8, or too many fields: 400 `invalid_form`."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = web.client.post("/api/auth/callback/credentials", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_form")


@pytest.mark.parametrize(
    ("doubled", "status", "code"),
    [
        ({"email": [EMAIL, "bob@example.com"]}, 400, "invalid_email"),
        ({"password": [PASSWORD, PASSWORD]}, 400, "invalid_password"),
        ({"callbackUrl": ["/about", "//evil.example"]}, 400, "invalid_callback_url"),
        ({"csrfToken": ["a", "a"]}, 403, "csrf_token_missing"),
    ],
)
def test_a_form_that_can_be_read_two_ways_is_refused(
    web: Web, doubled: dict[str, list[str]], status: int, code: str
) -> None:
    """A field that is there twice is neither of the two."""
    client = web.new_client()
    form = {"csrfToken": csrf_token(client), "json": "true", **LOGIN, **doubled}
    answer = client.post("/api/auth/callback/credentials", data=form)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert session(client) == {}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"email": ""}, "invalid_email"),
        ({"email": "ada"}, "invalid_email"),
        ({"email": "ada@"}, "invalid_email"),
        ({"email": "a da@example.com"}, "invalid_email"),
        ({"email": "ada@example.com\x00"}, "invalid_email"),
        ({"email": "ada\u202e@example.com"}, "invalid_email"),
        ({"email": "ada@example.com\ud800"}, "invalid_email"),
        ({"email": "a" * 251 + "@b.c"}, "invalid_email"),
        ({"email": ["ada@example.com"]}, "invalid_email"),
        ({"email": None}, "invalid_email"),
        ({"password": ""}, "invalid_password"),
        ({"password": "x" * 1025}, "invalid_password"),
        ({"password": 12345678}, "invalid_password"),
        ({"callbackUrl": 1}, "invalid_callback_url"),
    ],
)
def test_what_is_no_e_mail_or_password_is_400(web: Web, changed: dict[str, object], code: str) -> None:
    """And is not counted as a bad password."""
    body = json.dumps(LOGIN | changed)
    headers = {"Content-Type": "application/json"}
    answer = web.client.post("/api/auth/callback/credentials", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert "/signin?error=CredentialsSignin" in answer.json()["url"]


def test_without_a_database_nobody_is_signed_in_or_out() -> None:
    """503 with `Retry-After` for programs, a sentence on the page for people; never a session."""
    with running_web() as web:
        cookie = LoginCookies(SECRET, secure=False).dump("a token")
        client = httpx.Client(base_url=web.url, cookies={"omnisonic": cookie})
        answers = [
            client.get("/api/auth/session"),
            client.post("/api/auth/callback/credentials", json=LOGIN),
            client.post("/api/auth/signout", json={}),
        ]
        page = post_form(client, "callback/credentials", **LOGIN)
        client.close()
    for answer in answers:
        assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")
        assert "omnisonic" not in cookies_set(answer)
    assert page.headers["Location"].startswith("/signin?error=Unavailable")


def test_an_unknown_provider_is_404(web: Web) -> None:
    """Also when it is one that is off."""
    for name in ("github", "myspace", "credentials"):
        begun = web.client.post(f"/api/auth/signin/{name}", json={})
        assert (begun.status_code, begun.json()["code"]) == (404, "no_such_provider")
    off = web.client.get("/api/auth/callback/github?code=a&state=b")
    assert (off.status_code, off.json()["code"]) == (404, "no_such_provider")
    assert web.client.get("/api/auth/callback/myspace?code=a&state=b").status_code == 404


def test_csrf_tokens_are_kept_with_the_browser(web: Web) -> None:
    """The same token for every form of a browser, and another for every browser."""
    client, other = web.new_client(), web.new_client()
    assert csrf_token(client) == csrf_token(client)
    assert csrf_token(client) != csrf_token(other)
