"""Signing in through a provider by who should not (RELIABILITY, attacks: sign-in)."""

import time
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from omnisonic.observability.logs import JsonFormatter, LineFormatter
from tests.http.oauth_studio import ALL, go_there, provider, shared_provider, shared_studio, sign_in_by, studio, users
from tests.http.openid_provider import OpenIdProvider, running_provider
from tests.http.running import Web, running_web
from tests.http.signing_in import session

__all__ = ["provider", "shared_provider", "shared_studio", "studio"]


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


@pytest.mark.parametrize(
    ("claim", "from_now_s", "is_taken"),
    [("exp", -30, True), ("exp", -90, False), ("exp", -5_000, False), ("iat", 30, True), ("iat", 90, False)],
)
def test_clocks_may_be_a_minute_apart_and_no_more(
    studio: Web, provider: OpenIdProvider, claim: str, from_now_s: int, is_taken: bool
) -> None:
    """A token that ran out half a minute ago is good, one that ran out earlier is not; nor one from the future."""
    provider.claims = {claim: int(time.time()) + from_now_s}
    answer = sign_in_by(studio.new_client(), "google")
    assert answer.status_code == (302 if is_taken else 401)
    assert users(studio) == int(is_taken)


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


def test_following_a_link_begins_nothing(studio: Web, provider: OpenIdProvider) -> None:
    """GET leads to the page with the buttons: nobody is sent to a provider by somebody else's link."""
    answer = studio.client.get("/api/auth/signin/github")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/signin")
    assert "Set-Cookie" not in answer.headers


def test_secrets_of_a_sign_in_are_never_logged(
    studio: Web, provider: OpenIdProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Code, state, verifier, tokens and our own secret, also when the provider answers nonsense."""
    with caplog.at_level("DEBUG", logger="omnisonic"), caplog.at_level("INFO", logger="httpx"):
        client = studio.new_client()
        back = go_there(client, "google")
        cookie = SimpleCookie(f"a={client.cookies['omnisonic.oauth']}")["a"].value
        client.get(back)
        provider.body = b"nonsense"
        sign_in_by(studio.new_client(), "github")
    # The clients of this test log their addresses, too, codes and all: as the product writes them, they are hidden.
    ways = (LineFormatter(), JsonFormatter("web"))
    written = "\n".join(way.format(record) for record in caplog.records for way in ways)
    assert "code=***" in written
    for secret in (*parse_qs(urlsplit(back).query)["code"], cookie, "the client's secret", "a-token"):
        assert secret not in written
