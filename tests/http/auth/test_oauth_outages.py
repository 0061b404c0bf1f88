"""Providers that refuse, fail, hang or talk nonsense: a sentence on the page, and nobody is signed in."""

import pytest

from tests.http.oauth_studio import ALL, go_there, provider, shared_provider, shared_studio, sign_in_by, studio, users
from tests.http.openid_provider import OpenIdProvider
from tests.http.running import Web, running_web
from tests.http.signing_in import post_form, session

__all__ = ["provider", "shared_provider", "shared_studio", "studio"]


@pytest.mark.parametrize("name", ALL)
def test_saying_no_leads_back_to_the_sign_in_page(studio: Web, provider: OpenIdProvider, name: str) -> None:
    """With a sentence there."""
    provider.refusal = "access_denied"
    client = studio.new_client()
    answer = sign_in_by(client, name)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/signin?error=OAuthCallback")
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


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("status", [302, 401, 404])
def test_a_provider_that_refuses_us_signs_nobody_in(
    studio: Web, provider: OpenIdProvider, name: str, status: int
) -> None:
    """Nor are we led on to anywhere else with our secret."""
    client = studio.new_client()
    back = go_there(client, name)
    provider.status = status
    assert client.get(back).headers["Location"] == "/signin?error=OAuthCallback"
    assert session(client) == {}


def test_an_answer_that_is_too_large_is_not_read_to_its_end(studio: Web, provider: OpenIdProvider) -> None:
    """Whatever it says."""
    provider.person = {"padding": "x" * 200_000}
    assert sign_in_by(studio.new_client(), "github").headers["Location"] == "/sessions"
    provider.person = {"padding": "x" * 300_000}
    assert sign_in_by(studio.new_client(), "github").headers["Location"] == "/signin?error=OAuthCallback"


def test_a_provider_that_hangs_is_given_up(provider: OpenIdProvider, database_url: str) -> None:
    """In time, and others are not kept waiting: at the beginning for OpenID, and at the end for all."""
    config: dict[str, object] = {"PROVIDER_TIMEOUT": 0.3}
    with running_web(provider.environment, database_url=database_url, config=config) as web:
        client = web.new_client()
        backs = {name: go_there(web.new_client(), name) for name in ("github", "discord")}
        provider.hangs = True
        shown = post_form(client, "signin/google", callbackUrl="/about")
        reported = post_form(client, "signin/google", json="true")
        assert shown.headers["Location"] == "/signin?error=OAuthSignin&callbackUrl=%2Fabout"
        assert (reported.status_code, reported.json()["code"], reported.headers["Retry-After"]) == (
            503,
            "unavailable",
            "5",
        )
        assert reported.json()["url"].startswith(f"{web.url}/signin?error=OAuthSignin")
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


@pytest.mark.parametrize("issuer", ["https://another.example", "{url}/", "{url}x", "HTTP{rest}", "", None, 7])
def test_an_issuer_that_calls_itself_something_else_is_refused(
    provider: OpenIdProvider, database_url: str, issuer: object
) -> None:
    """As OpenID Connect Discovery 4.3 demands, character by character; programs get 502."""
    named = issuer.format(url=provider.url, rest=provider.url[4:]) if isinstance(issuer, str) else issuer
    provider.configuration = {"issuer": named}
    with running_web(provider.environment, database_url=database_url) as web:
        answer = post_form(web.new_client(), "signin/google", json="true")
        assert (answer.status_code, answer.json()["code"]) == (502, "provider_refused")
        provider.configuration = {"issuer": provider.url}
        assert sign_in_by(web.new_client(), "google").headers["Location"] == "/sessions"


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "url",
    ["http://issuer.example/x", "{url}@issuer.example/x", "{url}.issuer.example/x", "ftp://127.0.0.1/x", "https:", 7],
)
def test_an_issuer_with_endpoints_in_the_clear_is_refused(
    provider: OpenIdProvider, database_url: str, endpoint: str, url: object
) -> None:
    """Whoever is on the way would read the code and the token, or give us keys: nobody is sent there, nothing asked."""
    provider.configuration = {endpoint: url.format(url=provider.url) if isinstance(url, str) else url}
    with running_web(provider.environment, database_url=database_url) as web:
        answer = post_form(web.new_client(), "signin/google", json="true")
        assert (answer.status_code, answer.json()["code"]) == (502, "provider_refused")
        assert provider.calls == ["/.well-known/openid-configuration"]


def test_an_issuer_elsewhere_is_not_asked_in_the_clear(database_url: str) -> None:
    """Its discovery document and its keys would be anybody's who is on the way."""
    settings = {"GOOGLE_CLIENT_ID": "us", "GOOGLE_CLIENT_SECRET": "shh", "GOOGLE_BASE_URL": "http://issuer.example"}
    with running_web(settings, database_url=database_url) as web:
        answer = post_form(web.new_client(), "signin/google", json="true")
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_refused")


@pytest.mark.parametrize("subject", [None, "", True, {"a": 1}, "x" * 256])
def test_a_provider_must_say_who_it_is(studio: Web, provider: OpenIdProvider, subject: object) -> None:
    """Without a name for somebody that never changes there is no account."""
    provider.person = {"id": subject}
    answer = sign_in_by(studio.new_client(), "discord")
    assert answer.headers["Location"] == "/signin?error=OAuthCallback"
    assert users(studio) == 0
