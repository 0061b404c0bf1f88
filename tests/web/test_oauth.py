"""Signing in through GitHub, Google and Discord, against a provider on a real socket (SPEC 4)."""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.postgres_server import PostgresServer, fresh_database
from tests.web.conftest import emptied
from tests.web.openid_provider import OpenIdProvider, running_provider
from tests.web.running import Web, running_web
from tests.web.signing_in import EMAIL, PASSWORD, cookies_set, post_form, session, sign_in

ALL: Final = ["github", "google", "discord"]


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[OpenIdProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: OpenIdProvider) -> OpenIdProvider:
    """A provider that behaves, and knows Ada."""
    shared_provider.behave()
    return shared_provider


@pytest.fixture(scope="module")
def shared_studio(postgres_process: PostgresServer, shared_provider: OpenIdProvider) -> Iterator[Web]:
    with (
        fresh_database(postgres_process) as url,
        running_web(shared_provider.environment, database_url=url) as web,
    ):
        yield web


@pytest.fixture
def studio(shared_studio: Web) -> Web:
    """A studio where people sign in through the provider, in three ways; nobody has yet."""
    return emptied(shared_studio)


def go_there(client: httpx.Client, name: str, **fields: str) -> str:
    """Press the button, and say yes at the provider: where it sends the browser back to."""
    begun = post_form(client, f"signin/{name}", **fields)
    assert begun.status_code == 302, begun.text
    consented = httpx.get(begun.headers["Location"])
    assert consented.status_code == 302, consented.text
    return consented.headers["Location"]


def sign_in_by(client: httpx.Client, name: str, **fields: str) -> httpx.Response:
    """There and back."""
    return client.get(go_there(client, name, **fields))


def users(web: Web) -> int:
    row = web.do(web.database.row("SELECT count(*) FROM users"))
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(("name", "shown"), [("github", "Ada Lovelace"), ("google", "Ada"), ("discord", "Ada L.")])
def test_somebody_new_is_signed_in_to_a_new_account(
    studio: Web, provider: OpenIdProvider, name: str, shown: str
) -> None:
    """With the provider's name, picture and verified address; the next time it is the same account."""
    client = studio.new_client()
    answer = sign_in_by(client, name, callbackUrl="/invites/abc")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/invites/abc")
    user = session(client)["user"]
    assert (user["name"], user["email"]) == (shown, EMAIL)
    assert user["image"].startswith("https://")
    again = studio.new_client()
    assert sign_in_by(again, name).headers["Location"] == "/sessions"
    assert session(again)["user"]["id"] == user["id"]
    assert users(studio) == 1


@pytest.mark.parametrize("name", ALL)
def test_state_and_pkce_are_always_used(studio: Web, provider: OpenIdProvider, name: str) -> None:
    """S256, and a nonce for OpenID; every sign-in has its own, and the challenge is not the verifier."""
    for _ in range(2):
        assert sign_in_by(studio.new_client(), name).headers["Location"] == "/sessions"
    first, second = provider.asked
    secrets = ["state", "code_challenge", *(["nonce"] if name == "google" else [])]
    for secret in secrets:
        assert len(first[secret]) >= 32
        assert first[secret] != second[secret]
    assert first["redirect_uri"] == f"{studio.url}/api/auth/callback/{name}"
    assert first["code_challenge_method"] == "S256"


def test_nextauths_client_is_told_where_to_go(studio: Web, provider: OpenIdProvider) -> None:
    """With `json=true`, and to programs that send JSON: 200 with the provider's address."""
    for answer in (
        post_form(studio.new_client(), "signin/github", json="true"),
        studio.new_client().post("/api/auth/signin/github", json={"callbackUrl": "/about"}),
    ):
        assert answer.status_code == 200
        assert answer.json()["url"].startswith(f"{provider.url}/login/oauth/authorize?")
        cookie = cookies_set(answer)["omnisonic.oauth"]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["max-age"]) == (True, "Lax", "/", "600")


def test_the_public_url_is_where_providers_send_people_back_to(provider: OpenIdProvider, database_url: str) -> None:
    """NEXTAUTH_URL's, whatever name this process was asked by; under https the cookies are held to this host."""
    settings = provider.environment | {"NEXTAUTH_URL": "https://studio.example"}
    with running_web(settings, database_url=database_url) as web:
        headers = {"Host": "127.0.0.1"}
        begun = web.client.post("/api/auth/signin/discord", json={}, headers=headers)
        cookie = cookies_set(begun)["__Host-omnisonic.oauth"]
        assert (cookie["secure"], cookie["httponly"], cookie["path"]) == (True, True, "/")
        back = urlsplit(httpx.get(begun.json()["url"]).headers["Location"])
        assert (back.scheme, back.netloc) == ("https", "studio.example")
        headers["Cookie"] = f"{cookie.key}={cookie.value}"
        landed = web.client.get(f"{back.path}?{back.query}", headers=headers)
    assert landed.headers["Location"] == "/sessions"
    assert cookies_set(landed)["__Host-omnisonic"]["secure"]


def test_the_three_providers_vouch_for_one_account(studio: Web, provider: OpenIdProvider) -> None:
    """The same verified address, however it is written, is the same person."""
    people = []
    for name in ALL:
        client = studio.new_client()
        provider.person = {"email": EMAIL if name != "google" else EMAIL.upper()}
        sign_in_by(client, name)
        people.append(session(client)["user"]["id"])
    assert len(set(people)) == 1


@pytest.mark.parametrize("name", ALL)
def test_an_address_that_nobody_verified_links_nothing(studio: Web, provider: OpenIdProvider, name: str) -> None:
    """Whoever says at a provider that they are Ada does not get into her account."""
    ada = studio.new_client()
    sign_in(ada)
    provider.person = {"verified": False, "email_verified": False}
    mallory = studio.new_client()
    answer = sign_in_by(mallory, name)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/signin?error=OAuthAccountNotLinked")
    assert session(mallory) == {}
    assert session(ada)["user"]["email"] == EMAIL
    assert users(studio) == 1


@pytest.mark.parametrize("name", ALL)
def test_an_address_that_nobody_verified_is_not_kept(studio: Web, provider: OpenIdProvider, name: str) -> None:
    """Or it would keep out whoever it belongs to."""
    provider.person = {"verified": False, "email_verified": False}
    client = studio.new_client()
    sign_in_by(client, name)
    assert session(client)["user"]["email"] is None
    assert sign_in(studio.new_client()).status_code == 200
    assert users(studio) == 2


def test_whoever_took_an_address_beforehand_is_out_once_its_owner_comes(studio: Web, provider: OpenIdProvider) -> None:
    """An account that somebody made with Ada's address and a password: hers now, without either of theirs."""
    mallory = studio.new_client()
    sign_in(mallory)
    ada = studio.new_client()
    sign_in_by(ada, "google")
    assert session(ada)["user"]["email"] == EMAIL
    assert session(mallory) == {}
    assert sign_in(studio.new_client(), password=PASSWORD).status_code == 401


def test_only_the_primary_verified_address_of_github_counts(studio: Web, provider: OpenIdProvider) -> None:
    """Other verified addresses in the list do not vouch for the primary one."""
    provider.person = {"verified": False, "email": "boss@example.com"}
    client = studio.new_client()
    sign_in_by(client, "github")
    assert session(client)["user"]["email"] is None


@pytest.mark.parametrize("name", ALL)
def test_a_state_that_is_not_this_browsers_is_400(studio: Web, provider: OpenIdProvider, name: str) -> None:
    """Absent, somebody else's, or in another browser: nobody is signed in."""
    attacker, victim, starter = studio.new_client(), studio.new_client(), studio.new_client()
    back = go_there(attacker, name)
    go_there(starter, name)
    without_state = back.partition("&state=")[0]
    for client, url in ((victim, back), (starter, back), (attacker, without_state), (attacker, back + "x")):
        answer = client.get(url)
        assert (answer.status_code, answer.json()["code"]) == (400, "oauth_state_invalid")
        assert session(client) == {}
    assert not [call for call in provider.calls if "token" in call]


@pytest.mark.parametrize("name", ALL)
def test_a_state_is_good_once(studio: Web, provider: OpenIdProvider, name: str) -> None:
    """Replayed with the same cookie, and a code of its own: 400."""
    client = studio.new_client()
    back = go_there(client, name)
    kept = client.cookies["omnisonic.oauth"]
    assert client.get(back).headers["Location"] == "/sessions"
    assert "omnisonic.oauth" not in client.cookies
    replay = studio.new_client()
    replay.cookies.set("omnisonic.oauth", kept)
    answer = replay.get(back)
    assert (answer.status_code, answer.json()["code"]) == (400, "oauth_state_used")
    assert session(replay) == {}


def test_a_state_of_one_provider_is_no_good_at_another(studio: Web, provider: OpenIdProvider) -> None:
    """A mix-up (RFC 9207, 1): the callback of another provider takes it for none."""
    client = studio.new_client()
    back = go_there(client, "discord").replace("/callback/discord", "/callback/github")
    assert client.get(back).json()["code"] == "oauth_state_invalid"


@pytest.mark.parametrize("cookie", ["", "a.b.c", "e30.aSc.x"])
def test_a_transaction_that_we_did_not_sign_is_none(studio: Web, provider: OpenIdProvider, cookie: str) -> None:
    """400, as without one."""
    client = studio.new_client()
    back = go_there(client, "github")
    client.cookies.clear()
    client.cookies.set("omnisonic.oauth", cookie)
    assert client.get(back).json()["code"] == "oauth_state_invalid"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": ["omnisonic-studio", "another-client"]},
        {"aud": ["omnisonic-studio", "another-client"], "azp": "another-client"},
        {"azp": "another-client"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": None},
        {"nbf": 9_999_999_999},
        {"sub": None},
        {"sub": 7},
    ],
    ids=repr,
)
def test_an_id_token_that_is_not_for_this_sign_in_is_401(
    studio: Web, provider: OpenIdProvider, claims: dict[str, Any]
) -> None:
    """Wrong or missing nonce, audience, issuer, times: nobody is signed in, and no account is made."""
    provider.claims = claims
    client = studio.new_client()
    answer = sign_in_by(client, "google")
    assert (answer.status_code, answer.json()["code"]) == (401, "id_token_invalid")
    assert session(client) == {}
    assert users(studio) == 0


def test_an_id_token_for_several_audiences_names_us(studio: Web, provider: OpenIdProvider) -> None:
    """Then it is for us."""
    provider.claims = {"aud": ["omnisonic-studio", "another-client"], "azp": "omnisonic-studio"}
    assert sign_in_by(studio.new_client(), "google").headers["Location"] == "/sessions"


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}])
def test_an_id_token_without_a_real_signature_is_401(
    studio: Web, provider: OpenIdProvider, header: dict[str, str]
) -> None:
    """Unsigned, and signed with what everybody knows."""
    provider.forged_header = header
    answer = sign_in_by(studio.new_client(), "google")
    assert (answer.status_code, answer.json()["code"]) == (401, "id_token_invalid")


def test_an_issuer_may_change_its_keys(database_url: str) -> None:
    """Its new ones are asked for when they are first seen, and not again for every bad token after that."""
    with running_provider() as issuer, running_web(issuer.environment, database_url=database_url) as web:
        assert sign_in_by(web.new_client(), "google").headers["Location"] == "/sessions"
        issuer.change_key()
        assert sign_in_by(web.new_client(), "google").headers["Location"] == "/sessions"
        issuer.change_key()
        for _ in range(3):
            answer = sign_in_by(web.new_client(), "google")
            assert (answer.status_code, answer.json()["code"]) == (401, "id_token_invalid")
        assert len([call for call in issuer.calls if call.endswith("keys")]) == 2
        assert len([call for call in issuer.calls if call.endswith("configuration")]) == 1


@pytest.mark.parametrize("name", ALL)
def test_saying_no_leads_back_to_the_sign_in_page(studio: Web, provider: OpenIdProvider, name: str) -> None:
    """With a sentence there."""
    provider.refusal = "access_denied"
    client = studio.new_client()
    answer = sign_in_by(client, name)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/signin?error=OAuthCallback")
    assert session(client) == {}


@pytest.mark.parametrize("name", ALL)
def test_a_code_that_the_provider_does_not_know_signs_nobody_in(
    studio: Web, provider: OpenIdProvider, name: str
) -> None:
    """Used, made up, or stolen from another browser's sign-in: the provider refuses it."""
    client = studio.new_client()
    back = go_there(client, name)
    stolen = parse_qs(urlsplit(go_there(studio.new_client(), name)).query)["code"][0]
    own = parse_qs(urlsplit(back).query)["code"][0]
    answer = client.get(back.replace(own, stolen))
    assert answer.headers["Location"] == "/signin?error=OAuthCallback"
    assert session(client) == {}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_provider_that_is_down_is_told_on_the_page(
    studio: Web, provider: OpenIdProvider, name: str, status: int
) -> None:
    """In mid sign-in: nobody is signed in, and it can be tried again."""
    client = studio.new_client()
    back = go_there(client, name)
    provider.status = status
    answer = client.get(back)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/signin?error=OAuthSignin")
    provider.behave()
    assert sign_in_by(client, name).headers["Location"] == "/sessions"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'"a"', b"[" * 100_000, b"x" * 300_000], ids=len)
def test_nonsense_from_a_provider_signs_nobody_in(
    studio: Web, provider: OpenIdProvider, name: str, body: bytes
) -> None:
    """Not JSON, not an object, a bomb: a sentence on the page, never a 500."""
    client = studio.new_client()
    back = go_there(client, name)
    provider.body = body
    answer = client.get(back)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/signin?error=OAuthCallback")
    assert session(client) == {}


def test_a_provider_that_hangs_is_given_up(provider: OpenIdProvider, database_url: str) -> None:
    """In time, and others are not kept waiting: at the beginning for OpenID, and at the end for all."""
    config: dict[str, object] = {"PROVIDER_TIMEOUT": 0.3}
    with running_web(provider.environment, database_url=database_url, config=config) as web:
        client = web.new_client()
        backs = {name: go_there(web.new_client(), name) for name in ("github", "discord")}
        provider.hangs = True
        shown = post_form(client, "signin/google", callbackUrl="/about")
        told = post_form(client, "signin/google", json="true")
        assert shown.headers["Location"] == "/signin?error=OAuthSignin&callbackUrl=%2Fabout"
        assert (told.status_code, told.json()["code"], told.headers["Retry-After"]) == (503, "unavailable", "5")
        assert told.json()["url"].startswith(f"{web.url}/signin?error=OAuthSignin")
        assert client.get("/healthz").status_code == 200
        for client, (name, back) in zip(web.clients[-2:], backs.items(), strict=True):
            assert name in back
            assert client.get(back).headers["Location"] == "/signin?error=OAuthSignin"


def test_a_provider_that_is_not_there_is_told_on_the_page(database_url: str) -> None:
    """Nobody listens at its address."""
    settings = {"GOOGLE_CLIENT_ID": "us", "GOOGLE_CLIENT_SECRET": "shh", "GOOGLE_BASE_URL": "http://127.0.0.1:9"}
    with running_web(settings, database_url=database_url) as web:
        answer = post_form(web.new_client(), "signin/google")
    assert answer.headers["Location"].startswith("/signin?error=OAuthSignin")


def test_an_issuer_that_calls_itself_something_else_is_refused(provider: OpenIdProvider, database_url: str) -> None:
    """As OpenID Connect Discovery 4.3 demands; programs get 502."""
    settings = provider.environment | {"GOOGLE_BASE_URL": provider.url.replace("127.0.0.1", "localhost")}
    with running_web(settings, database_url=database_url) as web:
        answer = post_form(web.new_client(), "signin/google", json="true")
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_refused")


def test_signing_in_through_a_provider_ends_the_sign_in_before(studio: Web, provider: OpenIdProvider) -> None:
    """Whosever it was."""
    client = studio.new_client()
    sign_in(client, "bob@example.com")
    before = studio.new_client()
    before.cookies.set("omnisonic", client.cookies["omnisonic"])
    sign_in_by(client, "github")
    assert session(client)["user"]["email"] == EMAIL
    assert session(before) == {}


def test_following_a_link_begins_nothing(studio: Web, provider: OpenIdProvider) -> None:
    """GET leads to the page with the buttons: nobody is sent to a provider by somebody else's link."""
    answer = studio.client.get("/api/auth/signin/github")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/signin")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("person", "name", "image"),
    [
        ({"name": "  Ada \u202e ", "avatar_url": "javascript:alert(1)"}, "ada", None),
        ({"name": None, "login": "x" * 300, "avatar_url": None}, "x" * 64, None),
        ({"name": "", "login": 7, "avatar_url": "https://a.example/" + "x" * 3000}, None, None),
        ({"name": "<b>Ada</b>", "avatar_url": "https://a.example/3"}, "<b>Ada</b>", "https://a.example/3"),
        ({"name": "Ada\x00", "avatar_url": 3}, "ada", None),
    ],
)
def test_what_cannot_be_shown_of_somebody_is_left_out(
    studio: Web, provider: OpenIdProvider, person: dict[str, Any], name: str | None, image: str | None
) -> None:
    """Names with bidirectional controls, addresses of pictures that are none; nobody is kept out for it."""
    provider.person = person
    client = studio.new_client()
    assert sign_in_by(client, "github").headers["Location"] == "/sessions"
    user = session(client)["user"]
    assert (user["name"], user["image"]) == (name, image)


@pytest.mark.parametrize("subject", [None, "", True, {"a": 1}, "x" * 256])
def test_a_provider_must_say_who_it_is(studio: Web, provider: OpenIdProvider, subject: object) -> None:
    """Without a name for somebody that never changes there is no account."""
    provider.person = {"id": subject}
    answer = sign_in_by(studio.new_client(), "discord")
    assert answer.headers["Location"] == "/signin?error=OAuthCallback"
    assert users(studio) == 0


def test_secrets_of_a_sign_in_are_never_logged(
    studio: Web, provider: OpenIdProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Code, state, verifier, tokens and our own secret, also when the provider answers nonsense."""
    with caplog.at_level("DEBUG", logger="omnisonic"), caplog.at_level("INFO"):
        client = studio.new_client()
        back = go_there(client, "google")
        cookie = SimpleCookie(f"a={client.cookies['omnisonic.oauth']}")["a"].value
        client.get(back)
        provider.body = b"nonsense"
        sign_in_by(studio.new_client(), "github")
    for secret in (*parse_qs(urlsplit(back).query)["code"], cookie, "the client's secret", "a-token"):
        # What this test itself asks for is logged by its own client.
        assert not [r for r in caplog.records if secret in r.getMessage() and r.name != "httpx"]
