"""Signing in through GitHub, Google and Discord, against a provider on a real socket (SPEC 4)."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.http.oauth_studio import ALL, provider, shared_provider, shared_studio, sign_in_by, studio, users
from tests.http.openid_provider import OpenIdProvider
from tests.http.running import Web, running_web
from tests.http.signing_in import EMAIL, PASSWORD, cookies_set, post_form, session, sign_in

__all__ = ["provider", "shared_provider", "shared_studio", "studio"]


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


def test_signing_in_through_a_provider_ends_the_sign_in_before(studio: Web, provider: OpenIdProvider) -> None:
    """Whosever it was."""
    client = studio.new_client()
    sign_in(client, "bob@example.com")
    before = studio.new_client()
    before.cookies.set("omnisonic", client.cookies["omnisonic"])
    sign_in_by(client, "github")
    assert session(client)["user"]["email"] == EMAIL
    assert session(before) == {}


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
